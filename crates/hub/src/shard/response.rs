//! A response as bytes, which hyper would write otherwise.

use std::time::{Duration, UNIX_EPOCH};

use fanfare_log::Timestamp;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, StatusCode};

use crate::http::{REQUEST_ID, RequestId};

/// The value of the header `Date`, which is written anew once a second.
#[derive(Debug, Default)]
pub(crate) struct Date {
    second: Option<u64>,
    text: String,
}

impl Date {
    /// Comes to `now`.
    pub(crate) fn set(&mut self, now: Timestamp) {
        let second = now.0 / 1000;
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        self.text.clear();
        // The format has four digits for the year.
        if now.0 < YEAR_9999_MILLISECONDS
            && let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(second))
        {
            self.text = httpdate::fmt_http_date(time);
        }
    }
}

const YEAR_9999_MILLISECONDS: u64 = 253_370_764_800_000;

/// Appends the head of a stream of chunks.
pub(crate) fn stream_head(parts: &Parts, date: &Date, out: &mut Vec<u8>) {
    head(parts.status, &parts.headers, date, out);
    field(&TRANSFER_ENCODING, b"chunked", out);
    out.extend_from_slice(b"\r\n");
}

/// Appends a response that is complete. The connection stays open.
pub(crate) fn whole(parts: &Parts, body: &[u8], date: &Date, out: &mut Vec<u8>) {
    head(parts.status, &parts.headers, date, out);
    field(&CONTENT_LENGTH, body.len().to_string().as_bytes(), out);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Appends the answer to a request that is none, as hyper gives it. It is the last.
pub(super) fn bad_request(id: &RequestId, date: &Date, out: &mut Vec<u8>) {
    let mut headers = HeaderMap::new();
    headers.insert(REQUEST_ID, id.header());
    headers.insert(CONNECTION, http::HeaderValue::from_static("close"));
    head(StatusCode::BAD_REQUEST, &headers, date, out);
    field(&CONTENT_LENGTH, b"0", out);
    out.extend_from_slice(b"\r\n");
}

fn head(status: StatusCode, headers: &HeaderMap, date: &Date, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH) {
        field(name, value.as_bytes(), out);
    }
    if !date.text.is_empty() {
        field(&DATE, date.text.as_bytes(), out);
    }
}

fn field(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
