//! The PROXY protocol, versions 1 and 2: a proxy that passes bytes on says first for whom.

use std::io;
use std::net::IpAddr;

use bytes::Bytes;
use ppp::{v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::limits::PROXY_HEADER_BYTES_MAX;

/// What a connection from a trusted proxy begins with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// For whom it is. Absent if there was no header, or the proxy asks for itself or its own machine.
    pub(crate) client: Option<IpAddr>,
    /// What was read that is no header.
    pub(crate) read: Bytes,
}

/// Reads the header off `stream`, if there is one. Nothing but a proxy that is trusted may be asked.
///
/// What comes is looked at before it is taken, so that everything after the header stays in the socket, for TLS or for a
/// shard.
pub(crate) async fn announcement(stream: &mut TcpStream) -> io::Result<Announcement> {
    let mut taken = Vec::new();
    loop {
        let mut seen = taken.clone();
        seen.resize(taken.len() + ROOM_BYTES, 0);
        let length = stream.peek(&mut seen[taken.len()..]).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        seen.truncate(taken.len() + length);
        match Header::parse(&seen)? {
            Header::None => return Ok(Announcement { client: None, read: taken.into() }),
            Header::Whole(length, client) => {
                let mut rest = vec![0; length - taken.len()];
                stream.read_exact(&mut rest).await?;
                return Ok(Announcement { client, read: Bytes::new() });
            }
            Header::More if seen.len() > PROXY_HEADER_BYTES_MAX => return Err(malformed("the header is too long")),
            Header::More => {
                // Taken, so that the next look waits for what is new.
                stream.read_exact(&mut vec![0; length]).await?;
                taken = seen;
            }
        }
    }
}

/// What is looked at in one go: a header of version 1, and one of version 2 with what load balancers add.
const ROOM_BYTES: usize = 512;

const VERSION_1: &[u8] = b"PROXY ";
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 1 has a line of 107 bytes at most, with its end.
const LINE_BYTES_MAX: usize = 107;

/// What some bytes are.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    /// The beginning of one, perhaps.
    More,
    None,
    /// One of so many bytes.
    Whole(usize, Option<IpAddr>),
}

