//! What is kept now, as readers see it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::disk::segment::{HEAD_BYTES, Segment};
use crate::limits::{RECENT_LOOKS_MAX, RECENT_OVERHEAD_BYTES};
use crate::{Batch, Located, Position, ReadBudget, Record, Retention, Span, Timestamp, Topics, Usage};

/// The history: segments from the oldest to the active one, and the newest records in memory.
#[derive(Debug)]
pub(super) struct History {
    retention: Retention,
    /// The position before the oldest record kept.
    start: Position,
    /// Where the oldest record kept begins in the oldest segment, or before that.
    start_byte: u32,
    entries: VecDeque<Entry>,
    records: u64,
    retained_bytes: u64,
    recent: Recent,
    oldest: Oldest,
}

/// What is seen of a segment. The last one may have no record; its `last` is where its epoch begins then.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) segment: Arc<Segment>,
    /// Where its records end.
    pub(super) end: u32,
    pub(super) last: Position,
    /// What of it is kept.
    pub(super) records: u64,
    pub(super) retained_bytes: u64,
}

/// A part of one segment for a reader.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) segment: Arc<Segment>,
    pub(super) from: u32,
    pub(super) end: u32,
    pub(super) last: Position,
}

/// The newest records. All that are past `after` are here.
#[derive(Debug)]
struct Recent {
    records: VecDeque<Arc<Record>>,
    after: Position,
    bytes: usize,
    bytes_max: usize,
}

/// What trimming needs to know of the oldest records, as far as it was read.
#[derive(Debug, Default)]
struct Oldest {
    records: VecDeque<OldRecord>,
    /// Where reading goes on: the segment's sequence and the byte.
    read_to: (u64, u32),
}

/// A record that may be trimmed, or several that can't be told apart because they are damaged.
#[derive(Debug, Clone, Copy)]
pub(super) struct OldRecord {
    pub(super) position: Position,
    pub(super) time: Timestamp,
    pub(super) retained_bytes: u64,
    pub(super) records: u64,
    /// Where the next one begins.
    pub(super) next_byte: u32,
}

/// What has to be done after a trim, outside of the lock.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Trimmed {
    /// Segments of which nothing is kept.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Trimming can't go on until more of the oldest records were read.
    pub(super) wants_oldest: bool,
}

impl History {
    /// The history in `entries`, of which there is at least one.
    pub(super) fn new(retention: Retention, entries: VecDeque<Entry>, recent_bytes: usize) -> Self {
        let tail = entries.back().map_or(NOWHERE, |entry| entry.last);
        let (start, sequence) =
            entries.front().map_or((NOWHERE, 0), |entry| (entry.segment.head.before, entry.segment.head.sequence));
        Self {
            retention,
            start,
            start_byte: HEAD_BYTES,
            records: entries.iter().map(|entry| entry.records).sum(),
            retained_bytes: entries.iter().map(|entry| entry.retained_bytes).sum(),
            entries,
            recent: Recent { records: VecDeque::new(), after: tail, bytes: 0, bytes_max: recent_bytes },
            oldest: Oldest { records: VecDeque::new(), read_to: (sequence, HEAD_BYTES) },
        }
    }

    pub(super) fn tail(&self) -> Position {
        self.entries.back().map_or(self.start, |entry| entry.last)
    }

    pub(super) fn span(&self) -> Span {
        let oldest = self.first_kept();
        Span { start: self.start, oldest, tail: self.tail() }
    }

    /// The oldest record kept, if it is known from memory.
    fn first_kept(&self) -> Option<Position> {
        if self.records == 0 {
            return None;
        }
        let recent = self.recent.records.front().filter(|_| self.recent.after <= self.start);
        recent
            .map(|record| record.position)
            .or_else(|| self.oldest.records.front().map(|record| record.position))
            .or_else(|| {
                // Positions of one epoch follow each other unless somebody else made the order.
                Some(Position { offset: self.start.offset + 1, ..self.start })
            })
    }

    pub(super) fn usage(&self) -> Usage {
        Usage { count: self.records, bytes: self.retained_bytes }
    }

    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn start_byte(&self) -> u32 {
        self.start_byte
    }

