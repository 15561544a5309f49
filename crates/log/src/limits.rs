//! What the log takes and gives at once.

/// Events that one append takes at most.
///
/// A distributed engine stores a batch as one message and numbers its events within it in twelve bits.
pub const BATCH_EVENTS_MAX: usize = 4096;

/// What a record costs in memory beside its own text, in bytes: the `Arc`, the record and its places in the indexes.
/// It counts towards `retain_bytes`, or a million empty events would be free.
pub(crate) const RECORD_OVERHEAD_BYTES: u64 = 256;
