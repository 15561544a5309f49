//! From bytes to events: the parser of the standard, fed with whatever chunks arrive.
//!
//! There is one grammar with two ways to hold what it finds. A block that lies whole in a chunk is read by
//! [`Decoder::block`] and, if it has one data line, yielded as it lies there. Whatever else comes (the chunk ends, a
//! second data line, a `retry`) is handed over, as far as it was read, to [`Decoder::piece`], which assembles it.

mod block;
mod piece;

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use memchr::memchr2;

use crate::{EventId, Limits};
use block::Whole;
use piece::Found;

/// What a [`Decoder`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoded<'a> {
    /// An event, dispatched by the empty line after it (P9).
    Event(Message<'a>),
    /// A comment, without its colon (P3), for those who [ask](Decoder::with_comments). Reported at its line end,
    /// and no more of it than [`Limits::line_bytes`].
    Comment(&'a str),
    /// A new reconnection time in milliseconds, `u64::MAX` if it is larger. It counts from its line on, dispatched or not
    /// (P8).
    Retry(u64),
    /// An event that was larger than the [`Limits`] allow. The stream goes on behind it.
    Skipped(Skipped<'a>),
}

/// An event as a client receives it, borrowed until the decoder is fed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// Its type, `message` if it said none (P9).
    pub event_type: &'a str,
    /// Its data, with LF between the lines.
    pub data: &'a str,
    /// The last event id string: its own id, or the one that an earlier block set (P7, P9).
    pub last_event_id: &'a str,
}

/// An event that was dropped because it was too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped<'a> {
    /// Which of the limits it broke first.
    pub reason: SkipReason,
    /// What its data, event and id lines take in the stream, in bytes, with one for each line end.
    pub bytes: u64,
    /// The last event id string after it. Its own id counts if that was read whole, wherever it stood in the block.
    pub last_event_id: &'a str,
}

/// Which limit an event broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// A line of it is longer than [`Limits::line_bytes`].
    Line,
    /// Its data is larger than [`Limits::event_bytes`].
    Event,
    /// Its id or its type is longer than [`Limits::name_bytes`].
    Name,
}

/// The parser of an event stream, without input or output: bytes in, events out.
///
/// Its time is linear in the bytes it is fed, however they are cut, and its memory is bounded by its [`Limits`].
/// Nothing in a stream is an error: what the standard ignores is ignored, invalid UTF-8 becomes U+FFFD (P1), what is
/// too large is [`Decoded::Skipped`].
///
/// # End of the stream
///
/// There is no call for it: what is unfinished then is no event (P11). Call [`reconnect`](Self::reconnect) before the
/// bytes of the next connection.
///
/// ```
/// use fanfare_wire::{Decoded, Decoder, Limits, SkipReason};
///
/// let mut decoder = Decoder::with_limits(Limits::for_event_bytes(1 << 20));
/// let stream = [b"id: 7\ndata: ".to_vec(), vec![b'x'; 2 << 20], b"\n\ndata: unfini".to_vec()].concat();
/// let mut rest = &stream[..];
/// let Some(Decoded::Skipped(skipped)) = decoder.decode(&mut rest) else { panic!("it is too large") };
/// assert_eq!((skipped.reason, skipped.last_event_id), (SkipReason::Event, "7"));
/// assert_eq!(decoder.decode(&mut rest), None);
///
/// decoder.reconnect(); // and ask with `Last-Event-ID: 7`
/// let mut rest = &b"data: next\n\n"[..];
/// let Some(Decoded::Event(message)) = decoder.decode(&mut rest) else { panic!("it is whole") };
/// assert_eq!((message.data, message.last_event_id), ("next", "7"));
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    reports_comments: bool,
    place: Place,
    block: Block,
    /// "Last event ID string": what a client sends when it reconnects.
    last_event_id: String,
    /// Text that had to be mended (P1), kept while it is borrowed.
    mended_type: String,
    mended_data: String,
    #[cfg(test)]
    examined: u64,
}

/// Where in the stream the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of a line, with nothing of a block: the next block may be read whole.
    Between,
    /// At the very start, with so many bytes of a byte order mark behind it (P1).
    Mark(u8),
    /// At the start of a line of a block.
    LineStart,
    /// Behind a CR that has ended its line already; an LF right behind it is no line of its own (P2).
    AfterCarriageReturn,
    /// In the name of a field, of which so many bytes are held in [`Block::name`].
    Name(u8),
    /// Behind the colon of a field: one space is no part of the value (P3).
    Colon(Field),
    /// In the value of a field.
    Value(Field),
    /// In a comment that is to be reported.
    Comment,
    /// In a comment or an unknown field.
    Ignored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Id,
    Retry,
}

