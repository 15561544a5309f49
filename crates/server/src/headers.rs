//! The headers without which something between server and browser breaks the stream.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// Sets the headers of an event stream.
///
/// * `Content-Type: text/event-stream`, without which a browser gives up (C16);
/// * `Cache-Control: no-cache, no-store, no-transform`: caches must not keep the stream, and a proxy must not compress
///   it, because compressors wait for more input (S7);
/// * `X-Accel-Buffering: no`: nginx, and what imitates it, passes each write on at once.
pub fn set_event_stream_headers(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(fanfare_wire::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
}
