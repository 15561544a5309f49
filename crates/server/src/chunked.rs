//! HTTP/1.1's chunked framing (RFC 9112, section 7.1): the same bytes for every subscriber.

use bytes::Bytes;

/// Ends the response.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// `data` as a chunk; nothing if it is empty, since that would be the last one.
pub(crate) fn encode(data: &[u8]) -> Bytes {
    if data.is_empty() {
        return Bytes::new();
    }
    let head = format!("{:x}\r\n", data.len());
    [head.as_bytes(), data, b"\r\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn a_chunk_has_its_size_and_nothing_is_no_chunk() {
        assert_eq!(encode(b"0123456789abcdef"), "10\r\n0123456789abcdef\r\n");
        assert_eq!(encode(b""), "");
    }
}
