//! The bounds of a client, each with its unit and its reason. The sizes of events are bounded by
//! [`Limits`](fanfare_wire::Limits) of the wire crate, as [`max_event_size`] sets them.
//!
//! What a compressed stream grows to is not bounded, and need not be: it is decoded in pieces of 8 KiB when it is read, and
//! the limits of events hold for what comes out. The decoder remembers what the coding may refer back to: 32 KiB for
//! gzip, for Zstandard what the server asks for up to 128 MiB, where libzstd refuses, and for Brotli up to 1 GiB, because
//! the decoder beneath takes its large windows: for that reason Brotli is off unless asked for.
//!
//! [`max_event_size`]: crate::EventSourceBuilder::max_event_size

use std::time::Duration;

/// The wait before a reconnect until the stream says otherwise: "in the region of a few seconds" (C24). As Chrome.
pub(crate) const RECONNECTION_TIME: Duration = Duration::from_secs(3);

/// No wait is shorter: `retry: 0` and streams that end at once make ten requests a second and not a hot loop.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(100);

/// Where growing waits stop growing. A server that is back after a long outage is found within half a minute.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// The longest `retry` that is believed; a longer one counts as this. Whoever sends more meant "never", and for that
/// there is 204 (S9).
pub(crate) const RECONNECTION_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest `Retry-After` that is believed: a typing error of a server must not silence its clients for days.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// A time-out that is noticed later than this is begun again: the program was busy, not the server silent.
pub(crate) const IDLE_LATENESS_MAX: Duration = Duration::from_millis(50);

/// How much of a body is kept that is no stream. What an API says about a refusal is a few hundred bytes; an error page
/// has said what it is by then, and an endless one must not fill the memory.
pub(crate) const BODY_START_BYTES: usize = 4 << 10;

/// How long that is waited for. Servers send it with the head, so a second is patience with the network; one that sends
/// a head and then nothing holds up the news of its refusal, and the next attempt, by no more than this.
pub(crate) const BODY_START_WAIT: Duration = Duration::from_secs(1);

/// What a stream over HTTP/2 may send ahead of its reader. hyper's 2 MiB would be that much memory for each reader that
/// pauses; this is ten times what a socket holds, and 5 MB/s over 50 ms of way.
pub(crate) const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// The same for all streams of a connection. There is one, so this bounds nothing of its own: h2 measures by it how many
/// small frames may lie unread before it takes them for an attack and ends the connection. A stream of events is small
/// frames; at this size a full window of the smallest event, `data:x` in a frame of its own, is below the measure.
pub(crate) const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 24 << 20;

/// A connection that was open this long is no failure in a row with those before it, even without an event.
pub(crate) const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// Redirects of one attempt, as in the Fetch standard (C14).
pub(crate) const REDIRECTS_MAX: usize = 20;

const _: () = assert!(WAIT_MIN.as_millis() < RECONNECTION_TIME.as_millis());
const _: () = assert!(RECONNECTION_TIME.as_millis() < WAIT_MAX.as_millis());
