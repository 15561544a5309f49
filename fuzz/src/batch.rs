//! Bytes as a message of the stream that several hubs share.

use bytes::Bytes;

use crate::coding::Batch;

/// Reads `bytes` as a batch. What is read at all must be what would have been written: a batch has one encoding.
pub fn batch(bytes: &[u8]) {
    let payload = Bytes::copy_from_slice(bytes);
    if let Ok(batch) = Batch::decode(&payload) {
        assert_eq!(batch.encode(), payload);
    }
}
