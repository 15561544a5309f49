use super::proxy::{Proxy, Site, documented};
use crate::running::Hub;

/// `lines` are what its backend says beside the server.
pub(super) fn start(hub: &Hub, lines: &str) -> Proxy {
    let server = format!(
        "frontend web\n bind :443\n timeout client 1h\n default_backend fanfare\n\
         backend fanfare\n timeout server 1h\n server fanfare 127.0.0.1:3000\n{lines}\n"
    );
    serve(hub, Site::new(), &server)
}

/// The one of `docs/operations.md`, to the letter.
pub(super) fn start_documented(hub: &Hub) -> Proxy {
    serve(hub, Site::new().with_tls(), documented("haproxy"))
}

fn serve(hub: &Hub, site: Site, lines: &str) -> Proxy {
    let lines = site.with_its_own(lines, hub).replace("bind :443", &format!("bind {}", site.address));
    let file = site.file("haproxy.cfg", &format!("defaults\n mode http\n timeout connect 5s\n{lines}"));
    site.run("haproxy", |command| {
        command.arg("-db").arg("-f").arg(file);
    })
}
