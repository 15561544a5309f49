//! A response as bytes, which hyper would write otherwise.

use std::time::{Duration, UNIX_EPOCH};

use axum::response::Response;
use bytes::Bytes;
use fanfare_log::Timestamp;
use futures_util::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

/// The head of a stream of chunks.
pub(crate) fn stream_head(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Vec<u8> {
    let mut head = head(status, headers, now);
    field(&TRANSFER_ENCODING, b"chunked", &mut head);
    head.extend_from_slice(b"\r\n");
    head
}

/// A response that is complete, and after which the connection is closed. `None` if its body is not there at once.
pub(crate) fn whole(response: Response, now: Timestamp) -> Option<Vec<u8>> {
    let (parts, body) = response.into_parts();
    let body: Bytes = body.collect().now_or_never()?.ok()?.to_bytes();
    let mut bytes = head(parts.status, &parts.headers, now);
    field(&CONTENT_LENGTH, body.len().to_string().as_bytes(), &mut bytes);
    field(&CONNECTION, b"close", &mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    Some(bytes)
}

fn head(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
    // The router gives each body whose length it knows a length, also the empty one in place of a stream.
    let headers = headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH);
    headers.for_each(|(name, value)| field(name, value.as_bytes(), &mut head));
    let date = UNIX_EPOCH.checked_add(Duration::from_millis(now.0)).unwrap_or(UNIX_EPOCH);
    // The format has four digits for the year.
    if now.0 < YEAR_9999_MILLISECONDS {
        field(&DATE, httpdate::fmt_http_date(date).as_bytes(), &mut head);
    }
    head
}

const YEAR_9999_MILLISECONDS: u64 = 253_370_764_800_000;

fn field(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