/// The lines since the last dispatch: the standard's data, event type and last event ID buffers, as bytes.
#[derive(Debug, Default)]
struct Block {
    /// Each data line with an LF (P6). UTF-8 is checked once, at dispatch: an LF ends any unfinished character, so the
    /// result is that of checking line by line.
    data: Vec<u8>,
    event_type: Vec<u8>,
    id: Vec<u8>,
    has_id: bool,
    /// The value that is being read, of any field but data, or a comment.
    value: Vec<u8>,
    name: [u8; NAME_BYTES],
    /// Bytes of the line so far; of a data line only those before its value.
    line_bytes: usize,
    /// Where the value of the data line begins in `data`, and how much more of it is allowed.
    data_start: usize,
    data_room: usize,
    /// Bytes of the data, event and id lines before it, each with one for its line end. None: nothing of a block yet.
    bytes: u64,
    skipped: Option<SkipReason>,
    /// It was yielded, and is cleared with the next call.
    is_dispatched: bool,
}

/// Chunks up to this size are looked at in blocks of 16 bytes.
const SMALL_CHUNK_BYTES: usize = 64;

/// The longest field names, `event` and `retry`.
const NAME_BYTES: usize = 5;

impl Decoder {
    /// A decoder with the default [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::DEFAULT)
    }

    /// A decoder that holds no more than `limits` allow.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            reports_comments: false,
            place: Place::Mark(0),
            block: Block::default(),
            last_event_id: String::new(),
            mended_type: String::new(),
            mended_data: String::new(),
            #[cfg(test)]
            examined: 0,
        }
    }

    /// Has comments reported. By default they are passed over, thousands of keep-alives in a microsecond.
    #[must_use]
    pub fn with_comments(mut self) -> Self {
        self.reports_comments = true;
        self
    }

    /// Sets the last event id, as one that was remembered from an earlier run.
    pub fn set_last_event_id(&mut self, id: &EventId) {
        id.as_str().clone_into(&mut self.last_event_id);
    }

    /// Consumes `input` up to the next thing found, or all of it and returns `None`.
    ///
    /// Call it until it returns `None`, then with the next chunk. Nothing is held back: what the bytes so far decide
    /// is returned, also when they end with a CR (P2).
    #[inline]
    pub fn decode<'a, 'c: 'a>(&'a mut self, input: &mut &'c [u8]) -> Option<Decoded<'a>> {
        if self.place == Place::Value(Field::Data) && input.len() <= SMALL_CHUNK_BYTES {
            self.absorb(input);
        }
        if input.is_empty() {
            return None;
        }
        self.decode_some(input)
    }

    #[inline]
    fn decode_some<'a, 'c: 'a>(&'a mut self, input: &mut &'c [u8]) -> Option<Decoded<'a>> {
        self.block.forget_dispatched();
        // Ends of comments are what small chunks of keep-alives begin with.
        if self.place == Place::Ignored {
            self.skip_to_line_end(input);
        }
        loop {
            if self.place == Place::Between {
                match self.whole_block(input) {
                    Whole::Event { event_type, data } => {
                        let event_type = text(event_type, &mut self.mended_type);
                        let event_type = if event_type.is_empty() { "message" } else { event_type };
                        let data = text(data, &mut self.mended_data);
                        let last_event_id = &self.last_event_id;
                        return Some(Decoded::Event(Message { event_type, data, last_event_id }));
                    }
                    Whole::Pieces if input.is_empty() => return None,
                    Whole::Pieces => {}
                }
            }
            match self.piece(input) {
                Found::Nothing => return None,
                Found::Between => {}
                Found::Block => return Some(self.dispatched()),
                Found::Comment => return Some(Decoded::Comment(text(&self.block.value, &mut self.mended_data))),
                Found::Retry(milliseconds) => return Some(Decoded::Retry(milliseconds)),
            }
        }
    }

    /// "Last event ID string": the id to send as `Last-Event-ID` when reconnecting, empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Prepares for the first byte of a new connection: all but the last event id is forgotten (P11, P12).
    ///
    /// An event without an id then keeps the last one, as in browsers.
    pub fn reconnect(&mut self) {
        self.place = Place::Mark(0);
        self.block = Block::default();
        (self.mended_type, self.mended_data) = (String::new(), String::new());
    }

    /// The block that was assembled, which is cleared with the next call.
    fn dispatched(&mut self) -> Decoded<'_> {
        self.block.is_dispatched = true;
        let last_event_id = &self.last_event_id;
        if let Some(reason) = self.block.skipped {
            return Decoded::Skipped(Skipped { reason, bytes: self.block.bytes, last_event_id });
        }
        let event_type = match &*self.block.event_type {
            [] => "message",
            event_type => text(event_type, &mut self.mended_type),
        };
        let data = text(&self.block.data, &mut self.mended_data);
        Decoded::Event(Message { event_type, data, last_event_id })
    }

    /// Sets the last event ID string (P7, P9).
    fn remember_id(&mut self, id: &[u8]) {
        self.last_event_id.clear();
        match from_utf8(id) {
            Some(text) => self.last_event_id.push_str(text),
            None => mend(id, &mut self.last_event_id),
        }
    }

    /// Takes data of a small chunk in blocks of 16 bytes without a line end: to look at a block of known size is a few
    /// instructions, and a call to search it would cost more than all the rest.
    #[inline]
    fn absorb(&mut self, input: &mut &[u8]) {
        let block = &mut self.block;
        while let Some((bytes, after)) = input.split_first_chunk::<16>() {
            let has_line_end = bytes.iter().fold(false, |found, byte| found | (*byte == b'\n') | (*byte == b'\r'));
            let room = block.data_room.min(block.data.capacity() - block.data.len());
            if has_line_end || room < bytes.len() {
                return;
            }
            block.data.extend_from_slice(bytes);
            block.data_room -= bytes.len();
            *input = after;
            #[cfg(test)]
            {
                self.examined += bytes.len() as u64;
            }
        }
    }

    /// Counts work for the test of linear time.
    #[cfg(test)]
    fn examine(&mut self, bytes: usize) {
        self.examined += bytes as u64;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "it counts in tests")]
    fn examine(&mut self, _: usize) {}
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Block {
    /// Clears what belonged to the event. Done late, because the event is borrowed until then.
    #[inline]
    fn forget_dispatched(&mut self) {
        if self.is_dispatched {
            self.forget();
        }
    }

    fn forget(&mut self) {
        // A single huge event shall not hold its memory for the rest of the connection.
        if self.data.capacity() > KEPT_BYTES {
            self.data = Vec::new();
        }
        self.data.clear();
        self.event_type.clear();
        self.has_id = false;
        self.bytes = 0;
        self.line_bytes = 0;
        self.skipped = None;
        self.is_dispatched = false;
    }

    /// Nothing of a block has been read.
    #[inline]
    fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn skip(&mut self, reason: SkipReason) {
        self.skipped.get_or_insert(reason);
        self.data.clear();
        (self.data_start, self.data_room) = (0, 0);
    }
}

