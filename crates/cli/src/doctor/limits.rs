//! The bounds of an examination, each with its unit and its reason.

use std::time::Duration;

/// How long a connection may take to be made. Longer no browser's user waits.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams of a busy server bring more than is needed to judge: what of them is remembered, in events and in pieces.
pub(super) const REMEMBERED_MAX: usize = 1_000;

/// How much of an event's data is remembered, in characters: a mark is shorter.
pub(super) const DATA_CHARS_MAX: usize = 80;

/// How much of a refusal's body is read, in bytes: its reason stands at the start.
pub(super) const REFUSAL_BYTES_MAX: usize = 8 << 10;

/// How long a refusal's body may take to say it: the status has come, and is what counts.
pub(super) const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// A filling event, in bytes of data: the largest of the usual buffers in one, and far below what a hub takes.
pub(super) const FILL_BYTES: usize = 16 << 10;

/// Filling events in all. 512 KiB is more than nginx (64 KiB), HAProxy (16 KiB), Apache (8 KiB) and a socket hold by
/// default.
pub(super) const FILLS_MAX: usize = 32;

/// What comes with a shorter pause in between came together: a server that sends each event by itself pauses longer,
/// and the pieces of one write on their way through a proxy do not.
pub(super) const LUMP_GAP: Duration = Duration::from_millis(100);

/// Lumps after which a stream that is only watched is judged.
pub(super) const LUMPS_ENOUGH: usize = 3;

/// A buffer that was handed on because it was full has at least so many bytes.
pub(super) const BUFFER_BYTES_MIN: usize = 1 << 10;

/// What comes as late as this and all at once with the end was kept until the end.
pub(super) const LATE: Duration = Duration::from_secs(1);
