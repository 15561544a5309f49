//! A proxy of Debian's in front of a hub, as an ordinary child in a folder of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use crate::port::Port;
use crate::running::Hub;

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
    port: Port,
}

impl Site {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        fs::write(folder.path().join("fullchain.pem"), &certificate).unwrap();
        fs::write(folder.path().join("privkey.pem"), &key).unwrap();
        // HAProxy wants both in one file.
        fs::write(folder.path().join("site.pem"), certificate + &key).unwrap();
        let port = Port::of_its_own();
        Self { address: port.address, folder, is_tls: false, port }
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
        let Proxy { child, site } = &mut proxy;
        drop(site.port.connect(|| {
            let log = fs::read_to_string(site.folder().join("stderr"));
            assert!(child.try_wait().unwrap().is_none(), "{program} ended: {log:?}");
        }));
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
