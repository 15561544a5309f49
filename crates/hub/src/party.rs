//! Whom a limit is for.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

/// Somebody for whom connections, streams and events are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    /// An address of IPv4.
    V4([u8; 4]),
    /// A network of IPv6 with a prefix of 64 bits: each home has at least one, and all of its addresses for the asking.
    V6([u8; 8]),
    /// The subject of a token.
    Subject(u64),
    /// Whoever can't be told apart: an application that nests the router does not say where requests come from.
    Unknown,
}

impl Party {
    /// Whoever has this address.
    pub(crate) fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// Whoever is the subject of a token. Only a hash is kept, with a key of this process: that two are one is as likely as
    /// a guess of 64 bits, and then they share a limit.
    pub(crate) fn of_subject(subject: &str) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self::Subject(KEY.hash_one(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_the_same() {
        let check = |one: &str, other: &str, is_same: bool| {
            let party = |text: &str| Party::of_address(text.parse().unwrap());
            assert_eq!(party(one) == party(other), is_same, "{one} {other}");
        };
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("2001:db8::1", "2001:db8::ffff:1:2:3", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
        assert_eq!(Party::of_subject("a"), Party::of_subject("a"));
        assert_ne!(Party::of_subject("a"), Party::of_subject("b"));
    }
}
