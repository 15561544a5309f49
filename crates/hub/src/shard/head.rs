//! The head of a connection's first request: is it a plain subscription?

use axum::body::Body;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Method, Request, Version};
use httparse::{EMPTY_HEADER, Status};

use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX};

/// What the bytes of a new connection are.
#[derive(Debug)]
pub(crate) enum Head {
    /// Not a whole head yet.
    More,
    /// A plain `GET` of HTTP/1.1 at one of the subscribers' paths, with nothing after it: the shard serves it.
    Subscription(Box<Request<Body>>),
    /// Two lengths of one body: whoever believes the other one could be made to see a request that is none (request
    /// smuggling). RFC 9112, section 6.3, lets a server refuse it.
    TwoLengths,
    /// Anything else, good or bad: hyper answers it.
    Other,
}

impl Head {
    /// Reads `bytes`, all that has come so far.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Self::More,
            Ok(Status::Complete(end)) => Self::of(&request, end == bytes.len()),
            Ok(Status::Partial) | Err(_) => Self::Other,
        }
    }

    /// Whether `new` bytes at the end of `bytes` may have completed a head. A head that comes byte by byte would else
    /// be parsed as often.
    pub(crate) fn may_be_whole(bytes: &[u8], new: usize) -> bool {
        let from = bytes.len().saturating_sub(new + 3);
        let tail = bytes.get(from..).unwrap_or_default();
        // The first bytes tell what is no HTTP at all.
        from == 0
            || bytes.len() >= HEAD_BYTES_MAX
            || tail.windows(2).any(|end| end == b"\n\n")
            || tail.windows(3).any(|end| end == b"\n\r\n")
    }

    fn of(request: &httparse::Request<'_, '_>, is_all: bool) -> Self {
        let has = |name: &HeaderName| request.headers.iter().any(|header| name == header.name);
        if has(&CONTENT_LENGTH) && has(&TRANSFER_ENCODING) {
            return Self::TwoLengths;
        }
        let has_body = has(&CONTENT_LENGTH) || has(&TRANSFER_ENCODING) || has(&EXPECT) || has(&UPGRADE);
        let stays_open =
            request.headers.iter().filter(|header| CONNECTION == header.name).all(|header| is_keep_alive(header.value));
        let is_plain = request.method == Some("GET") && request.version == Some(1) && !has_body && stays_open && is_all;
        let Some(path) = request.path.filter(|path| is_plain && is_subscription(path)) else { return Self::Other };
        Self::request(path, request.headers).map_or(Self::Other, |request| Self::Subscription(Box::new(request)))
    }

    fn request(path: &str, headers: &[httparse::Header<'_>]) -> Option<Request<Body>> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::GET;
        *request.version_mut() = Version::HTTP_11;
        *request.uri_mut() = path.parse().ok()?;
        request.headers_mut().reserve(headers.len());
        for header in headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            request.headers_mut().append(name, HeaderValue::from_bytes(header.value).ok()?);
        }
        Some(request)
    }
}

/// The paths that the router gives to `http::subscribe` and `http::mercure`.
fn is_subscription(target: &str) -> bool {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    path == "/events" || path.starts_with("/events/") || path == "/.well-known/mercure"
}

fn is_keep_alive(value: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(b"keep-alive")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(head: &Head) -> &'static str {
        match head {
            Head::More => "more",
            Head::Subscription(_) => "subscription",
            Head::TwoLengths => "two lengths",
            Head::Other => "other",
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(name(&Head::parse(text.as_bytes())), expected, "{text:?}");
    }

    #[test]
    fn plain_subscriptions_stay_and_all_else_goes_to_hyper() {
        for line in [
            "GET /events HTTP/1.1",
            "\r\nGET /events HTTP/1.1",
            "GET /events?topic=a HTTP/1.1",
            "GET /events/a/b?topic=c HTTP/1.1\r\nConnection: Keep-Alive",
            "GET /.well-known/mercure?topic=a HTTP/1.1\r\nConnection: keep-alive\r\nAccept: text/event-stream",
        ] {
            check(&format!("{line}\r\nHost: localhost\r\n\r\n"), "subscription");
            check(&format!("{line}\nHost: localhost\n\n"), "subscription");
            check(&format!("{line}\r\nHost: localhost\r\n\r"), "more");
            check(&format!("{line}\r\nHost: localhost\r\n\r\nG"), "other");
            check(&format!("{line}\r\nContent-Length: 0\r\n\r\n"), "other");
            check(&format!("{line}\r\nTransfer-Encoding: chunked\r\n\r\n"), "other");
            check(&format!("{line}\r\nExpect: 100-continue\r\n\r\n"), "other");
            check(&format!("{line}\r\nConnection: close\r\n\r\n"), "other");
            check(&format!("{line}\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"), "other");
            check(&format!("{line}\r\nBad Header: x\r\n\r\n"), "other");
            check(&format!("{line}\r\n{}\r\n", "A: b\r\n".repeat(101)), "other");
        }
        for line in [
            "GET / HTTP/1.1",
            "GET /metrics HTTP/1.1",
            "GET /eventsource HTTP/1.1",
            "GET http://localhost/events HTTP/1.1",
            "GET /events HTTP/1.0",
            "GET /events HTTP/9.9",
            "HEAD /events HTTP/1.1",
            "POST /events/a HTTP/1.1",
            "OPTIONS /events HTTP/1.1",
            "PRI * HTTP/2.0",
        ] {
            check(&format!("{line}\r\nHost: localhost\r\n\r\n"), "other");
        }
        check("\x16\x03\x01\x02\0\x01\0\x01", "other");
        check("", "more");
        check("PRI * HTTP/2.0\r\n", "other");
        check(&"x".repeat(HEAD_BYTES_MAX), "other");
    }

    #[test]
    fn two_lengths_are_refused_whatever_the_method() {
        for method in ["GET", "POST"] {
            let lengths = "Transfer-Encoding: chunked\r\ncontent-length: 3";
            check(&format!("{method} /events HTTP/1.1\r\n{lengths}\r\n\r\n0\r\n\r\n"), "two lengths");
        }
    }

    #[test]
    fn a_head_in_pieces_is_parsed_when_it_is_whole() {
        let text = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for size in 1..text.len() {
            let mut seen = Vec::new();
            let mut parsed = "more";
            for piece in text.chunks(size) {
                assert_eq!(parsed, "more");
                seen.extend_from_slice(piece);
                if Head::may_be_whole(&seen, piece.len()) {
                    parsed = name(&Head::parse(&seen));
                }
            }
            assert_eq!(parsed, "subscription", "in pieces of {size}");
        }
    }
}
