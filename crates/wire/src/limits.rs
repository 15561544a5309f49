//! What a [`Decoder`](crate::Decoder) holds at most, whatever the stream does.

/// Bounds on the memory of a [`Decoder`](crate::Decoder), in bytes.
///
/// What is larger is skipped and reported, and the stream goes on: an endless line costs no more than `line_bytes`. Text
/// that is not UTF-8 is held once more as it is mended, at three times its size if none of it is (P1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// One line, without its line end.
    pub line_bytes: usize,
    /// The data of one event, all its lines together with the line feeds between them.
    pub event_bytes: usize,
    /// An id, an event type, and the digits of a reconnection time, of which a longer one is ignored. An id travels back
    /// in a request header, and servers commonly refuse heads over 8 KiB; the longest ids known (Wikimedia's, a JSON array
    /// of Kafka offsets) are near 1 KiB.
    pub name_bytes: usize,
}

impl Limits {
    /// 16 MiB an event: the public contract tests of SSE clients send 14 MB.
    pub const DEFAULT: Self = Self { line_bytes: 16 << 20, event_bytes: 16 << 20, name_bytes: 8 << 10 };

    /// Limits for events of at most `event_bytes` of data; a line may be a field name longer than that.
    #[must_use]
    pub const fn for_event_bytes(event_bytes: usize) -> Self {
        let longest_name = Self::DEFAULT.name_bytes;
        let line_bytes = if event_bytes > longest_name { event_bytes } else { longest_name };
        Self { line_bytes: line_bytes.saturating_add(FIELD_PREFIX_BYTES), event_bytes, name_bytes: longest_name }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The longest field name, its colon and the space: `event: ` and `retry: `.
pub(crate) const FIELD_PREFIX_BYTES: usize = 7;
