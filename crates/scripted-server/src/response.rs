//! The heads that tests need most. Every other one is written out where it is sent.

/// The head of an event stream that ends with its connection.
pub const EVENT_STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// The head of an event stream in chunks, so that a client can tell its end from a cut.
pub const CHUNKED_EVENT_STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A whole response without a body, which closes the connection.
///
/// ```
/// let answer = fanfare_scripted_server::status(503);
/// assert!(answer.starts_with("HTTP/1.1 503 "));
/// ```
#[must_use]
pub fn status(status: u16) -> String {
    // Neither 1xx nor 204 may say how long their body is (RFC 9110, section 8.6).
    let length = if matches!(status, 100..=199 | 204) { "" } else { "Content-Length: 0\r\n" };
    format!("HTTP/1.1 {status} Scripted\r\n{length}Connection: close\r\n\r\n")
}

/// A whole redirect to `location`, which closes the connection.
///
/// ```
/// let answer = fanfare_scripted_server::redirect(307, "/other");
/// assert!(answer.contains("\r\nLocation: /other\r\n"));
/// ```
#[must_use]
pub fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Scripted\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// `bytes` as a chunk of the chunked framing. Empty bytes would be the end: they are no chunk.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    framed
}

/// The end of the chunked framing.
pub(crate) const LAST_CHUNK: &str = "0\r\n\r\n";
