//! A proxy of Debian's in front of a hub, as an ordinary child in a folder of its own.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::running::{Hub, PATIENCE};

/// One process, ended with its handle.
#[derive(Debug)]
pub(super) struct Proxy {
    child: Child,
    site: Site,
}

/// Where a proxy lives: an address of its own, and a folder with a certificate.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) address: SocketAddr,
    folder: TempDir,
    is_tls: bool,
    /// Bound, and not listened on: so nobody else is given the port, and whoever reuses addresses may listen there.
    _port: Socket,
}

impl Site {
    pub(super) fn new() -> Self {
        let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        port.set_reuse_address(true).unwrap();
        port.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = port.local_addr().unwrap().as_socket().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        fs::write(folder.path().join("fullchain.pem"), &certificate).unwrap();
        fs::write(folder.path().join("privkey.pem"), &key).unwrap();
        // HAProxy wants both in one file.
        fs::write(folder.path().join("site.pem"), certificate + &key).unwrap();
        Self { address, folder, is_tls: false, _port: port }
    }

    pub(super) fn with_tls(self) -> Self {
        Self { is_tls: true, ..self }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration with the hub, the certificate and the key of this test in place of those that it names.
    pub(super) fn with_its_own(&self, configuration: &str, hub: &Hub) -> String {
        let path = self.folder().display();
        configuration
            .replace("127.0.0.1:3000", &hub.address.to_string())
            .replace("fullchain.pem", &format!("{path}/fullchain.pem"))
            .replace("privkey.pem", &format!("{path}/privkey.pem"))
            .replace("/etc/haproxy/site.pem", &format!("{path}/site.pem"))
    }

    /// Writes a file of its folder and says where it is.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs `program` until it takes connections. It must stay one process, which is killed in the end.
    pub(super) fn run(self, program: &str, set_up: impl FnOnce(&mut Command)) -> Proxy {
        // Debian has most of them where only root looks for commands.
        let of_root = Path::new("/usr/sbin").join(program);
        let mut command = if of_root.exists() { Command::new(of_root) } else { Command::new(program) };
        let log = fs::File::create(self.folder().join("stderr")).unwrap();
        command.current_dir(self.folder()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        set_up(&mut command);
        let child = command.spawn().unwrap_or_else(|error| panic!("{program} is installed by scripts/test: {error}"));
        let mut proxy = Proxy { child, site: self };
        let start = Instant::now();
        while TcpStream::connect(proxy.site.address).is_err() {
            let log = || fs::read_to_string(proxy.site.folder().join("stderr"));
            assert!(proxy.child.try_wait().unwrap().is_none(), "{program} ended: {:?}", log());
            assert!(start.elapsed() < PATIENCE, "{program} does not listen: {:?}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
        proxy
    }
}

impl Proxy {
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.site.is_tls { "https" } else { "http" }, self.site.address)
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.site.folder().join("fullchain.pem")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first block of `language` in `docs/operations.md`.
pub(super) fn documented(language: &str) -> &'static str {
    let documentation = include_str!("../../../../../docs/operations.md");
    let (_, block) = documentation.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0
}
