//! What a response holds at once.

/// Bytes of events that are gathered for one write at most, unless a single event is larger.
///
/// A write costs microseconds whatever its size up to about here, so more would only cost memory per subscriber.
pub(crate) const WRITE_BYTES_MAX: usize = 16 << 10;
