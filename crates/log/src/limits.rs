//! What the log takes and gives at once.

/// Events that one append takes at most.
///
/// A distributed engine stores a batch as one message and numbers its events within it in twelve bits.
pub const BATCH_EVENTS_MAX: usize = 4096;

/// What a record costs in memory beside its own text, in bytes: the `Arc`, the record, its id's place in the index. It
/// counts towards `retain_bytes`, or a million empty events would be free.
pub(crate) const RECORD_OVERHEAD_BYTES: u64 = 256;

/// What each topic of a record costs beside its text, in bytes, if no other record has it: its entry in the index and
/// the list of its records. Without it 64 MiB of records with many topics of their own would take gigabytes.
pub(crate) const TOPIC_OVERHEAD_BYTES: u64 = 176;
