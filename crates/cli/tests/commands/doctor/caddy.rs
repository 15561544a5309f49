use super::proxy::{Proxy, Site, documented};
use crate::running::Hub;

/// `lines` are what its site says.
pub(super) fn start(hub: &Hub, lines: &str) -> Proxy {
    let site = Site::new();
    let name = format!("http://{}", site.address);
    serve(hub, site, &format!("{name} {{\n{lines}\n}}\n"))
}

/// The one of `docs/operations.md` to the letter, with the test's certificate, because nobody gives it one for a name.
pub(super) fn start_documented(hub: &Hub) -> Proxy {
    let site = Site::new().with_tls();
    let name = format!("https://{} {{\ntls fullchain.pem privkey.pem", site.address);
    let lines = documented("caddy").replace("example.com {", &name);
    serve(hub, site, &lines)
}

fn serve(hub: &Hub, site: Site, lines: &str) -> Proxy {
    let lines = site.with_its_own(lines, hub);
    // HTTP/3 would take a UDP port that nobody kept for it.
    let options = "{\nadmin off\nauto_https disable_redirects\nservers {\nprotocols h1 h2\n}\n}\n";
    let file = site.file("Caddyfile", &(options.to_owned() + &lines));
    let home = site.folder().to_owned();
    site.run("caddy", |command| {
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("HOME", &home).env("XDG_DATA_HOME", &home).env("XDG_CONFIG_HOME", &home);
    })
}