/// A buffer of this size is kept for the next event, in bytes; the typical large event fits, a flood does not stay.
const KEPT_BYTES: usize = 1 << 20;

/// Where a line ends that is likely to be short. Eight bytes at a time in a register: a call to search them costs more.
#[inline]
fn line_end(bytes: &[u8]) -> Option<usize> {
    /// Ids and types are seldom longer.
    const SHORT: usize = 32;
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // The lowest bit that is set belongs to the first byte that is zero.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = 0;
    while at < SHORT
        && let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk())
    {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'\n'))) | zeros(word ^ (ONES * u64::from(b'\r')));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    bytes.get(at..).and_then(|rest| memchr2(b'\n', b'\r', rest)).map(|found| at + found)
}

/// `bytes` as text. What is not UTF-8 becomes U+FFFD (P1), and is held in `mended`.
#[inline]
fn text<'a>(bytes: &'a [u8], mended: &'a mut String) -> &'a str {
    match from_utf8(bytes) {
        Some(text) => text,
        None => {
            mend(bytes, mended);
            mended
        }
    }
}

/// Puts `bytes` into `mended`, which is allocated once, and no larger than needed.
#[cold]
fn mend(bytes: &[u8], mended: &mut String) {
    let chunks = || {
        bytes.utf8_chunks().flat_map(|chunk| [chunk.valid(), if chunk.invalid().is_empty() { "" } else { "\u{FFFD}" }])
    };
    *mended = String::new();
    mended.reserve_exact(chunks().map(str::len).sum());
    mended.extend(chunks());
}

#[cfg(feature = "simdutf8")]
#[inline]
fn from_utf8(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

#[cfg(not(feature = "simdutf8"))]
#[inline]
fn from_utf8(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
