//! The bounds of a client, each with its unit and its reason. The sizes of events are bounded by
//! [`Limits`](fanfare_wire::Limits) of the wire crate, as [`max_event_size`] sets them.
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

/// A connection that was open this long is no failure in a row with those before it, even without an event.
pub(crate) const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// Redirects of one attempt, as in the Fetch standard (C14).
pub(crate) const REDIRECTS_MAX: usize = 20;

const _: () = assert!(WAIT_MIN.as_millis() < RECONNECTION_TIME.as_millis());
const _: () = assert!(RECONNECTION_TIME.as_millis() < WAIT_MAX.as_millis());
