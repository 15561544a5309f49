//! What the hub takes and holds at most. What an operator can set is in [`Settings`](crate::Settings).

use std::time::Duration;

/// A topic or a selector, in bytes. Mercure's reference hub bounds patterns at the same size.
pub(crate) const TOPIC_BYTES_MAX: usize = 4096;

/// An id that a publisher chose, in bytes: a browser sends it back in a header, and servers commonly refuse heads over
/// 8 KiB.
pub(crate) const ID_BYTES_MAX: usize = 4096;

/// An event type, in bytes. Types are names in programs.
pub(crate) const TYPE_BYTES_MAX: usize = 1024;

/// The program that a URI Template compiles to, in bytes of memory, and templates in one subscription. Ordinary ones
/// take one or two KiB; `{x:9999}` alone would take a megabyte, and a request of 23 KB could ask for a thousand such.
pub(crate) const TEMPLATE_PROGRAM_BYTES_MAX: usize = 32 << 10;
pub(crate) const TEMPLATES_MAX: usize = 100;

/// What one read of the log gives a subscriber: about the size of a socket's send buffer in bytes, and a few
/// milliseconds of work in records that are looked at, so that other subscribers get their turn.
pub(crate) const READ_RECORDS_MAX: usize = 1024;
pub(crate) const READ_BYTES_MAX: usize = 64 << 10;
pub(crate) const READ_EXAMINED_MAX: usize = 4096;

/// The head of a request, in bytes; also hyper's buffer for a connection. A cursor of 4 KiB and a cookie fit.
pub(crate) const HEAD_BYTES_MAX: usize = 32 << 10;

/// How long a new connection may take to come to its first request.
pub(crate) const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be without a request after that: a little more than publishers' pools keep one.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// How long a connection that was refused may stay after its answer.
pub(crate) const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a publisher may take to send the body.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is read of a body that is refused as too large, so that the answer is not lost in a reset, and for how long.
pub(crate) const DISCARDED_BODY_BYTES_MAX: usize = 8 << 20;
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Pairs in a form or query: a megabyte of `a&a&…` would become forty of them.
pub(crate) const FORM_PAIRS_MAX: usize = 4096;

/// Connections that are accepted past the limit in order to be told 503; what comes beyond is closed unheard.
pub(crate) const REFUSED_CONNECTIONS_MAX: usize = 64;

/// How long an accept loop rests when the process is out of files: retrying at once would spin (EMFILE stays ready).
pub(crate) const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// How often it says so.
pub(crate) const ACCEPT_ERROR_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How long connections get to finish what they are writing once the drain is over.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// When a subscriber who is refused for now shall come back, in seconds; the spread keeps a crowd apart.
pub(crate) const REFUSED_RETRY_SECONDS: std::ops::Range<f64> = 5.0..15.0;

/// Event types remembered for the console page, whose `EventSource` hears only the names it asks for.
pub(crate) const RECENT_TYPES_MAX: usize = 64;

/// How often a hub that stops looks whether a stream is open still.
pub(crate) const IDLE_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How often the log is trimmed by age; its slack is ten times that.
pub(crate) const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// An idempotency key, in bytes, and how long it is remembered: the promise to publishers is two minutes.
pub(crate) const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
pub(crate) const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(120);

/// Keys remembered, and bytes of them with their answers: some 500 publishes with a key each second for two minutes.
pub(crate) const IDEMPOTENCY_KEYS_MAX: usize = 1 << 16;
pub(crate) const IDEMPOTENCY_BYTES_MAX: usize = 64 << 20;