    pub(super) fn locate(&self, position: Position) -> Located {
        let of_epoch = self.entries.partition_point(|entry| entry.last.epoch <= position.epoch);
        let last = of_epoch.checked_sub(1).and_then(|index| self.entries.get(index)).map(|entry| entry.last);
        match last {
            Some(last) if last.epoch == position.epoch && position.offset <= last.offset => {
                if position < self.start {
                    Located::Expired
                } else {
                    Located::Kept
                }
            }
            _ => Located::Unknown,
        }
    }

    /// The records past `after`, if they are all in memory, and so few that a look at each costs less than the index.
    pub(super) fn read_recent(&self, after: Position, topics: Topics<'_>, budget: ReadBudget) -> Option<Batch> {
        if after < self.recent.after {
            return None;
        }
        let mut taking = Taking::new(budget);
        let mut batch = Batch { records: Vec::new(), end: after };
        let first = self.recent.records.partition_point(|record| record.position <= after);
        if matches!(topics, Topics::Any(_)) && self.recent.records.len() - first > RECENT_LOOKS_MAX {
            return None;
        }
        for record in self.recent.records.range(first..) {
            if !taking.examine() {
                return Some(batch);
            }
            if topics.admit(&record.topics) {
                if !taking.take(record.frame.len()) {
                    return Some(batch);
                }
                batch.records.push(record.clone());
            }
            batch.end = record.position;
        }
        batch.end = batch.end.max(self.tail());
        Some(batch)
    }

    /// The segment with the first record past `after`, if there is one.
    pub(super) fn stretch_after(&self, after: Position) -> Option<Stretch> {
        let index = self.entries.partition_point(|entry| entry.last <= after);
        let entry = self.entries.get(index)?;
        let from = if index == 0 { self.start_byte } else { HEAD_BYTES };
        Some(Stretch { segment: entry.segment.clone(), from, end: entry.end, last: entry.last })
    }

    /// Shows what was appended to the last segment, and gives its retained bytes. What leaves the memory for it is added
    /// to `left`.
    pub(super) fn commit(
        &mut self,
        records: impl Iterator<Item = Arc<Record>>,
        end: u32,
        left: &mut Vec<Arc<Record>>,
    ) -> u64 {
        let Some(entry) = self.entries.back_mut() else { return 0 };
        let (mut count, mut bytes) = (0, 0);
        for record in records {
            entry.last = record.position;
            count += 1;
            bytes += record.retained_bytes();
            self.recent.push(record, left);
        }
        entry.end = end;
        entry.records += count;
        entry.retained_bytes += bytes;
        self.records += count;
        self.retained_bytes += bytes;
        bytes
    }

    /// Begins a segment, at the tail.
    pub(super) fn roll(&mut self, segment: Arc<Segment>, last: Position) {
        self.entries.push_back(Entry { segment, end: HEAD_BYTES, last, records: 0, retained_bytes: 0 });
    }

    /// Has another segment in place of the last, which has no record.
    pub(super) fn replace_last(&mut self, segment: Arc<Segment>, last: Position) {
        self.entries.pop_back();
        self.roll(segment, last);
    }

    /// Forgets everything: the history begins anew at `start`, in `segment`. The last segment counts as one of those
    /// that were forgotten if it `was_begun`; else its file is that of `segment`.
    pub(super) fn begin_at(&mut self, segment: Arc<Segment>, start: Position, was_begun: bool) -> Trimmed {
        if !was_begun {
            self.entries.pop_back();
        }
        let segments = self.entries.drain(..).map(|entry| entry.segment).collect();
        self.oldest = Oldest { records: VecDeque::new(), read_to: (segment.head.sequence, HEAD_BYTES) };
        self.recent = Recent { records: VecDeque::new(), after: start, bytes: 0, bytes_max: self.recent.bytes_max };
        (self.start, self.start_byte, self.records, self.retained_bytes) = (start, HEAD_BYTES, 0, 0);
        self.roll(segment, start);
        Trimmed { segments, wants_oldest: false }
    }

    /// Drops from the front what is past the retention, down to `least` records.
    pub(super) fn trim(&mut self, now: Timestamp, least: u64) -> Trimmed {
        let mut trimmed = Trimmed::default();
        while self.records > least {
            let Some(oldest) = self.oldest.records.front().copied() else {
                trimmed.wants_oldest = true;
                break;
            };
            if !self.retention.is_exceeded(self.records, self.retained_bytes, oldest.time, now) {
                break;
            }
            self.oldest.records.pop_front();
            self.drop_oldest(oldest, &mut trimmed);
        }
        trimmed
    }

