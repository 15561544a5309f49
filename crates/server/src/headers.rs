//! The headers without which something between server and browser breaks the stream.

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// Sets the headers of an event stream.
///
/// * `Content-Type: text/event-stream`, without which a browser gives up (C16);
/// * `Cache-Control: no-cache, no-store, no-transform`: caches must not keep the stream, and a proxy must not compress
///   it, because compressors wait for more input (S7);
/// * `X-Accel-Buffering: no`: nginx, and what imitates it, passes each write on at once.
///
/// What stands there under these names is replaced. Responses of this crate have them already.
///
/// ```
/// let mut response = http::Response::new("data: a\n\n");
/// fanfare_server::set_event_stream_headers(response.headers_mut());
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
/// ```
pub fn set_event_stream_headers(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(fanfare_wire::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
}

/// The same, and what keeps a compressor of this process away that was told to compress everything: tower-http's leaves
/// `text/event-stream` alone by default, but with another predicate looks only at whether there is a
/// `Content-Encoding`. `identity` is the coding that changes nothing.
pub(crate) fn set_own_headers(headers: &mut HeaderMap) {
    set_event_stream_headers(headers);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
}
