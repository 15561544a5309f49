//! What a response and a channel hold at once.

#[cfg(feature = "channel")]
use std::time::Duration;

/// Bytes of events that are gathered for one write at most, unless a single event is larger.
///
/// A write costs microseconds whatever its size up to about here, so more would only cost memory per subscriber.
pub(crate) const WRITE_BYTES_MAX: usize = 16 << 10;

/// What waits for a client that reads slowly, unless an application says otherwise: a few seconds of a chatty producer.
pub(crate) const QUEUE_EVENTS: usize = 64;
pub(crate) const QUEUE_BYTES: usize = 1 << 20;

/// What a channel keeps unless told otherwise, in bytes: some hundred thousand small events.
#[cfg(feature = "channel")]
pub(crate) const RETAIN_BYTES: u64 = 64 << 20;

/// Records of one read for a subscriber, and records looked at: a few milliseconds of work.
#[cfg(feature = "channel")]
pub(crate) const READ_RECORDS_MAX: usize = 1024;
#[cfg(feature = "channel")]
pub(crate) const READ_EXAMINED_MAX: usize = 4096;

/// What is gone over at once to find whom it is for.
#[cfg(feature = "channel")]
pub(crate) const NEWS_EXAMINED_MAX: usize = 1024;
#[cfg(feature = "channel")]
pub(crate) const READ_BYTES_MAX: usize = 1 << 20;

/// Pieces of events that were put together and may be wanted by the next subscriber: at 16 KiB each, 128 KiB.
#[cfg(feature = "channel")]
pub(crate) const CACHED_CHUNKS_MAX: usize = 8;

/// How exact keep-alives are: an eighth of their interval, between these bounds. Each tick looks at every subscriber.
#[cfg(feature = "channel")]
pub(crate) const TICK_MIN: Duration = Duration::from_millis(5);
#[cfg(feature = "channel")]
pub(crate) const TICK_MAX: Duration = Duration::from_secs(1);

/// When a client that comes while the channel stops shall come back, in seconds; the spread keeps a crowd apart.
#[cfg(feature = "channel")]
pub(crate) const REFUSED_RETRY_SECONDS: std::ops::Range<f64> = 1.0..5.0;

/// Generations that are kept at once unless told otherwise.
#[cfg(feature = "channel")]
pub(crate) const GENERATIONS_MAX: usize = 10_000;

/// Sockets that are written to between two looks at anything else: at 5 µs each a third of a millisecond.
#[cfg(feature = "listener")]
pub(crate) const SLICE_SENDS_MAX: usize = 64;

/// What a subscriber may say after its request, in bytes: it has nothing to say.
#[cfg(feature = "listener")]
pub(crate) const HEARD_BYTES_MAX: usize = 32 << 10;

/// The head of a subscription's response and its first chunk, in bytes. What is longer stays with hyper.
#[cfg(feature = "listener")]
pub(crate) const PREFACE_BYTES_MAX: usize = 16 << 10;

/// What the socket of a subscriber that left hyper may hold, in bytes; the kernel doubles it for its own needs. Left to itself it
/// lets one that never reads pin 4 MB. At 100 ms to the subscriber it is 2.5 MB a second. The same as the hub's.
#[cfg(feature = "listener")]
pub(crate) const SEND_BUFFER_BYTES: usize = 256 << 10;

/// How long such a subscriber may leave sent bytes unacknowledged, or its window shut: then the kernel ends the connection, and the
/// subscriber comes back with its cursor if there is one. A keep-alive is such bytes. The same as the hub's.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[cfg(feature = "listener")]
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(60);
