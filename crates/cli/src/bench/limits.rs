//! The bounds of a load, each with its unit and its reason.

use std::time::Duration;

use fanfare_log::BATCH_EVENTS_MAX;

/// Subscribers, and topics. The open files of a machine are the nearer bound by far.
pub(super) const SUBSCRIBERS_MAX: u32 = 1_000_000;

/// Events a second, which is more than a single connection carries.
pub(super) const RATE_MAX: f64 = 1_000_000.0;

/// The data of one event, in bytes: what a hub is ever set to take.
pub(super) const SIZE_MAX: u64 = 16 << 20;

/// How long a load or its warm-up may last. A stamp holds two years.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Files that are open beside the subscribers' sockets: the terminal, the publisher's socket, the runtime's, /proc.
pub(super) const OTHER_FILES: u64 = 64;

/// Connections that are being made at a time. A server's queue of new ones often holds 128, and one that finds it full is
/// tried again by the kernel after a second, which would be taken for a slow server.
pub(super) const CONNECTING_MAX: usize = 128;

/// Connections from one loopback address: less than half of the 28,232 local ports that Linux has by default.
pub(super) const CONNECTIONS_PER_SOURCE: usize = 10_000;

/// Connecting is given up when so long not a single subscriber was answered.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a publish may take to be answered.
pub(super) const PUBLISH_PATIENCE: Duration = Duration::from_secs(30);

/// After connecting, before the memory is read: what a server does behind its answers is done.
pub(super) const SETTLE: Duration = Duration::from_millis(500);

/// With events in flight: those that have brought nothing for so long are taken for lost and no longer waited for.
pub(super) const QUIET: Duration = Duration::from_secs(2);

/// How often it is looked whether everything has come, which goes through all subscribers.
pub(super) const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// After everything has come, how long doubles are looked for.
pub(super) const LINGER: Duration = Duration::from_millis(100);

/// The head of an answer, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;

/// The headers of an answer.
pub(super) const HEADERS_MAX: usize = 64;

/// What is kept of the answer to a publish, in bytes: ids of the largest batch, 256 bytes each.
pub(super) const ANSWER_BYTES_MAX: usize = BATCH_EVENTS_MAX * 256;

/// One read, in bytes. Every subscriber is read into the same buffer.
pub(super) const READ_BYTES: usize = 256 << 10;

/// Reads from one subscriber in a row, when each fills the buffer, before the others have their turn.
pub(super) const READS_IN_A_ROW: usize = 8;

/// Sockets that are reported ready at a time.
pub(super) const READY_MAX: usize = 1024;

/// How late a stop or the end of the publisher may be noticed.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Holes in what one subscriber received that are remembered, to tell a late event from a double. Of more, the oldest
/// count as lost for good.
pub(super) const HOLES_MAX: usize = 1024;

/// Points of a plot over time; those beyond, in a long drain, fall into the last one.
pub(super) const POINTS_MAX: usize = 1000;

/// A latency, in microseconds: an hour.
pub(super) const LATENCY_US_MAX: u64 = 3_600_000_000;
