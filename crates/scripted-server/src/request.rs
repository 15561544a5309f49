//! What a client asked for.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};

/// A request, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    head: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Request {
    /// The method, as it came.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// What was asked for, as it came: the path and the query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The first value of a header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    /// Every value of a header, in order.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The whole head, with its line ends.
    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The body. Empty if there was none.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Reads a request up to its last byte.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = BytesMut::new();
        let (mut request, body_bytes) = loop {
            if let Some(found) = Self::parse(&mut bytes)? {
                break found;
            }
            if bytes.len() >= HEAD_BYTES_MAX {
                return Err(invalid(format!("the request's head is longer than {HEAD_BYTES_MAX} bytes")));
            }
            read_some(stream, &mut bytes, "head").await?;
        };
        while bytes.len() < body_bytes {
            read_some(stream, &mut bytes, "body").await?;
        }
        if bytes.len() > body_bytes {
            return Err(invalid("something came behind the request before it was answered"));
        }
        request.body = bytes.freeze();
        Ok(request)
    }

    /// Takes the head off `bytes` if it is there; with it comes the length of the body.
    fn parse(bytes: &mut BytesMut) -> io::Result<Option<(Self, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        let status = parsed.parse(bytes).map_err(|error| invalid(format!("this is no HTTP/1 request: {error}")))?;
        let httparse::Status::Complete(head_bytes) = status else { return Ok(None) };
        let headers: Vec<_> = parsed
            .headers
            .iter()
            .map(|header| Ok((header.name.to_owned(), text(header.value)?)))
            .collect::<io::Result<_>>()?;
        let (method, target) =
            (parsed.method.unwrap_or_default().to_owned(), parsed.path.unwrap_or_default().to_owned());
        let head = text(&bytes.split_to(head_bytes))?;
        let request = Self { head, method, target, headers, body: Bytes::new() };
        let body_bytes = request.content_length()?;
        Ok(Some((request, body_bytes)))
    }

    fn content_length(&self) -> io::Result<usize> {
        if self.header("transfer-encoding").is_some() {
            return Err(invalid("the request's body comes in chunks: send it with Content-Length"));
        }
        let Some(value) = self.header("content-length") else { return Ok(0) };
        match value.parse() {
            Ok(length) if length <= BODY_BYTES_MAX => Ok(length),
            Ok(_) => Err(invalid(format!("the request's body is longer than {BODY_BYTES_MAX} bytes"))),
            Err(_) => Err(invalid(format!("{value:?} is no Content-Length"))),
        }
    }
}

async fn read_some(stream: &mut (impl AsyncRead + Unpin), bytes: &mut BytesMut, part: &str) -> io::Result<()> {
    match stream.read_buf(bytes).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the request's {part} is cut off"))),
        _ => Ok(()),
    }
}

/// A header may hold any byte above the control characters. Event ids are UTF-8, and a test is meant to see what is
/// not.
fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| invalid(format!("the request's head is not UTF-8: {error}")))
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(pieces: &[&[u8]]) -> io::Result<Request> {
        let (mut client, mut server) = tokio::io::duplex(HEAD_BYTES_MAX * 2);
        for piece in pieces {
            tokio::io::AsyncWriteExt::write_all(&mut client, piece).await?;
        }
        drop(client);
        Request::read(&mut server).await
    }

    #[tokio::test]
    async fn a_request_in_any_pieces() {
        let whole =
            "REPORT /a?b=c HTTP/1.1\r\nX-One: 1\r\nLast-Event-ID: …é\r\nx-one: 2\r\nContent-Length: 3\r\n\r\nabc";
        let pieces: Vec<_> = whole.as_bytes().chunks(1).collect();
        for pieces in [vec![whole.as_bytes()], pieces] {
            let request = read(&pieces).await.expect("it is whole");
            assert_eq!((request.method(), request.target()), ("REPORT", "/a?b=c"));
            assert_eq!(request.header("LAST-EVENT-ID"), Some("…é"));
            assert_eq!(Vec::from_iter(request.header_values("x-one")), ["1", "2"]);
            assert_eq!(request.header("x-two"), None);
            assert_eq!(&request.body()[..], b"abc");
            assert!(whole.starts_with(request.head()) && request.head().ends_with("\r\n\r\n"));
        }
    }

    #[tokio::test]
    async fn what_is_no_request_is_said() {
        let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], "head is cut off"),
            (b"", "head is cut off"),
            (b"\x16\x03\x01 TLS\r\n\r\n", "no HTTP/1 request"),
            (b"GET / HTTP/1.1\r\nX: \xff\r\n\r\n", "not UTF-8"),
            (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", "body is cut off"),
            (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "no Content-Length"),
            (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "longer than"),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "with Content-Length"),
            (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", "came behind"),
            (long.as_bytes(), "longer than"),
        ] {
            let error = read(&[bytes]).await.expect_err("it is no request").to_string();
            assert!(error.contains(expected), "{expected:?}: {error}");
        }
    }
}
