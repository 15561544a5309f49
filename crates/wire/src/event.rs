//! An event as a server sends it.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::encode;
use crate::{EventId, EventType};

/// An event to send: data, and optionally an id, a type and a reconnection time.
///
/// The data may be any text. CRLF, CR and LF in it all arrive as LF, since the format can't tell them apart (S2).
/// An event with empty data is an event (S4): a comment or a reconnection time alone has functions of its own,
/// [`encode_comment`](crate::encode_comment) and [`encode_retry`](crate::encode_retry). Nothing bounds its size here; decoders do.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_wire::Event;
///
/// let event = Event::data("sunny\n21 °C")
///     .with_id("42".try_into()?)
///     .with_type("weather".try_into()?)
///     .with_retry(Duration::from_secs(5));
/// let mut bytes = Vec::new();
/// event.encode(&mut bytes);
/// assert_eq!(bytes, "id: 42\nevent: weather\nretry: 5000\ndata: sunny\ndata: 21 °C\n\n".as_bytes());
/// # Ok::<(), fanfare_wire::InvalidField>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    id: Option<EventId>,
    event_type: Option<EventType>,
    retry: Option<Duration>,
    data: String,
}

impl Event {
    /// An event with `data` and nothing else: it arrives as type `message` and leaves the client's id as it was.
    #[must_use]
    pub fn data(data: impl Into<String>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// Sets the id that the client sends back as `Last-Event-ID` when it reconnects (P7). The empty one makes it send none.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the type (P5): a browser calls the listeners that were added for it, and `onmessage` for `message` alone.
    #[must_use]
    pub fn with_type(mut self, event_type: EventType) -> Self {
        self.event_type = Some(event_type);
        self
    }

    /// Sets how long the client is to wait before it reconnects, from this event on (P8). Sent in whole milliseconds, rounded
    /// down, and as `u64::MAX` of them if there are more.
    #[must_use]
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// The id, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// The type, if it is not the default one.
    #[must_use]
    pub fn event_type(&self) -> Option<&EventType> {
        self.event_type.as_ref()
    }

    /// The reconnection time, if it sets one.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The data, as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.data
    }

    /// Appends the event to `out` as the format has it, with the empty line that dispatches it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_bytes());
        if let Some(id) = &self.id {
            encode::id(id.as_str(), out);
        }
        self.encode_after_id(out);
    }

    /// Appends the event as one chunk of HTTP/1.1's chunked transfer coding (RFC 9112, section 7.1), so that it can be
    /// written to a connection as it is.
    ///
    /// The size is written with leading zeros, which the coding allows: it is not known before the data was split.
    ///
    /// ```
    /// let mut out = Vec::new();
    /// fanfare_wire::Event::data("x").encode_chunk(&mut out);
    /// assert_eq!(out, b"0009\r\ndata: x\n\n\r\n");
    /// ```
    pub fn encode_chunk(&self, out: &mut Vec<u8>) {
        let digits = encode::chunk_size_digits(self.encoded_bytes());
        out.reserve(digits + encode::CHUNK_OVERHEAD_BYTES + self.encoded_bytes());
        let start = out.len();
        encode::begin_chunk(digits, out);
        self.encode(out);
        encode::end_chunk(start, digits, out);
    }

    /// Encodes the event for an id that is not known yet, and returns where in the result the id's text belongs.
    ///
    /// A log that numbers its events as it stores them inserts the number there. The event's own id is not written. What is
    /// inserted must be an [`EventId`]'s text, or it could end the line.
    ///
    /// ```
    /// let (mut bytes, slot) = fanfare_wire::Event::data("x").encode_with_id_slot();
    /// bytes.splice(slot..slot, *b"42");
    /// assert_eq!(bytes, b"id: 42\ndata: x\n\n");
    /// ```
    #[must_use]
    pub fn encode_with_id_slot(&self) -> (Vec<u8>, usize) {
        let mut out = Vec::with_capacity(encode::ID_BYTES + self.encoded_bytes());
        let slot = encode::id_with_slot(&mut out);
        self.encode_after_id(&mut out);
        (out, slot)
    }

    fn encode_after_id(&self, out: &mut Vec<u8>) {
        if let Some(event_type) = &self.event_type {
            encode::event_type(event_type.as_str(), out);
        }
        if let Some(retry) = self.retry {
            encode::retry(retry, out);
        }
        encode::data(&self.data, out);
        encode::dispatch(out);
    }

    /// The exact size of an event with one data line: its buffer is allocated once, and is full. More lines let the
    /// buffer grow.
    fn encoded_bytes(&self) -> usize {
        let id = self.id.as_ref().map_or(0, |id| encode::ID_BYTES + id.as_str().len());
        let event_type = self.event_type.as_ref().map_or(0, |text| encode::EVENT_BYTES + text.as_str().len());
        let retry = self.retry.map_or(0, encode::retry_bytes);
        id + event_type + retry + encode::DATA_BYTES + self.data.len() + encode::DISPATCH_BYTES
    }
}
