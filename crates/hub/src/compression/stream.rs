//! One subscriber's stream in a coding.

use std::sync::Arc;

use bytes::Bytes;
use crc32fast::Hasher;
use fanfare_log::{Record, Timestamp, Visibility};

use crate::compression::contexts::Key;
use crate::compression::{Coding, Contexts};
use crate::limits::CONTEXT_SPAN;
use crate::selector::Selectors;

/// Where a subscriber stands in its coding. It holds no compressor, and no buffer.
#[derive(Debug)]
pub(crate) struct CodedStream {
    coding: Coding,
    /// The context that it follows, and how many steps it has made.
    place: Option<(Key, u64)>,
    /// The span of the event before. `None`: a context may begin with the first event.
    span: Option<u64>,
    has_begun: bool,
    /// Of gzip's text so far.
    checksum: Hasher,
    length: u32,
}

impl CodedStream {
    /// A stream that goes on from the tail, as it is `now`, or else from further back.
    pub(crate) fn new(coding: Coding, now: Option<Timestamp>) -> Self {
        let (span, checksum) = (now.map(span_of), Hasher::new());
        Self { coding, place: None, span, has_begun: false, checksum, length: 0 }
    }

    /// `text` that no other subscriber need get at this point: a heartbeat, or what is said first.
    pub(crate) fn text(&mut self, text: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(text.len() + ROOM);
        self.store(text, &mut out);
        out.into()
    }

    /// The events of `records`, for a subscriber with these selectors, which are one with those of its group.
    pub(crate) fn records<'a>(
        &mut self,
        contexts: &Contexts,
        selectors: &Arc<Selectors>,
        records: impl Iterator<Item = &'a Arc<Record>>,
        now: Timestamp,
    ) -> Bytes {
        let group = Arc::as_ptr(selectors).addr();
        let now = span_of(now);
        let mut pieces = records.map(|record| self.record(contexts, group, record, now));
        // A single one is shared, not copied.
        let (Some(first), second) = (pieces.next(), pieces.next()) else { return Bytes::new() };
        let Some(second) = second else { return first };
        let mut joined = [&first[..], &second].concat();
        pieces.for_each(|piece| joined.extend_from_slice(&piece));
        joined.into()
    }

    /// What ends the stream.
    pub(crate) fn end(&mut self) -> Bytes {
        let mut out = Vec::new();
        self.begin(&mut out);
        let checksum = std::mem::take(&mut self.checksum).finalize();
        self.coding.end(checksum, self.length, &mut out);
        out.into()
    }

    fn record(&mut self, contexts: &Contexts, group: usize, record: &Record, now: u64) -> Bytes {
        let span = span_of(record.time);
        // Of what is long past nobody is sent the same at the same time, and there one beginning is enough.
        let may_begin = self.span.is_none_or(|last| last != span && span + 1 >= now);
        self.span = Some(span);
        let mut out = Vec::new();
        if record.visibility == Visibility::Public {
            let begins = Key { coding: self.coding, group, first: record.position };
            if let Some((key, step)) = if may_begin { Some((begins, 0)) } else { self.place }
                && let Some(bytes) = contexts.step(key, step, record, now)
            {
                self.place = Some((key, step + 1));
                self.count(&record.frame);
                if step > 0 {
                    return bytes;
                }
                self.begin(&mut out);
                self.coding.join(&mut out);
                out.extend_from_slice(&bytes);
                return out.into();
            }
        }
        self.store(&record.frame, &mut out);
        out.into()
    }

    /// Adds `text` as it is. Others do not have it, so what they share does not fit any more.
    fn store(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.begin(out);
        self.coding.store(text, out);
        self.count(text);
        self.place = None;
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.coding.begin(out);
        }
    }

    fn count(&mut self, text: &[u8]) {
        if self.coding == Coding::Gzip {
            self.checksum.update(text);
            // Modulo 2^32 (RFC 1952, section 2.3.1).
            self.length = self.length.wrapping_add(text.len() as u32);
        }
    }
}

/// The number of the span in which it was.
fn span_of(time: Timestamp) -> u64 {
    time.0 / CONTEXT_SPAN.as_millis() as u64
}

/// What a piece of text takes beside itself, at most.
const ROOM: usize = 16;
