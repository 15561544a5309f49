//! Bytes as a message of the stream that several hubs share.

use bytes::Bytes;

use crate::coding::Batch;

/// Versions, flags, and lengths at the edges of a varint.
pub const WORDS: &[&[u8]] = &[b"\x01", b"\x07", b"\x80\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x00", b"data: "];

/// Reads `bytes` as a batch. What is read at all must be what would have been written: a batch has one encoding.
pub fn check(bytes: &[u8]) {
    let payload = Bytes::copy_from_slice(bytes);
    if let Ok(batch) = Batch::decode(&payload) {
        assert_eq!(batch.encode(), payload);
    }
}
