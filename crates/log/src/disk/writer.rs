//! The writer: the one thread that appends. It takes what waits, writes it at once, syncs, shows it to readers and then
//! answers the publishers.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::disk::damage::Unreadable;
use crate::disk::group::Group;
use crate::disk::history::Trimmed;
use crate::disk::queue::{Answer, Job, Waiting};
use crate::disk::reading;
use crate::disk::scan::{Scan, Step};
use crate::disk::segment::{HEAD_BYTES, Head, Index, Segment, events_name};
use crate::disk::settings::Durability;
use crate::disk::shared::Shared;
use crate::disk::side::Summary;
use crate::disk::storage::write_full;
use crate::disk::stored::Base;
use crate::disk::terms::Terms;
use crate::limits::{BATCH_BYTES_MAX, READ_CHUNK_BYTES, REPAIR_INTERVAL};
use crate::{AppendError, Id, Place, Position, Record, Timestamp};

/// The segment that is written, as far as the disk has it.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    /// Bytes that it may grow to.
    pub(super) size: u64,
    /// Bytes of room that were taken.
    pub(super) room: u64,
    /// Where the next group begins: 0 if not even the head was written.
    pub(super) end: u32,
    pub(super) records: u64,
    pub(super) retained_bytes: u64,
    pub(super) last: Position,
}

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Active,
    /// What failed. Nothing is written until it was repaired: what a failed sync has left on the disk is unknown, and a
    /// second sync would say that all is well.
    failed: Option<String>,
    /// Whether operators were told of trouble.
    is_troubled: bool,
    /// Spare room for the next group.
    bytes: Vec<u8>,
}

