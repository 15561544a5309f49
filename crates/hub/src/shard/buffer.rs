//! Recent events of a group, encoded once for all of its subscribers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use fanfare_log::{Position, Record, Visibility};

use crate::limits::SPARE_BUFFER_BYTES_MAX;
use crate::shard::chunk;

/// Chunks, one after the other, so that what is pending for a subscriber is one range of bytes, however many events.
///
/// A place in it is an offset that only grows; the bytes before the base are gone.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    base: u64,
    marks: VecDeque<Mark>,
    /// Private events among them.
    private: usize,
}

/// An event in the buffer.
#[derive(Debug)]
pub(super) struct Mark {
    /// Where its chunk ends.
    pub(super) end: u64,
    pub(super) record: Arc<Record>,
}

impl Mark {
    pub(super) fn is_private(&self) -> bool {
        self.record.visibility == Visibility::Private
    }
}

/// Where an offset stands among the events.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// Between two: all before it are whole. The record before it, if it is in the buffer.
    Between(Option<&'a Arc<Record>>),
    /// So many bytes into the chunk of this one.
    Within(&'a Arc<Record>, usize),
}

impl Buffer {
    /// An empty one that goes on at `base`.
    pub(super) fn at(mut self: Box<Self>, base: u64) -> Box<Self> {
        self.base = base;
        self
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn head(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    pub(super) fn has_private(&self) -> bool {
        self.private > 0
    }

    pub(super) fn append(&mut self, record: &Arc<Record>) {
        chunk::encode(&record.frame, &mut self.bytes);
        let mark = Mark { end: self.head(), record: record.clone() };
        self.private += usize::from(mark.is_private());
        self.marks.push_back(mark);
    }

    pub(super) fn bytes(&self, range: Range<u64>) -> &[u8] {
        let at = |offset: u64| usize::try_from(offset.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.bytes.get(at(range.start)..at(range.end)).unwrap_or_default()
    }

    /// The events whose chunks end after `offset`.
    pub(super) fn after(&self, offset: u64) -> impl Iterator<Item = &Mark> {
        self.marks.range(self.index(offset)..)
    }

    /// Where the first event after `position` begins.
    pub(super) fn offset_of(&self, position: Position) -> u64 {
        let before = self.marks.partition_point(|mark| mark.record.position <= position);
        before.checked_sub(1).and_then(|last| self.marks.get(last)).map_or(self.base, |mark| mark.end)
    }

    pub(super) fn place(&self, offset: u64) -> Place<'_> {
        let index = self.index(offset);
        let before = index.checked_sub(1).and_then(|before| self.marks.get(before));
        let start = before.map_or(self.base, |mark| mark.end);
        match self.marks.get(index) {
            Some(mark) if offset > start => Place::Within(&mark.record, (offset - start) as usize),
            _ => Place::Between(before.map(|mark| &mark.record)),
        }
    }

    /// How many whole events end within `range`, and the bytes of their frames.
    pub(super) fn count(&self, range: Range<u64>) -> (u64, u64) {
        let marks = self.marks.range(self.index(range.start)..self.index(range.end));
        marks.fold((0, 0), |(events, bytes), mark| (events + 1, bytes + mark.record.frame.len() as u64))
    }

    /// Drops the events that end at or before `offset`, and gives the position of the last of them.
    pub(super) fn trim(&mut self, offset: u64) -> Option<Position> {
        let count = self.index(offset);
        let mut last = None;
        for mark in self.marks.drain(..count) {
            self.private -= usize::from(mark.is_private());
            last = Some((mark.end, mark.record.position));
        }
        let (end, position) = last?;
        self.bytes.drain(..(end - self.base) as usize);
        self.base = end;
        Some(position)
    }

    /// Whether it is small enough to be kept for the next group that needs one.
    pub(super) fn is_spare(&self) -> bool {
        self.bytes.capacity() <= SPARE_BUFFER_BYTES_MAX && self.marks.capacity() <= SPARE_BUFFER_BYTES_MAX / 64
    }

    /// The first event that ends after `offset`. Nearly everyone stands at one end or the other.
    fn index(&self, offset: u64) -> usize {
        if offset == self.base {
            0
        } else if offset >= self.head() {
            self.marks.len()
        } else {
            self.marks.partition_point(|mark| mark.end <= offset)
        }
    }
}
