//! Proxies that are believed when they say for whom they ask.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::settings::Settings;

/// A network whose hosts are believed in `Forwarded`, `X-Forwarded-For` and the PROXY protocol.
///
/// ```
/// use fanfare_hub::TrustedProxy;
///
/// let proxies: Result<Vec<TrustedProxy>, _> = ["10.0.0.0/8", "192.0.2.1", "fd00::/8"].map(str::parse).into_iter().collect();
/// assert_eq!(proxies?[1].to_string(), "192.0.2.1/32");
/// # Ok::<(), fanfare_hub::InvalidTrustedProxy>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedProxy(IpNet);

impl FromStr for TrustedProxy {
    type Err = InvalidTrustedProxy;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedProxy> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(|net| Self(net.trunc())).map_err(|_| InvalidTrustedProxy(text.to_owned()))
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// No network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network: write it as 10.0.0.0/8, or a single address")]
pub struct InvalidTrustedProxy(String);

impl Settings {
    /// Whether `address`, which is canonical, is a proxy's that is believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|proxy| proxy.0.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_own_addresses_alone() {
        let check = |network: &str, address: &str, expected: bool| {
            let settings = Settings { trusted_proxies: vec![network.parse().unwrap()], ..Settings::default() };
            assert_eq!(settings.trusts(address.parse().unwrap()), expected, "{network} {address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.1.2.3/8", "10.0.0.1", true);
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("fd00::/8", "fdff::1", true);
        check("fd00::/8", "fe80::1", false);
        check("0.0.0.0/0", "::1", false);
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0", "10.0.0.0/8,11.0.0.0/8", "::/129"] {
            assert!(text.parse::<TrustedProxy>().unwrap_err().to_string().contains(text));
        }
    }
}
