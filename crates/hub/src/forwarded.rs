//! For whom a proxy asks: `Forwarded` (RFC 7239) and `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};

use crate::settings::Settings;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client for whom the trusted proxy `peer` asks.
///
/// Each proxy appends whom it was asked by, so that only what stands at the right end is a trusted one's word: from there
/// to the left, the first address that is no trusted proxy's is the client's. What is no address, or one of the proxy's own
/// machine, ends the search at the proxy that let it pass. A proxy that writes one of the headers lets a client's own pass in the other: where the two differ
/// neither is believed.
pub(crate) fn client(settings: &Settings, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let forwarded = headers.contains_key(FORWARDED).then(|| {
        let lines = headers.get_all(FORWARDED).iter().rev();
        nearest(settings, peer, lines.flat_map(|line| elements(line).unwrap_or_else(|| vec![None]).into_iter().rev()))
    });
    let x_forwarded_for = headers.contains_key(X_FORWARDED_FOR).then(|| {
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        nearest(settings, peer, lines.flat_map(|line| text(line).split(',').rev()).map(address))
    });
    match (forwarded, x_forwarded_for) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => peer,
    }
}

fn nearest(settings: &Settings, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
    let mut nearest = peer;
    for hop in hops {
        let Some(hop) = hop else { break };
        let is_trusted = settings.trusts(hop);
        // Of this machine's own programs there may be any number, and it is not this machine that is meant.
        if !hop.is_loopback() || is_trusted {
            nearest = hop;
        }
        if !is_trusted {
            break;
        }
    }
    nearest
}

/// A line that is no text has no address in it.
fn text(line: &HeaderValue) -> &str {
    line.to_str().unwrap_or_default()
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// The `for` of each element of a line of `Forwarded`. `None` if the line is not formed as it must be: a quote that a
/// client opened would else hide what the proxy appended.
fn elements(line: &HeaderValue) -> Option<Vec<Option<IpAddr>>> {
    let mut rest = line.to_str().ok()?.trim();
    let mut hops = Vec::new();
    let mut hop = None;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        if !is_token(name.trim()) {
            return None;
        }
        if name.trim().eq_ignore_ascii_case("for") && hop.replace(address(value)).is_some() {
            return None;
        }
        let after = after.trim_start();
        let ends_element = match after.chars().next() {
            Some(';') => false,
            Some(',') | None => true,
            Some(_) => return None,
        };
        if ends_element {
            hops.push(hop.take().flatten());
        }
        if after.is_empty() {
            return Some(hops);
        }
        rest = after[1..].trim_start();
    }
}

/// The value that `text` begins with, a token or quoted, and what follows. No address has anything in it that a
/// backslash would stand before.
fn value(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"').filter(|(value, _)| !value.contains('\\'));
    }
    let end = text.find([',', ';']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    is_token(value.trim_end()).then_some((value.trim_end(), rest))
}

/// RFC 9110, section 5.6.2; and `:`, which some proxies leave unquoted.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whom `10.0.0.1` is taken to ask for, where 10.0.0.0/8 is trusted.
    fn check(headers: &[(&'static str, &str)], expected: &str) {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let settings = Settings { trusted_proxies, ..Settings::default() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let found = client(&settings, &map, "10.0.0.1".parse().unwrap());
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{headers:?}");
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_is_the_clients() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("198.51.100.9, 192.0.2.1", "192.0.2.1"),
            ("198.51.100.9, 192.0.2.1, 10.0.0.2,10.0.0.3", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            // All of them are proxies: the one that is furthest away.
            ("10.0.0.5, 10.0.0.4", "10.0.0.5"),
            ("10.0.0.5", "10.0.0.5"),
        ] {
            check(&[("x-forwarded-for", value)], expected);
        }
        check(&[("x-forwarded-for", "198.51.100.9"), ("x-forwarded-for", "192.0.2.1, 10.0.0.2")], "192.0.2.1");
        check(&[], "10.0.0.1");
    }

    #[test]
    fn what_is_no_address_ends_at_the_proxy_that_let_it_pass() {
        for value in ["", "unknown", "192.0.2.1,", "192.0.2", "192.0.2.1 198.51.100.9", "localhost", "é", "1.2.3.4, x"]
        {
            check(&[("x-forwarded-for", value)], "10.0.0.1");
        }
        check(&[("x-forwarded-for", "192.0.2.1, _hidden, 10.0.0.7")], "10.0.0.7");
        // The proxy's own machine is not this one, whose programs may have any number of connections.
        for value in ["127.0.0.1", "192.0.2.1, 127.0.0.1", "::1"] {
            check(&[("x-forwarded-for", value)], "10.0.0.1");
        }
        check(&[("forwarded", "for=\"[::1]\", for=10.0.0.7")], "10.0.0.7");
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("for=198.51.100.9, for=192.0.2.1;proto=https, for=10.0.0.2", "192.0.2.1"),
            ("by=10.0.0.2; for=\"192.0.2.1:80\" , for=10.0.0.2", "192.0.2.1"),
            ("for=192.0.2.1;host=\"a,b;c\"", "192.0.2.1"),
            // No address, no `for`, or none that can be read.
            ("for=unknown", "10.0.0.1"),
            ("for=192.0.2.1, proto=http", "10.0.0.1"),
            ("for=192.0.2.1, for=_x, for=10.0.0.2", "10.0.0.2"),
            ("for=192.0.2.1;for=198.51.100.9", "10.0.0.1"),
            ("for=192.0.2.1,", "10.0.0.1"),
            ("192.0.2.1", "10.0.0.1"),
            ("for=", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            check(&[("forwarded", value)], expected);
        }
        check(&[("forwarded", "for=198.51.100.9"), ("forwarded", "for=192.0.2.1")], "192.0.2.1");
    }

    /// The proxy appends `for=192.0.2.1`, quoted or not: whatever a client sent before it, it is not taken for another.
    #[test]
    fn nothing_that_a_client_sends_makes_it_another() {
        for sent in [
            "for=198.51.100.9",
            "for=\"198.51.100.9",
            "for=198.51.100.9;by=\"x",
            "for=198.51.100.9, for=\"x",
            "for=198.51.100.9;x=\"\\\"",
            "for=198.51.100.9;x=\"\\",
            "\"",
            ",",
            ";",
            "for=10.0.0.9, for=\"",
        ] {
            for appended in ["for=192.0.2.1", "for=\"192.0.2.1\"", "for=\"192.0.2.1:80\";proto=http"] {
                let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
                let settings = Settings { trusted_proxies, ..Settings::default() };
                let mut map = HeaderMap::new();
                map.append(FORWARDED, HeaderValue::from_str(&format!("{sent}, {appended}")).unwrap());
                let found = client(&settings, &map, "10.0.0.1".parse().unwrap()).to_string();
                assert!(["192.0.2.1", "10.0.0.1"].contains(&found.as_str()), "{sent} {appended}: {found}");
            }
        }
    }

    #[test]
    fn where_the_two_differ_neither_is_believed() {
        let check = |forwarded, x_forwarded_for, expected| {
            check(&[("forwarded", forwarded), ("x-forwarded-for", x_forwarded_for)], expected);
        };
        check("for=192.0.2.1", "192.0.2.1", "192.0.2.1");
        check("for=198.51.100.9", "192.0.2.1", "10.0.0.1");
        check("for=192.0.2.1", "198.51.100.9", "10.0.0.1");
    }
}
