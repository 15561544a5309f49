//! Who stands in between, as far as an answer tells.

use super::stream::Seen;

/// What is cured with lines that are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxy {
    Nginx,
    Apache,
    Haproxy,
    Caddy,
}

impl Proxy {
    pub(super) const ALL: [Self; 4] = [Self::Nginx, Self::Apache, Self::Haproxy, Self::Caddy];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "Apache",
            Self::Haproxy => "HAProxy",
            Self::Caddy => "Caddy",
        }
    }
}

/// Who it seems to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Guess {
    pub(super) proxy: Option<Proxy>,
    /// The header that says so, or that says something else.
    pub(super) seen: Option<String>,
}

impl Guess {
    /// `Server` is mostly of the nearest proxy, as it overwrites it; `Via` is of those that say that they are one.
    pub(super) fn of(seen: &Seen) -> Self {
        let said: Vec<_> = ["server", "via"].into_iter().filter_map(|name| Some((name, seen.header(name)?))).collect();
        let proxy = said.iter().find_map(|(name, value)| Some((known(value)?, *name, *value)));
        let shown = |name: &str, value: &str| {
            let name = if name == "via" { "Via" } else { "Server" };
            format!("{name}: {value}")
        };
        match (proxy, said.first()) {
            (Some((proxy, name, value)), _) => Self { proxy: Some(proxy), seen: Some(shown(name, value)) },
            (None, Some((name, value))) => Self { proxy: None, seen: Some(shown(name, value)) },
            (None, None) => Self::default(),
        }
    }
}

fn known(value: &str) -> Option<Proxy> {
    let value = value.to_ascii_lowercase();
    let names = [
        ("nginx", Proxy::Nginx),
        ("openresty", Proxy::Nginx),
        ("apache", Proxy::Apache),
        ("haproxy", Proxy::Haproxy),
        ("caddy", Proxy::Caddy),
    ];
    names.into_iter().find(|(name, _)| value.contains(name)).map(|(_, proxy)| proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_known_by_what_it_says() {
        for (server, expected) in [
            ("nginx/1.22.1", Some(Proxy::Nginx)),
            ("openresty/1.25.3.1", Some(Proxy::Nginx)),
            ("Apache/2.4.57 (Debian)", Some(Proxy::Apache)),
            ("1.1 Caddy", Some(Proxy::Caddy)),
            ("cloudflare", None),
            ("uvicorn", None),
        ] {
            assert_eq!(known(server), expected, "{server}");
        }
    }
}