/// Nobody waits for an answer any more when the writer has gone, however that came.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.queue.abandon();
        self.0.work.close();
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, active: Active) -> Self {
        Self { shared, active, failed: None, is_troubled: false, bytes: Vec::new() }
    }

    /// Writes until the queue is closed and empty. Gives where the records end, if the disk has all of them.
    pub(super) fn run(mut self) -> Option<(u64, u32)> {
        let closing = Closing(self.shared.clone());
        let mut waiting = Vec::new();
        while closing.0.queue.take_group(&mut waiting, self.failed.as_ref().map(|_| REPAIR_INTERVAL)).is_some() {
            self.repair();
            let mut group = self.new_group();
            for batch in waiting.drain(..) {
                self.stage(&mut group, batch);
            }
            self.commit(&mut group);
        }
        // What room was taken ahead is given back: the log may not be opened for long.
        let Active { segment, end, .. } = &self.active;
        let closed = |()| segment.file.truncate((*end).into()).and_then(|()| segment.file.sync());
        let is_synced = self.failed.is_none() && segment.file.sync().and_then(closed).is_ok();
        is_synced.then_some((segment.head.sequence, *end))
    }

    /// Gives a batch its positions and adds it to the group, which is written before if there is no room for both.
    fn stage(&mut self, group: &mut Group, waiting: Waiting) {
        let Waiting { batch, job, answer, .. } = waiting;
        if let Some(reason) = &self.failed {
            answer.give(Err(AppendError::not_stored(reason.clone())));
            return;
        }
        let place = match job {
            Job::Store(place) => place,
            Job::BeginAt(start) => return self.begin_at(group, start, answer),
        };
        let tail = group.records.last().map_or(self.active.last, |(record, _)| record.position);
        let first = match place.first_past(tail, batch.len()) {
            Ok(first) => first,
            Err(error) => return answer.give(Err(error)),
        };
        let records: Vec<Arc<Record>> = (first.offset..)
            .zip(batch)
            .map(|(offset, draft)| Arc::new(Record::new(draft, Position { offset, ..first })))
            .collect();
        let added = self.firsts(group, &records).and_then(|firsts| {
            self.add(group, first, records, &firsts)?;
            Ok(firsts)
        });
        match added {
            Ok(firsts) => group.keep(answer, first, &firsts),
            Err(error) => answer.give(Err(error)),
        }
    }

    /// The earlier records with the ids of `records`, for those that chose one.
    fn firsts<'r>(&self, group: &Group, records: &'r [Arc<Record>]) -> Result<Vec<Option<Position>>, AppendError> {
        let mut in_batch: HashMap<&str, Position> = HashMap::new();
        let first = |record: &'r Arc<Record>| {
            let Id::Chosen(id) = &record.id else { return Ok(None) };
            let known = match in_batch.get(&**id).copied().or_else(|| group.first_of(id)) {
                Some(first) => Some(first),
                None => reading::position_of(&self.shared, id)?,
            };
            in_batch.entry(id).or_insert_with(|| known.unwrap_or(record.position));
            Ok(known)
        };
        records.iter().map(first).collect::<Result<_, Unreadable>>().map_err(|error| {
            AppendError::not_stored("it can't be told whether the id was used before").with_source(error)
        })
    }

    fn add(
        &mut self,
        group: &mut Group,
        first: Position,
        mut records: Vec<Arc<Record>>,
        firsts: &[Option<Position>],
    ) -> Result<(), AppendError> {
        let time = records.first().map_or(Timestamp(0), |record| record.time);
        let head = &self.active.segment.head;
        let is_of_epoch = first.epoch == head.base.position.epoch;
        if is_of_epoch && !self.is_index_full(group) {
            let before = group.bytes.len();
            group.add(&head.base, records, firsts);
            let end = u64::from(self.active.end) + group.bytes.len() as u64;
            if end <= self.active.size {
                return self.take_room(end).map_err(|error| {
                    group.take_back(before);
                    self.no_room(error)
                });
            }
            records = group.take_back(before);
        }
        if !self.commit(group) {
            // The position and the ids of this batch follow those of the group that failed.
            *group = self.new_group();
            return Err(AppendError::not_stored("the disk failed on the events before it"));
        }
        // Where the first record stands decides how long its offset is in the file.
        let before_first = Position { offset: first.offset.saturating_sub(1), ..first };
        let base = Base { position: before_first, time };
        group.bytes.clear();
        group.add(&base, records, firsts);
        let size = group.bytes.len() as u64 + u64::from(HEAD_BYTES);
        records = group.take_back(0);
        if size > BATCH_BYTES_MAX as u64 {
            let reason = format!("a batch of {size} bytes is over the limit of {BATCH_BYTES_MAX}");
            return Err(AppendError::too_large(reason));
        }
        let rolled = self.roll(base, size, None);
        *group = self.new_group();
        rolled.map_err(|error| self.no_room(error))?;
        group.add(&base, records, firsts);
        Ok(())
    }

    fn no_room(&mut self, error: io::Error) -> AppendError {
        let reason = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full",
            _ => "the disk can't take more events",
        };
        self.set_trouble(Some(format!("{reason}: {error}")));
        AppendError::not_stored(format!("{reason}: {error}")).with_source(error)
    }

    /// Takes room up to `end` at least, so that a full disk shows before an event is written.
    fn take_room(&mut self, end: u64) -> io::Result<()> {
        let Active { segment, size, room, .. } = &mut self.active;
        if end > *room {
            let wanted = (end + self.shared.sizes.room_bytes).min(*size);
            segment.file.allocate(wanted)?;
            *room = wanted;
        }
        Ok(())
    }

    fn is_index_full(&self, group: &Group) -> bool {
        let sizes = &self.shared.sizes;
        let terms = match &*self.active.segment.index() {
            Index::Memory(terms) => terms.len(),
            Index::Side(_) => return true,
        };
        self.active.records + group.records.len() as u64 >= sizes.records_max || terms >= sizes.terms_max
    }

    /// Has the history begin anew: what comes next goes to a segment that says so.
    fn begin_at(&mut self, group: &mut Group, start: Position, answer: Answer) {
        let begun = if self.commit(group) {
            let time = self.active.segment.head.base.time;
            let base = Base { position: start, time };
            Place::start_past(self.active.last, start)
                .and_then(|_| self.roll(base, HEAD_BYTES.into(), Some(start)).map_err(|error| self.no_room(error)))
        } else {
            Err(AppendError::not_stored("the disk failed on the events before it"))
        };
        *group = self.new_group();
        if begun.is_ok() {
            self.shared.tell(start);
        }
        answer.give(begun.map(|()| Vec::new()));
    }

    /// Begins a segment with room for `bytes` at least. With `anew` all that came before is forgotten: the segment begins
    /// where none ends.
    fn roll(&mut self, base: Base, bytes: u64, anew: Option<Position>) -> io::Result<()> {
        let sizes = self.shared.sizes;
        let begun = self.active.end > 0;
        let old = &self.active.segment;
        if begun && self.shared.durability == Durability::Os {
            // Of all segments but the last the next start takes for granted that the disk has them.
            old.file.sync()?;
        }
        let sequence = old.head.sequence + u64::from(begun);
        let file = if begun { self.shared.work.take_next(sequence)? } else { old.file.clone() };
        let before = anew.unwrap_or(self.active.last);
        let head = Head { sequence, base, before };
        let path = self.shared.folder.path(&events_name(sequence));
        let segment = Arc::new(Segment::new(head, file, path, Index::Memory(Terms::default())));
        let mut forgotten = Trimmed::default();
        let old = {
            let mut history = self.shared.history_mut();
            match anew {
                Some(start) => forgotten = history.begin_at(segment.clone(), start, begun),
                None if begun => history.roll(segment.clone(), before),
                None => history.replace_last(segment.clone(), before),
            }
            let last = before;
            let (size, room) = (sizes.segment_bytes.max(bytes), sizes.room_bytes);
            let active = Active { segment, size, room, end: 0, records: 0, retained_bytes: 0, last };
            std::mem::replace(&mut self.active, active)
        };
        self.shared.follow_up(forgotten, base.time, 0);
        if begun && anew.is_none() {
            let summary = Summary {
                end: old.end,
                records: old.records,
                retained_bytes: old.retained_bytes,
                last_offset: old.last.offset,
            };
            self.shared.work.seal(old.segment, summary);
        }
        self.take_room(bytes)
    }

    /// Has the disk take the group, shows it to readers and answers its publishers. Leaves nothing of it. False if the
    /// disk failed.
    fn commit(&mut self, group: &mut Group) -> bool {
        let mut group = std::mem::take(group);
        if group.is_empty() {
            self.bytes = group.bytes;
            return true;
        }
        let (file, start) = (self.active.segment.file.clone(), u64::from(self.active.end));
        if let Err(error) = write_full(&*file, &group.bytes, start) {
            self.write_failed(group, &error);
            return false;
        }
        if self.shared.durability == Durability::Fsync
            && let Err(error) = self.shared.sync(&*file)
        {
            self.fail(format!("a sync of the disk failed: {error}"));
            group.fail(|| AppendError::maybe_stored(format!("a sync of the disk failed: {error}")));
            return false;
        }
        self.show(&mut group, start as u32);
        self.set_trouble(None);
        self.bytes = std::mem::take(&mut group.bytes);
        group.confirm();
        true
    }

    /// Readers see the group from here on.
    fn show(&mut self, group: &mut Group, start: u32) {
        let Active { segment, end, records, retained_bytes, last, .. } = &mut self.active;
        *end = start + group.bytes.len() as u32;
        *records += group.records.len() as u64;
        let mut now = segment.head.base.time;
        if let Index::Memory(terms) = &mut *segment.index_mut() {
            let key = self.shared.key;
            for (record, at) in &group.records {
                let topics = record.topics.iter().map(|topic| key.topic(topic));
                let id = match &record.id {
                    Id::Chosen(id) => Some(key.id(id)),
                    Id::Position => None,
                };
                terms.add(record.position, start + *at as u32, topics.chain(id));
                *last = record.position;
                now = record.time;
            }
        }
        // Freeing them takes longer than all else that is done under the lock.
        let mut left = Vec::with_capacity(group.records.len());
        let trimmed = {
            let mut history = self.shared.history_mut();
            *retained_bytes += history.commit(group.records.drain(..).map(|(record, _)| record), *end, &mut left);
            // The newest stays in any case: nobody can have read it yet.
            history.trim(now, 1)
        };
        drop(left);
        self.shared.follow_up(trimmed, now, 1);
        self.shared.tell(*last);
    }

    /// A write that failed may have left a part behind, which a crash must not bring back as events: with zeros in its
    /// place for good, nothing was stored.
    fn write_failed(&mut self, group: Group, error: &io::Error) {
        let file = &*self.active.segment.file;
        let zeros = vec![0; group.bytes.len().min(READ_CHUNK_BYTES)];
        let start = u64::from(self.active.end);
        let erased = (0..group.bytes.len()).step_by(READ_CHUNK_BYTES).try_for_each(|at| {
            let len = (group.bytes.len() - at).min(zeros.len());
            write_full(file, &zeros[..len], start + at as u64)
        });
        match erased.and_then(|()| file.sync()) {
            Ok(()) => group.fail(|| AppendError::not_stored(format!("a write to the disk failed: {error}"))),
            Err(_) => {
                self.fail(format!("a write to the disk failed: {error}"));
                group.fail(|| AppendError::maybe_stored(format!("a write to the disk failed: {error}")));
            }
        }
    }

    fn fail(&mut self, reason: String) {
        self.set_trouble(Some(reason.clone()));
        self.failed = Some(reason);
    }

    fn set_trouble(&mut self, trouble: Option<String>) {
        if self.is_troubled || trouble.is_some() {
            self.is_troubled = trouble.is_some();
            self.shared.set_trouble(trouble);
        }
    }

    /// Tries to bring the segment back to what was confirmed: cuts off the rest, which also forgets what the system
    /// still holds of it, and reads what is left again. The next batch begins another segment.
    fn repair(&mut self) {
        let Some(reason) = self.failed.clone() else { return };
        match self.recover() {
            Ok(()) => {
                self.failed = None;
                self.set_trouble(None);
            }
            Err(error) => self.set_trouble(Some(format!("{reason}; not repaired: {error}"))),
        }
    }

    fn recover(&mut self) -> io::Result<()> {
        let Active { segment, size, room, end, records, .. } = &mut self.active;
        let name = events_name(segment.head.sequence);
        let file = self.shared.folder.open(&name)?;
        file.truncate((*end).into())?;
        file.sync()?;
        let begun = *end > 0;
        if begun {
            let mut found = 0;
            let mut scan = Scan::new(&*file, segment.head.base, HEAD_BYTES.into(), (*end).into());
            let scanned_to = loop {
                match scan.next()? {
                    Step::Record(..) => found += 1,
                    Step::End(byte) | Step::Bad(byte) => break byte,
                }
            };
            if (scanned_to, found) != (u64::from(*end), *records) {
                return Err(io::Error::other(format!("{} is damaged at byte {scanned_to}", segment.path().display())));
            }
            (*size, *room) = ((*end).into(), (*end).into());
        } else {
            file.allocate(*room)?;
            file.sync()?;
        }
        Ok(())
    }

    /// A group that begins where the active segment ends.
    fn new_group(&mut self) -> Group {
        let bytes = std::mem::take(&mut self.bytes);
        let mut group = Group::in_room(bytes);
        if self.active.end == 0 {
            group.begin(&self.active.segment.head);
        }
        group
    }
}