    fn drop_oldest(&mut self, oldest: OldRecord, trimmed: &mut Trimmed) {
        // Segments without records are passed over.
        while self.entries.len() > 1 && self.entries.front().is_some_and(|entry| entry.last < oldest.position) {
            trimmed.segments.extend(self.entries.pop_front().map(|entry| entry.segment));
        }
        self.start = oldest.position;
        self.start_byte = oldest.next_byte;
        self.records -= oldest.records;
        self.retained_bytes -= oldest.retained_bytes;
        if let Some(entry) = self.entries.front_mut() {
            entry.records -= oldest.records;
            entry.retained_bytes -= oldest.retained_bytes;
            if entry.last == oldest.position && self.entries.len() > 1 {
                trimmed.segments.extend(self.entries.pop_front().map(|entry| entry.segment));
                self.start_byte = HEAD_BYTES;
            }
        }
        self.recent.drop_to(self.start);
    }

    /// Where to read on for what trimming needs to know next, when it has used up what was read.
    pub(super) fn oldest_unread(&self) -> Option<(Entry, u32)> {
        let (sequence, byte) = self.oldest.read_to;
        if !self.oldest.records.is_empty() {
            return None;
        }
        let mut unread = self.entries.iter().filter(|entry| entry.segment.head.sequence >= sequence);
        unread.find_map(|entry| {
            let from = if entry.segment.head.sequence == sequence { byte } else { HEAD_BYTES };
            (from < entry.end).then(|| (entry.clone(), from))
        })
    }

    /// Whether trimming can go on.
    pub(super) fn knows_oldest(&self) -> bool {
        !self.oldest.records.is_empty()
    }

    /// Adds what was read there.
    pub(super) fn add_oldest(&mut self, sequence: u64, records: Vec<OldRecord>) {
        if let Some(last) = records.last() {
            self.oldest.read_to = (sequence, last.next_byte);
        }
        self.oldest.records.extend(records);
    }
}

/// Where a history without a segment would be.
const NOWHERE: Position = Position::start_of(crate::Epoch(0));

impl Recent {
    fn push(&mut self, record: Arc<Record>, left: &mut Vec<Arc<Record>>) {
        self.bytes += recent_bytes(&record);
        self.records.push_back(record);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.records.pop_front() else { return };
            self.bytes -= recent_bytes(&oldest);
            self.after = oldest.position;
            left.push(oldest);
        }
    }

    fn drop_to(&mut self, start: Position) {
        while self.records.front().is_some_and(|oldest| oldest.position <= start) {
            let Some(oldest) = self.records.pop_front() else { return };
            self.bytes -= recent_bytes(&oldest);
            self.after = oldest.position;
        }
    }
}

fn recent_bytes(record: &Record) -> usize {
    record.frame.len() + RECENT_OVERHEAD_BYTES
}

/// What a read in progress may still take.
#[derive(Debug)]
pub(super) struct Taking {
    budget: ReadBudget,
    has_taken: bool,
}

impl Taking {
    pub(super) fn new(budget: ReadBudget) -> Self {
        Self { budget, has_taken: false }
    }

    pub(super) fn budget(&self) -> ReadBudget {
        self.budget
    }

    pub(super) fn has_taken(&self) -> bool {
        self.has_taken
    }

    /// Counts a record that is looked at. False if that was one too many.
    pub(super) fn examine(&mut self) -> bool {
        let may = self.budget.examined > 0;
        self.budget.examined = self.budget.examined.saturating_sub(1);
        may
    }

    /// Takes a record if the budget allows it. The first always fits, or a large one would stop the reader for good.
    pub(super) fn take(&mut self, frame_bytes: usize) -> bool {
        let fits = self.budget.records > 0 && (!self.has_taken || frame_bytes <= self.budget.bytes);
        if fits {
            self.has_taken = true;
            self.budget.records -= 1;
            self.budget.bytes = self.budget.bytes.saturating_sub(frame_bytes);
        }
        fits
    }
}
