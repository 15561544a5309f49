//! From bytes to events: the parser of the standard, fed with whatever chunks arrive.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use memchr::memchr2;

use crate::limits::FIELD_PREFIX_BYTES;
use crate::{EventId, Limits};

/// What a [`Decoder`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoded<'a> {
    /// An event, dispatched by the empty line after it (P9).
    Event(Message<'a>),
    /// A comment, without its colon (P3). Reported at its line end.
    Comment(&'a str),
    /// A new reconnection time in milliseconds. It counts from its line on, dispatched or not (P8).
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
    /// The size of its block, in bytes without the line ends.
    pub bytes: u64,
    /// The last event id string after it. Its own id counts if that was read whole, wherever it stood in the block.
    pub last_event_id: &'a str,
}

/// Which limit an event broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// [`Limits::line_bytes`]
    Line,
    /// [`Limits::event_bytes`]
    Event,
    /// [`Limits::name_bytes`]
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
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// How much of a byte order mark the stream has begun with; 3 once that is decided (P1).
    mark_bytes: u8,
    /// The last line ended with CR at once, so that an LF right behind it is no line of its own (P2).
    after_carriage_return: bool,
    line: Line,
    block: Block,
    /// "Last event ID string": what a client sends when it reconnects.
    last_event_id: String,
}

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
            mark_bytes: 0,
            after_carriage_return: false,
            line: Line::default(),
            block: Block::default(),
            last_event_id: String::new(),
        }
    }

    /// Sets the last event id, as one that was remembered from an earlier run.
    pub fn set_last_event_id(&mut self, id: &EventId) {
        id.as_str().clone_into(&mut self.last_event_id);
        id.as_str().clone_into(&mut self.block.id);
    }

    /// Consumes `input` up to the next thing found, or all of it and returns `None`.
    ///
    /// Call it until it returns `None`, then with the next chunk. Nothing is held back: what the bytes so far decide
    /// is returned, also when they end with a CR (P2).
    pub fn decode<'a, 'c: 'a>(&'a mut self, input: &mut &'c [u8]) -> Option<Decoded<'a>> {
        self.block.forget_dispatched();
        let found = loop {
            if !self.line.read(input, &mut self.mark_bytes, &mut self.after_carriage_return, &self.limits) {
                return None;
            }
            let found = self.block.line(&self.line, &self.limits);
            self.line.clear();
            match found {
                Found::Nothing => {}
                Found::Dispatch if self.block.is_dispatched(&mut self.last_event_id) => break found,
                Found::Dispatch => self.block.forget_dispatched(),
                Found::Comment | Found::Retry(_) => break found,
            }
        };
        Some(match found {
            Found::Comment => Decoded::Comment(&self.block.comment),
            Found::Retry(milliseconds) => Decoded::Retry(milliseconds),
            Found::Nothing | Found::Dispatch => self.block.dispatched(&self.last_event_id),
        })
    }

    /// "Last event ID string": the id to send as `Last-Event-ID` when reconnecting, empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Prepares for the first byte of a new connection: all but the last event id is forgotten (P11, P12).
    ///
    /// The id buffer starts from the last event id, as browsers do, so that an event without an id keeps it.
    pub fn reconnect(&mut self) {
        self.mark_bytes = 0;
        self.after_carriage_return = false;
        self.line.clear();
        self.block = Block::default();
        self.last_event_id.clone_into(&mut self.block.id);
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The line that is being read, as far as the chunks so far hold it.
#[derive(Debug, Default)]
struct Line {
    /// At most `line_bytes` of it: the start of an oversized line still tells which field it is.
    bytes: Vec<u8>,
    /// Its whole length, kept or not.
    length: u64,
}

impl Line {
    /// Takes bytes from `input` up to the end of the line. Returns whether the line is complete.
    fn read(
        &mut self,
        input: &mut &[u8],
        mark_bytes: &mut u8,
        after_carriage_return: &mut bool,
        limits: &Limits,
    ) -> bool {
        self.skip_byte_order_mark(input, mark_bytes);
        if *after_carriage_return && !input.is_empty() {
            *after_carriage_return = false;
            *input = input.strip_prefix(b"\n").unwrap_or(input);
        }
        let Some(at) = memchr2(b'\n', b'\r', input) else {
            self.push(input, limits);
            *input = &[];
            return false;
        };
        let (line, end) = input.split_at(at);
        self.push(line, limits);
        *after_carriage_return = end.starts_with(b"\r");
        *input = end.get(1..).unwrap_or_default();
        true
    }

    /// Exactly one mark is taken away, also when it comes in pieces; what only looked like one is data (P1).
    fn skip_byte_order_mark(&mut self, input: &mut &[u8], mark_bytes: &mut u8) {
        while let (Some(expected), Some((&byte, rest))) =
            (BYTE_ORDER_MARK.get(usize::from(*mark_bytes)), input.split_first())
        {
            if byte != *expected {
                let matched = usize::from(mem::replace(mark_bytes, 3));
                self.bytes.extend(BYTE_ORDER_MARK.iter().take(matched));
                self.length = matched as u64;
                return;
            }
            *mark_bytes += 1;
            *input = rest;
        }
    }

    fn push(&mut self, bytes: &[u8], limits: &Limits) {
        let room = limits.line_bytes.max(FIELD_PREFIX_BYTES).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.length = self.length.saturating_add(bytes.len() as u64);
    }

    fn is_oversized(&self) -> bool {
        self.length > self.bytes.len() as u64
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.length = 0;
    }
}

/// What a line asks for.
enum Found {
    Nothing,
    Comment,
    Retry(u64),
    Dispatch,
}

/// The lines since the last dispatch: the standard's data, event type and last event ID buffers.
#[derive(Debug, Default)]
struct Block {
    data: String,
    event_type: String,
    id: String,
    comment: String,
    /// The sizes of its lines, in bytes.
    length: u64,
    skipped: Option<SkipReason>,
    is_dispatched: bool,
}

impl Block {
    /// Processes one line (P3).
    fn line(&mut self, line: &Line, limits: &Limits) -> Found {
        if line.length == 0 {
            return Found::Dispatch;
        }
        self.length = self.length.saturating_add(line.length);
        let colon = memchr::memchr(b':', &line.bytes);
        let (name, value) = match colon {
            Some(at) => (line.bytes.get(..at).unwrap_or_default(), line.bytes.get(at + 1..).unwrap_or_default()),
            None => (line.bytes.as_slice(), [].as_slice()),
        };
        if name.is_empty() && line.is_oversized() {
            return Found::Nothing;
        }
        if name.is_empty() {
            self.comment.clear();
            self.comment.push_str(&String::from_utf8_lossy(value));
            return Found::Comment;
        }
        let value = value.strip_prefix(b" ").unwrap_or(value);
        self.field(name, value, line.is_oversized(), limits)
    }

    /// Field names are compared to the letter; unknown ones are ignored, whatever their size (P4).
    fn field(&mut self, name: &[u8], value: &[u8], oversized: bool, limits: &Limits) -> Found {
        match name {
            b"data" if oversized => self.skip(SkipReason::Line),
            b"data" => self.push_data(&String::from_utf8_lossy(value), limits),
            b"event" if oversized || value.len() > limits.name_bytes => self.skip(SkipReason::Name),
            b"event" => replace(&mut self.event_type, value),
            b"id" if oversized || value.len() > limits.name_bytes => self.skip(SkipReason::Name),
            b"id" if memchr::memchr(0, value).is_some() => {}
            b"id" => replace(&mut self.id, value),
            b"retry" if oversized => {}
            b"retry" => return retry(value).map_or(Found::Nothing, Found::Retry),
            _ => {}
        }
        Found::Nothing
    }

    /// Appends the value and an LF (P6).
    fn push_data(&mut self, value: &str, limits: &Limits) {
        // The LF of the last line is no part of the event (P9), so it does not count.
        if self.data.len() + value.len() > limits.event_bytes {
            self.skip(SkipReason::Event);
        }
        if self.skipped.is_none() {
            self.data.push_str(value);
            self.data.push('\n');
        }
    }

    fn skip(&mut self, reason: SkipReason) {
        self.skipped.get_or_insert(reason);
        self.data.clear();
    }

    /// The first steps of dispatch (P9): the id counts even without data. Returns whether there is something to tell.
    fn is_dispatched(&mut self, last_event_id: &mut String) -> bool {
        if *last_event_id != self.id {
            last_event_id.clone_from(&self.id);
        }
        self.is_dispatched = true;
        self.skipped.is_some() || self.data.pop().is_some()
    }

    fn dispatched<'a>(&'a self, last_event_id: &'a str) -> Decoded<'a> {
        match self.skipped {
            Some(reason) => Decoded::Skipped(Skipped { reason, bytes: self.length, last_event_id }),
            None => Decoded::Event(Message {
                event_type: if self.event_type.is_empty() { "message" } else { &self.event_type },
                data: &self.data,
                last_event_id,
            }),
        }
    }

    /// Clears what belonged to the event, and not the id (P9). Done late, because the event is borrowed until then.
    fn forget_dispatched(&mut self) {
        if mem::take(&mut self.is_dispatched) {
            self.data.clear();
            self.event_type.clear();
            self.length = 0;
            self.skipped = None;
        }
    }
}

fn replace(buffer: &mut String, value: &[u8]) {
    buffer.clear();
    match String::from_utf8_lossy(value) {
        Cow::Borrowed(text) => buffer.push_str(text),
        Cow::Owned(text) => *buffer = text,
    }
}

/// Digits alone, in base ten; what is past `u64` is clamped, since the standard names no limit (P8).
fn retry(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests;
