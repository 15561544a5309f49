use super::proxy::{Proxy, Site, documented};
use crate::running::Hub;

/// `listen` is what its socket speaks beside HTTP/1.1, `location` what its location says.
pub(super) fn start(hub: &Hub, listen: &[&str], location: &str) -> Proxy {
    let speaks = listen.join(" ");
    let server = format!(
        "server {{
            listen 443 {speaks};
            ssl_certificate     fullchain.pem;
            ssl_certificate_key privkey.pem;
            location / {{ proxy_pass http://127.0.0.1:3000; {location} }}
        }}"
    );
    let site = Site::new();
    serve(hub, if listen.contains(&"ssl") { site.with_tls() } else { site }, &server)
}

/// The one of `docs/operations.md`, to the letter.
pub(super) fn start_documented(hub: &Hub) -> Proxy {
    serve(hub, Site::new().with_tls(), documented("nginx"))
}

fn serve(hub: &Hub, site: Site, server: &str) -> Proxy {
    let server = site.with_its_own(server, hub).replace("listen 443", &format!("listen {}", site.address));
    let path = site.folder().display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {path}/{name};")).concat();
    let file = site.file(
        "nginx.conf",
        &format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log; events {{}}
             http {{ access_log off; client_body_buffer_size 1m; {temporary} {server} }}"
        ),
    );
    let log = site.folder().join("error.log");
    site.run("nginx", |command| {
        command.arg("-c").arg(file).arg("-e").arg(log);
    })
}
