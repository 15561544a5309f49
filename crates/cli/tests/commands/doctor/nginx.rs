//! An nginx of Debian's in front of a hub, as an ordinary child in a folder of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use crate::running::Hub;

/// A proxy, ended with its handle.
#[derive(Debug)]
pub(super) struct Nginx {
    child: Child,
    address: SocketAddr,
    is_tls: bool,
    folder: TempDir,
}

impl Nginx {
    /// In front of `hub`: `listen` is what its socket speaks beside HTTP/1.1, `location` what its location says.
    pub(super) fn start(hub: &Hub, listen: &[&str], location: &str) -> Self {
        let speaks = listen.join(" ");
        Self::serve(
            hub,
            &format!(
                "server {{
                listen 443 {speaks};
                ssl_certificate     fullchain.pem;
                ssl_certificate_key privkey.pem;
                location / {{ proxy_pass http://127.0.0.1:3000; {location} }}
            }}"
            ),
        )
    }

    /// The one of `docs/operations.md`, to the letter.
    pub(super) fn documented(hub: &Hub) -> Self {
        let documentation = include_str!("../../../../../docs/operations.md");
        let (_, server) = documentation.split_once("```nginx\n").unwrap();
        Self::serve(hub, server.split_once("```").unwrap().0)
    }

    /// With a port, a certificate and a hub of its own in place of those that `server` names.
    fn serve(hub: &Hub, server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(folder.path().join("fullchain.pem"), cert.pem()).unwrap();
        fs::write(folder.path().join("privkey.pem"), signing_key.serialize_pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let path = folder.path().display();
        let server = server
            .replace("listen 443", &format!("listen {address}"))
            .replace("fullchain.pem", &format!("{path}/fullchain.pem"))
            .replace("privkey.pem", &format!("{path}/privkey.pem"))
            .replace("127.0.0.1:3000", &hub.address.to_string());
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {path}/{name};")).concat();
        let configuration = format!(
            "daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error.log; events {{}}
             http {{ access_log off; client_body_buffer_size 1m; {temporary} {server} }}"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        // Debian has it where only root looks for commands.
        let program = if PathBuf::from("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file).arg("-e").arg(folder.path().join("error.log"));
        // nginx hands its sockets to its successor by their numbers. So this one has a free port that nobody can take
        // from it, and connections wait until it is there.
        command.env("NGINX", "0;").stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("nginx is installed by scripts/test");
        let is_tls = server.lines().any(|line| line.trim_start().starts_with("listen ") && line.contains(" ssl"));
        Self { child, address, is_tls, folder }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.is_tls { "https" } else { "http" }, self.address)
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.path().join("fullchain.pem")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker would outlive a killed master.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
