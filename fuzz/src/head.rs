//! Bytes from a connection as a shard reads them: in pieces as well as whole, and as hyper does.

use std::convert::Infallible;
use std::sync::Mutex;

use fanfare_hub::fuzzing::{Heard, hear, is_worth_a_look};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

pub const WORDS: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"/events",
    b"/events/a?type=b",
    b"/.well-known/mercure",
    b" HTTP/1.1",
    b" HTTP/1.0",
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b"Host: localhost\r\n",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\n",
    b": ",
    b"0",
    b"3",
    b"18446744073709551616",
    b",",
    b"+",
    b"\t",
    b" ",
    b"\0",
    b"\xFF",
    b"%",
    b"PRI * HTTP/2",
];

/// What the shard answers must be there whole, be seen at no earlier byte, and be the request that hyper reads.
pub fn check(bytes: &[u8]) {
    let heard = hear(bytes);
    let in_pieces = byte_by_byte(bytes);
    match &heard {
        Heard::Whole(_, length) => {
            assert!(*length <= bytes.len());
            assert_eq!(in_pieces, Some(*length), "byte by byte it ends elsewhere");
        }
        Heard::More(Some(length)) => assert!(*length > bytes.len(), "all {length} bytes are there"),
        Heard::More(None) => assert_eq!(in_pieces, None, "byte by byte it has an end"),
        Heard::TwoLengths | Heard::Other => {}
    }
    let Heard::Whole(request, length) = heard else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    let ours = runtime.block_on(seen(*request));
    let theirs = runtime.block_on(as_hyper_reads(&bytes[..length]));
    assert_eq!(Some(ours), theirs, "hyper reads another request");
}

/// After how many bytes a shard has something to do, if they come one at a time.
fn byte_by_byte(bytes: &[u8]) -> Option<usize> {
    let mut needs = 0;
    (1..=bytes.len()).find(|&length| {
        let begun = &bytes[..length];
        if length < needs || needs == 0 && !is_worth_a_look(begun, 1) {
            return false;
        }
        match hear(begun) {
            Heard::More(more) => {
                needs = more.unwrap_or(0);
                false
            }
            _ => true,
        }
    })
}

/// A request as its handler sees it.
type Seen = (Method, Uri, HeaderMap, Bytes);

async fn seen<B: hyper::body::Body<Data = Bytes, Error: std::fmt::Debug>>(request: Request<B>) -> Seen {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("the body is there").to_bytes();
    (head.method, head.uri, head.headers, body)
}

async fn as_hyper_reads(bytes: &[u8]) -> Option<Seen> {
    let found = Mutex::new(None);
    let service = service_fn(async |request: Request<Incoming>| {
        let seen = seen(request).await;
        found.lock().expect("no panic before").get_or_insert(seen);
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let stream = TokioIo::new(tokio::io::join(bytes, tokio::io::sink()));
    // The end of its input is an error to it or not.
    let _ = hyper::server::conn::http1::Builder::new().max_buf_size(32 << 10).serve_connection(stream, service).await;
    found.into_inner().expect("no panic before")
}
