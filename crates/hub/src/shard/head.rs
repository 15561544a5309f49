//! What a connection says: is it a request that a shard answers?

use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Method, Request, Version};
use httparse::{EMPTY_HEADER, Status};

use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX, REQUEST_BYTES_MAX};

/// What bytes from a connection are, from the first of a request on.
#[derive(Debug)]
pub(crate) enum Head {
    /// Not a whole head yet.
    More,
    /// The head of a publish whose body is not whole yet: with it, it has so many bytes.
    Body(usize),
    /// A request that the shard answers, and its bytes: a plain HTTP/1.1 `GET` of a subscribers' path with nothing after
    /// it, or a `POST` there with a `Content-Length`, if any, that leaves it small.
    Whole(Box<Request<Body>>, usize),
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
            Ok(Status::Complete(end)) if end <= HEAD_BYTES_MAX => Self::of(&request, bytes, end),
            Ok(_) | Err(_) => Self::Other,
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

    fn of(request: &httparse::Request<'_, '_>, bytes: &[u8], end: usize) -> Self {
        let has = |name: &HeaderName| request.headers.iter().any(|header| name == header.name);
        if has(&CONTENT_LENGTH) && has(&TRANSFER_ENCODING) {
            return Self::TwoLengths;
        }
        let stays_open =
            request.headers.iter().filter(|header| CONNECTION == header.name).all(|header| is_keep_alive(header.value));
        let is_plain = request.version == Some(1)
            && stays_open
            && !(has(&TRANSFER_ENCODING) || has(&EXPECT) || has(&UPGRADE))
            && request.path.is_some_and(is_for_events);
        let (method, body) = match request.method {
            // A subscriber has nothing more to say; if it has, hyper keeps that for when the stream ends.
            Some("GET") if is_plain && !has(&CONTENT_LENGTH) && end == bytes.len() => (Method::GET, end..end),
            Some("POST") if is_plain => match length(request.headers) {
                Some(length) if length <= REQUEST_BYTES_MAX - end => (Method::POST, end..end + length),
                _ => return Self::Other,
            },
            _ => return Self::Other,
        };
        if body.end > bytes.len() {
            return Self::Body(body.end);
        }
        let length = body.end;
        let request = Self::request(method, request, bytes, body);
        request.map_or(Self::Other, |request| Self::Whole(Box::new(request), length))
    }

    fn request(
        method: Method,
        head: &httparse::Request<'_, '_>,
        bytes: &[u8],
        body: Range<usize>,
    ) -> Option<Request<Body>> {
        let body = bytes.get(body).filter(|body| !body.is_empty());
        let mut request = Request::new(body.map_or_else(Body::empty, |body| Body::from(Bytes::copy_from_slice(body))));
        *request.method_mut() = method;
        *request.version_mut() = Version::HTTP_11;
        *request.uri_mut() = head.path?.parse().ok()?;
        request.headers_mut().reserve(head.headers.len());
        for header in head.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            request.headers_mut().append(name, HeaderValue::from_bytes(header.value).ok()?);
        }
        Some(request)
    }
}

/// The length of the body. `None` if it is not said, or not once and plainly: that is for hyper to judge.
fn length(headers: &[httparse::Header<'_>]) -> Option<usize> {
    let mut lengths = headers.iter().filter(|header| CONTENT_LENGTH == header.name);
    let Some(length) = lengths.next() else { return Some(0) };
    let is_plain = lengths.next().is_none() && length.value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(length.value).ok().filter(|_| is_plain)?.parse().ok()
}

/// The paths that the router gives to those who subscribe and publish.
fn is_for_events(target: &str) -> bool {
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
            Head::Body(_) => "body",
            Head::Whole(..) => "whole",
            Head::TwoLengths => "two lengths",
            Head::Other => "other",
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(name(&Head::parse(text.as_bytes())), expected, "{text:?}");
    }

    #[test]
    fn plain_subscriptions_are_answered_here_and_all_else_by_hyper() {
        for line in [
            "GET /events HTTP/1.1",
            "\r\nGET /events HTTP/1.1",
            "GET /events?topic=a HTTP/1.1",
            "GET /events/a/b?topic=c HTTP/1.1\r\nConnection: Keep-Alive",
            "GET /.well-known/mercure?topic=a HTTP/1.1\r\nConnection: keep-alive\r\nAccept: text/event-stream",
        ] {
            check(&format!("{line}\r\nHost: localhost\r\n\r\n"), "whole");
            check(&format!("{line}\nHost: localhost\n\n"), "whole");
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
            "POST / HTTP/1.1",
            "PUT /events/a HTTP/1.1",
            "POST /events/a HTTP/1.0",
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
    fn small_publishes_are_answered_here_and_larger_or_stranger_ones_by_hyper() {
        for path in ["/events", "/events/a?type=b", "/.well-known/mercure"] {
            let head = |fields: &str| format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            check(&head(""), "whole");
            check(&head("Content-Length: 0\r\n"), "whole");
            check(&head("Content-Length: 3\r\n"), "body");
            check(&format!("{}ab", head("Content-Length: 3\r\n")), "body");
            check(&format!("{}abc", head("Content-Length: 3\r\nConnection: keep-alive\r\n")), "whole");
            check(&format!("{}abcGET", head("content-length:  03 \r\n")), "whole");
            for fields in [
                "Content-Length: +3\r\n",
                "Content-Length: -3\r\n",
                "Content-Length: 3, 3\r\n",
                "Content-Length: 3\r\nContent-Length: 3\r\n",
                "Content-Length: 3\r\nContent-Length: 2\r\n",
                "Content-Length:\r\n",
                "Content-Length: 99999999999999999999\r\n",
                "Content-Length: 18446744073709551615\r\n",
                "Content-Length: 65536\r\n",
                "Content-Length: 3\r\nExpect: 100-continue\r\n",
                "Content-Length: 3\r\nUpgrade: h2c\r\n",
                "Content-Length: 3\r\nConnection: close\r\n",
                "Transfer-Encoding: chunked\r\n",
            ] {
                check(&format!("{}abc", head(fields)), "other");
            }
        }
    }

    #[test]
    fn a_request_ends_where_its_body_does() {
        let text = b"POST /events/a HTTP/1.1\r\nContent-Length: 2\r\n\r\nabPOST";
        for end in 0..=text.len() {
            match Head::parse(&text[..end]) {
                Head::More => assert!(end < text.len() - 6),
                Head::Body(length) => assert!(end < length && length == text.len() - 4),
                Head::Whole(_, length) => assert!(end >= length && length == text.len() - 4),
                other => panic!("{other:?} at {end}"),
            }
        }
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
            assert_eq!(parsed, "whole", "in pieces of {size}");
        }
    }
}
