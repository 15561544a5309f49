use super::proxy::{Proxy, Site, documented};
use crate::running::Hub;

/// What Debian's package enables with `a2enmod`, and the filters of the tests.
const MODULES: [&str; 14] = [
    "mpm_event",
    "authz_core",
    "proxy",
    "proxy_http",
    "proxy_fcgi",
    "headers",
    "setenvif",
    "filter",
    "deflate",
    "brotli",
    "sed",
    "socache_shmcb",
    "ssl",
    "http2",
];

/// `lines` are what a virtual host says before `ProxyPass` to the hub.
pub(super) fn start(hub: &Hub, lines: &str) -> Proxy {
    serve(hub, Site::new(), &format!("{lines}\nProxyPass \"/\" \"http://127.0.0.1:3000/\"\n"))
}

/// The one of `docs/operations.md`, to the letter.
pub(super) fn start_documented(hub: &Hub) -> Proxy {
    serve(hub, Site::new().with_tls(), documented("apache"))
}

fn serve(hub: &Hub, site: Site, lines: &str) -> Proxy {
    let lines = site.with_its_own(lines, hub).replace("*:443", &site.address.to_string());
    let modules =
        MODULES.map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")).concat();
    let (path, address) = (site.folder().display(), site.address);
    // Root's Apache gives up its rights, for which it must know to whom; anyone else's ignores both lines.
    let file = site.file(
        "apache.conf",
        &format!(
            "ServerRoot \"{path}\"\nServerName localhost\nListen {address}\nUser www-data\nGroup www-data\n\
             DefaultRuntimeDir \"{path}\"\nPidFile pid\nErrorLog error.log\n{modules}{lines}"
        ),
    );
    site.run("apache2", |command| {
        command.arg("-X").arg("-f").arg(file);
    })
}