impl Header {
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, expected)| byte == expected);
        if begins(VERSION_1) && bytes.len() >= VERSION_1.len() {
            return Self::version_1(bytes);
        }
        if begins(VERSION_2) && bytes.len() >= VERSION_2.len() {
            return Self::version_2(bytes);
        }
        Ok(if begins(VERSION_1) || begins(VERSION_2) { Self::More } else { Self::None })
    }

    fn version_1(bytes: &[u8]) -> io::Result<Self> {
        let Some(end) = bytes.windows(2).take(LINE_BYTES_MAX - 1).position(|two| two == b"\r\n") else {
            return if bytes.len() < LINE_BYTES_MAX { Ok(Self::More) } else { Err(malformed("its line has no end")) };
        };
        let line = bytes.get(..end + 2).unwrap_or_default();
        let header = v1::Header::try_from(line).map_err(malformed)?;
        let client = match header.addresses {
            v1::Addresses::Tcp4(addresses) => Some(IpAddr::V4(addresses.source_address)),
            v1::Addresses::Tcp6(addresses) => Some(IpAddr::V6(addresses.source_address)),
            v1::Addresses::Unknown => None,
        };
        Ok(Self::whole(line.len(), client))
    }

    fn version_2(bytes: &[u8]) -> io::Result<Self> {
        let Some(&[high, low]) = bytes.get(14..16) else { return Ok(Self::More) };
        let length = 16 + usize::from(u16::from_be_bytes([high, low]));
        if length > PROXY_HEADER_BYTES_MAX {
            return Err(malformed("the header is too long"));
        }
        let Some(whole) = bytes.get(..length) else { return Ok(Self::More) };
        let header = v2::Header::try_from(whole).map_err(malformed)?;
        let client = match (header.command, header.addresses) {
            // A health check of the proxy's own.
            (v2::Command::Local, _) => None,
            (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Some(IpAddr::V4(addresses.source_address)),
            (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Some(IpAddr::V6(addresses.source_address)),
            (v2::Command::Proxy, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
        };
        Ok(Self::whole(length, client))
    }

    /// One whose client is on the proxy's own machine is the proxy's: of this machine's own programs there may be any
    /// number, and it is not this machine that is meant.
    fn whole(length: usize, client: Option<IpAddr>) -> Self {
        Self::Whole(length, client.map(|client| client.to_canonical()).filter(|client| !client.is_loopback()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to map_err")]
fn malformed(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the PROXY header is malformed: {}", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the bytes are in all: `none`, `more`, `bad`, or the header's length and client.
    fn check(bytes: &[u8], expected: &str) {
        let name = |bytes: &[u8]| match Header::parse(bytes) {
            Err(_) => "bad".to_owned(),
            Ok(Header::More) => "more".to_owned(),
            Ok(Header::None) => "none".to_owned(),
            Ok(Header::Whole(length, client)) => {
                format!("{length} {}", client.map_or_else(|| "-".to_owned(), |client| client.to_string()))
            }
        };
        assert_eq!(name(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        // Whatever it is, its beginning does not say something else.
        let whole = bytes.len().min(expected.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX));
        for length in 1..whole {
            let beginning = name(&bytes[..length]);
            assert!(beginning == "more" || beginning == expected, "{length} bytes are {beginning}");
        }
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = (addresses.len() as u16).to_be_bytes();
        [VERSION_2, &[0x20 | command, family], &length, addresses].concat()
    }

    #[test]
    fn version_1() {
        check(b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\nGET / HTTP/1.1\r\n\r\n", "41 192.0.2.1");
        check(b"PROXY TCP6 2001:db8::1 fd00::1 56324 443\r\n\x16\x03", "42 2001:db8::1");
        check(b"PROXY TCP6 ::ffff:192.0.2.1 fd00::1 1 2\r\n", "41 192.0.2.1");
        check(b"PROXY UNKNOWN\r\nGET", "15 -");
        check(b"PROXY TCP4 127.0.0.1 10.0.0.1 56324 443\r\n", "41 -");
        check(b"PROXY TCP6 ::1 fd00::1 56324 443\r\n", "34 -");
        check(b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "59 -");
        for bad in [
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n",
            "PROXY TCP4 x 10.0.0.1 1 2\r\n",
            "PROXY \r\n",
            "PROXY  TCP4\r\n",
        ] {
            check(bad.as_bytes(), "bad");
        }
        check(&[b"PROXY ".as_slice(), &[b'x'; 101]].concat(), "bad");
        check(b"PROXY TCP4 192.0.2.1", "more");
    }

    #[test]
    fn version_2_with_and_without_what_balancers_add() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0, 80, 1, 187];
        check(&version_2(1, 0x11, &four), "28 192.0.2.1");
        check(&version_2(1, 0x11, &[&four[..], &[4, 0, 3, 1, 2, 3]].concat()), "34 192.0.2.1");
        check(&version_2(0, 0x11, &four), "28 -");
        check(&version_2(0, 0, &[]), "16 -");
        check(&version_2(1, 0x31, &[0; 216]), "232 -");
        let six = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0; 16]].concat();
        check(&version_2(1, 0x21, &[&six[..], &[0; 4]].concat()), "52 2001:db8::1");
        check(&version_2(1, 0x11, &four[..8]), "bad");
        check(&version_2(1, 0x11, &[0; 60_000]), "bad");
        check(&[VERSION_2, &[0x31, 0x11, 0, 0]].concat(), "bad");
    }

    #[test]
    fn everything_else_is_none() {
        for bytes in ["GET / HTTP/1.1", "POST /", "PUT /", "PRI * HTTP/2.0", "\x16\x03\x01", "\r\nGET /", "\r\n\r\nGET"]
        {
            check(bytes.as_bytes(), "none");
        }
        check(b"PRO", "more");
        check(b"\r\n\r\n", "more");
    }
}
