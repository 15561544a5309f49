//! The bounds of a scripted server, each with its unit and its reason. A test that runs into one is told so by an
//! error and not by the machine's memory.

use std::time::Duration;

/// The head of a request, in bytes. Event ids and tokens travel in it; real servers stop at 8 to 64 KiB.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;

/// The headers of a request.
pub(crate) const HEADERS_MAX: usize = 100;

/// The body of a request, in bytes. It is what a client asks with, a long conversation with a language model among it.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// What a playback remembers of requests, in bytes. Then it takes no more connections: a client that does not stop is
/// stopped.
pub(crate) const LOG_BYTES_MAX: usize = 64 << 20;

/// What a request costs beyond its bytes.
pub(crate) const REQUEST_BYTES: usize = 1 << 10;

/// Connections that are served at a time. The next one waits until another ends.
pub(crate) const CONNECTIONS_MAX: usize = 1_000;

/// How long to wait before the next connection when one could not be taken.
pub(crate) const ACCEPT_BACK_OFF: Duration = Duration::from_millis(10);

const _: () = assert!(HEAD_BYTES_MAX + BODY_BYTES_MAX < LOG_BYTES_MAX);
