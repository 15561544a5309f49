//! Which web pages may talk to the hub.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

/// An origin that the operator allows: `*` or `scheme://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigin(Allowed);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Any,
    /// As browsers write it: lower case, without the scheme's own port.
    One(Box<str>),
}

impl AllowedOrigin {
    /// Any origin at all.
    #[must_use]
    pub const fn any() -> Self {
        Self(Allowed::Any)
    }

    /// Whether it is `*`.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0 == Allowed::Any
    }

    /// Whether a request's `Origin` header is this origin. The header `null` is no origin that anyone can name.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        match &self.0 {
            Allowed::Any => true,
            Allowed::One(one) => one.as_ref() == origin,
        }
    }
}

/// Whether `origin` is named among `allowed`. `*` names nobody: it is for what anyone may have, without credentials.
pub(crate) fn is_named(origin: &str, allowed: &[AllowedOrigin]) -> bool {
    allowed.iter().any(|one| !one.is_any() && one.allows(origin))
}

impl FromStr for AllowedOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "*" {
            return Ok(Self::any());
        }
        let invalid = || InvalidOrigin(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(invalid()) };
        let ends_there = text.len() == scheme.len() + "://".len() + authority.as_str().len();
        // A port that is not one would otherwise be dropped, and the default one allowed in its place.
        let has_port = !authority.as_str().ends_with(authority.host());
        if !ends_there || authority.as_str().contains('@') || has_port != authority.port_u16().is_some() {
            return Err(invalid());
        }
        let host = authority.host().to_ascii_lowercase();
        let own_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => 0,
        };
        let port = authority.port_u16().filter(|port| *port != own_port);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self(Allowed::One(format!("{scheme}://{host}{port}").into())))
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Allowed::Any => "*",
            Allowed::One(origin) => origin,
        })
    }
}

/// Not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an origin: write it as `https://example.com`, without a path, or `*`")]
pub struct InvalidOrigin(String);

/// Whether a page of this `Origin` was served from this machine, by the name that browsers trust to mean it.
pub(crate) fn is_loopback_origin(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    matches!(scheme, "http" | "https") && !authority.as_str().contains('@') && is_loopback_host(&authority)
}

/// Whether `authority` can't have come from DNS: an IP address, or `localhost`, which browsers resolve themselves. Any
/// other name may be a foreign page's own that was made to point here (DNS rebinding).
pub(crate) fn is_address_or_localhost(authority: &Authority) -> bool {
    ip_address(authority).is_some() || authority.host().eq_ignore_ascii_case("localhost")
}

fn is_loopback_host(authority: &Authority) -> bool {
    match ip_address(authority) {
        Some(address) => address.is_loopback(),
        None => authority.host().eq_ignore_ascii_case("localhost"),
    }
}

fn ip_address(authority: &Authority) -> Option<IpAddr> {
    authority.host().trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        let allows = |allowed: &str, origin| allowed.parse::<AllowedOrigin>().unwrap().allows(origin);
        assert!(allows("https://example.com", "https://example.com"));
        assert!(allows("https://EXAMPLE.com:443", "https://example.com"));
        assert!(allows("http://example.com:8080", "http://example.com:8080"));
        assert!(allows("*", "https://anything.example"));
        assert!(!allows("https://example.com", "http://example.com"));
        assert!(!allows("https://example.com", "https://example.com.evil.example"));
        assert!(!allows("https://example.com", "https://example.com:8443"));
        assert!(!allows("https://example.com", "null"));
        for text in [
            "example.com",
            "https://",
            "https://a/",
            "https://a/b",
            "",
            "null",
            "https://u@a",
            "https://a?b",
            "http://a:",
            "http://a:80801",
            "http://a:x",
        ] {
            assert!(text.parse::<AllowedOrigin>().is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_origins() {
        for origin in [
            "http://localhost:3000",
            "https://localhost",
            "http://127.0.0.1:1",
            "http://127.8.8.8",
            "http://[::1]:3000",
        ] {
            assert!(is_loopback_origin(origin), "{origin}");
        }
        for origin in [
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "null",
            "",
            "file://",
            "http://10.0.0.1",
            "ftp://localhost",
            "http://x@localhost",
        ] {
            assert!(!is_loopback_origin(origin), "{origin}");
        }
    }

    #[test]
    fn hosts_that_no_foreign_page_can_have_rebound() {
        for host in ["localhost", "LOCALHOST:3000", "127.0.0.1:3000", "[::1]:3000", "192.168.0.7"] {
            assert!(is_address_or_localhost(&host.parse().unwrap()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example:3000"] {
            assert!(!is_address_or_localhost(&host.parse().unwrap()), "{host}");
        }
    }
}
