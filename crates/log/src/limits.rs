//! What the log takes and gives at once.

use std::time::Duration;

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

/// A batch on disk, in bytes: it stands in one file, whose places are numbered in 32 bits, and is written at once.
pub(crate) const BATCH_BYTES_MAX: usize = 256 << 20;

/// What is written and synced together, in events and bytes: a few milliseconds of a disk's time. Larger groups gain
/// nothing, and their publishers would wait for each other. One batch that is larger goes alone.
pub(crate) const GROUP_EVENTS_MAX: usize = 4096;
pub(crate) const GROUP_BYTES_MAX: usize = 4 << 20;

/// What may wait for the disk, in batches and bytes of memory: some seconds of work. Beyond it publishers are refused.
pub(crate) const QUEUE_BATCHES_MAX: usize = 1 << 16;
pub(crate) const QUEUE_BYTES_MAX: usize = 256 << 20;

/// A segment, in bytes, unless `retain_bytes` asks for less: as much is read again after a crash, in some 0.1 seconds,
/// and files take a segment and a quarter more than the history they keep: 60 MiB.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 48 << 20;
/// The least: the slack of `retain_bytes` is never below it, and smaller files would only be more files.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// Room is taken ahead by this share of a segment: what no event needs yet counts against the disk all the same, and each
/// step costs the next sync a change of the file's size.
pub(crate) const ROOM_SHARE: u64 = 8;

/// Records of a segment: with the terms it bounds the index of the active segment, of 4 bytes a record and more.
pub(crate) const SEGMENT_RECORDS_MAX: u64 = 1 << 20;

/// What a term (a topic or a chosen id) takes in the index of the active segment, in bytes: a place in a hash table that
/// may have just doubled, and a list of its own.
pub(crate) const TERM_BYTES: usize = 96;

/// Segments whose side file is not written yet. The writer waits beyond it, or their indexes would fill the memory.
pub(crate) const UNSEALED_SEGMENTS_MAX: usize = 2;

/// What a record near the tail takes in memory beside its frame, in bytes.
pub(crate) const RECENT_OVERHEAD_BYTES: usize = 192;

/// Records near the tail at which a reader of a few topics looks one by one; with more the index is faster.
pub(crate) const RECENT_LOOKS_MAX: usize = 1024;

/// What one read of a file takes, in bytes: large enough that the call costs little beside the copy, small enough for
/// the processor's cache.
pub(crate) const READ_CHUNK_BYTES: usize = 128 << 10;
/// The same where one record is wanted: a page, which the disk reads in any case.
pub(crate) const READ_RECORD_BYTES: usize = 4 << 10;

/// Buffers for reads of files that are kept for the next read.
pub(crate) const SPARE_BUFFERS_MAX: usize = 32;

/// Topics of the last records that a read remembers, so that records share their text, how long they are at most, in
/// bytes, and how many such memories are kept for the next reads: 6 MiB in all.
pub(crate) const NAMES: usize = 8192;
pub(crate) const NAME_BYTES_MAX: usize = 64;
pub(crate) const SPARE_NAMES_MAX: usize = 8;

/// Places of records that are looked up in an index at once.
pub(crate) const POSTINGS_MAX: usize = 4096;

/// The oldest records whose age and size are held in memory, so that trimming reads no file: 256 KiB.
pub(crate) const OLDEST_RECORDS_MAX: usize = 8192;

/// How long the writer waits before it tries again to repair a log whose disk failed.
pub(crate) const REPAIR_INTERVAL: Duration = Duration::from_secs(1);
