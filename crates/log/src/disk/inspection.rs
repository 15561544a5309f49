//! A look at a log that no process has open.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::damage::{Damage, DamageKind, Unreadable};
use crate::disk::history::Entry;
use crate::disk::reading::{Names, record};
use crate::disk::recovery::{Listed, Scanned, check_end, follows, list, scan, was_whole};
use crate::disk::scan::{Scan, Step, written_end};
use crate::disk::segment::{HEAD_BYTES, Index, Segment, index_name};
use crate::disk::settings::{Durability, Order};
use crate::disk::side::{Side, Summary};
use crate::disk::state::State;
use crate::disk::storage::Folder;
use crate::disk::terms::Terms;
use crate::disk::{OpenError, lock};
use crate::{Epoch, Position, ReadError, Record, Timestamp};

/// A log that no process has open, and that none can open meanwhile. Nothing in its folder is changed.
#[derive(Debug)]
pub struct Inspection {
    folder: Arc<dyn Folder>,
    state: State,
    segments: Vec<(Segment, u64)>,
    /// What is wrong with the files as such.
    damage: Vec<Damage>,
    _lock: Box<dyn Debug + Send + Sync>,
}

/// What a log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// Events, with those that retention would drop at the next start.
    pub events: u64,
    /// Bytes, as [`Record::retained_bytes`] counts them.
    pub bytes: u64,
    /// Bytes of the segments and their indexes, with room that was taken ahead.
    pub file_bytes: u64,
    /// Segments.
    pub segments: usize,
    /// The oldest event, and when it was published.
    pub oldest: Option<(Position, Timestamp)>,
    /// The newest event, and when it was published.
    pub newest: Option<(Position, Timestamp)>,
    /// The stretches of history, from the oldest to the newest.
    pub epochs: Vec<Epoch>,
    /// Whether the last process closed it.
    pub is_closed: bool,
    /// What is wrong, in the order of the history. [`DamageKind::TornTail`] and [`DamageKind::Index`] lose nothing that
    /// was acknowledged.
    pub damage: Vec<Damage>,
}

impl Inspection {
    pub(super) fn of(folder: Arc<dyn Folder>) -> Result<Self, OpenError> {
        let lock = lock(&*folder)?;
        let state = State::load(&*folder).map_err(Unreadable::failed(&folder.path("state")))?;
        let state = state.unwrap_or_else(|| State::new(Durability::Fsync, Order::Own, None));
        let Listed { segments, unwritten, mut damage } = list(&*folder, state.durability == Durability::Fsync)?;
        for segment in unwritten {
            let failed = Unreadable::failed(segment.path());
            let size = segment.file.size().map_err(&failed)?;
            if written_end(&*segment.file, 0, size).map_err(&failed)? > 0 {
                damage.push(segment.damage(0, DamageKind::TornTail));
            }
        }
        Ok(Self { folder, state, segments, damage, _lock: lock })
    }

    /// Reads all of it, and checks every record and every index.
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`] if a file can't be read.
    pub fn info(&self) -> Result<Info, OpenError> {
        let mut info = Info {
            events: 0,
            bytes: 0,
            file_bytes: self.file_bytes()?,
            segments: self.segments.len(),
            oldest: None,
            newest: None,
            epochs: Vec::new(),
            is_closed: self.state.closed_at.is_some(),
            damage: self.damage.clone(),
        };
        let mut before: Option<Entry> = None;
        for (index, (segment, size)) in self.segments.iter().enumerate() {
            note(&mut info.damage, follows(before.as_ref(), segment, self.state.order).map(drop))?;
            let Scanned { summary, stopped, .. } =
                scan(segment, *size, &self.state.key).map_err(Unreadable::failed(segment.path()))?;
            let is_last = index + 1 == self.segments.len();
            self.check(segment, *size, (&summary, stopped), is_last, &mut info.damage)?;
            info.events += summary.records;
            info.bytes += summary.retained_bytes;
            let epoch = segment.head.base.position.epoch;
            if info.epochs.last() != Some(&epoch) {
                info.epochs.push(epoch);
            }
            before = Some(Entry {
                segment: Arc::new(Segment::new(
                    segment.head,
                    segment.file.clone(),
                    segment.path().clone(),
                    Index::Memory(Terms::default()),
                )),
                end: summary.end,
                last: Position { offset: summary.last_offset, epoch },
                records: summary.records,
                retained_bytes: summary.retained_bytes,
            });
        }
        note(&mut info.damage, check_end(&*self.folder, self.state.closed_at, before.as_ref()))?;
        // All has been read once: the ends are looked for from the ends.
        let named = |record: Record| (record.position, record.time);
        info.oldest = self.records().find_map(Result::ok).map(named);
        let newest = |index| self.records_from(index).filter_map(Result::ok).last();
        info.newest = (0..self.segments.len()).rev().find_map(newest).map(named);
        Ok(info)
    }

    /// Checks the end of a segment and its index.
    fn check(
        &self,
        segment: &Segment,
        size: u64,
        (summary, stopped): (&Summary, u64),
        is_last: bool,
        damage: &mut Vec<Damage>,
    ) -> Result<(), Unreadable> {
        let failed = Unreadable::failed(segment.path());
        let written = written_end(&*segment.file, summary.end.into(), size).map_err(&failed)?;
        if written > u64::from(summary.end) {
            let is_torn = is_last && !was_whole(segment, (stopped, written), &self.state, false)?;
            damage.push(if is_torn {
                segment.damage(summary.end.into(), DamageKind::TornTail)
            } else {
                segment.damage(stopped, DamageKind::Record)
            });
        }
        let name = index_name(segment.head.sequence);
        if let Ok(file) = self.folder.open(&name)
            && !is_last
            && Side::open(file, &segment.head, &self.state.key, size).map_err(&failed)?.is_none()
        {
            damage.push(Damage { file: self.folder.path(&name), byte: 0, kind: DamageKind::Index });
        }
        Ok(())
    }

    fn file_bytes(&self) -> Result<u64, Unreadable> {
        let mut bytes = 0;
        let names = self.folder.names().map_err(Unreadable::failed(&self.folder.path("")))?;
        for name in names.into_iter().filter(|name| name.ends_with(".events") || name.ends_with(".index")) {
            let size = self.folder.open(&name).and_then(|file| file.size());
            bytes += size.map_err(Unreadable::failed(&self.folder.path(&name)))?;
        }
        Ok(bytes)
    }

    /// Every event, from the oldest to the newest. Where a segment is damaged the error comes in place of the rest of
    /// that segment, and the next one follows.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        self.records_from(0)
    }

    /// The events of this segment and those after it.
    fn records_from(&self, index: usize) -> Records<'_> {
        Records { inspection: self, index, chunk: Vec::new().into_iter(), byte: HEAD_BYTES, end: None }
    }
}

/// Takes damage into the list; any other error goes on.
fn note(damage: &mut Vec<Damage>, checked: Result<(), Unreadable>) -> Result<(), Unreadable> {
    match checked {
        Err(Unreadable::Damaged(found)) => {
            damage.push(found);
            Ok(())
        }
        other => other,
    }
}

/// Iterates over the events of a log: [`Inspection::records`].
#[derive(Debug)]
pub struct Records<'a> {
    inspection: &'a Inspection,
    /// The segment.
    index: usize,
    /// Records that were read.
    chunk: std::vec::IntoIter<Record>,
    /// Where reading goes on.
    byte: u32,
    /// Where the whole batches of the segment end, and whether the segment is damaged there, once that is known.
    end: Option<(u32, Option<Damage>)>,
}

/// Records read at once.
const CHUNK_RECORDS: usize = 256;

impl Iterator for Records<'_> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.chunk.next() {
                return Some(Ok(record));
            }
            let (segment, size) = self.inspection.segments.get(self.index)?;
            match self.read(segment, *size) {
                Ok(true) => {}
                Ok(false) => {
                    self.index += 1;
                    self.byte = HEAD_BYTES;
                    if let Some((_, Some(damage))) = self.end.take() {
                        return Some(Err(ReadError::Failed(Box::new(damage))));
                    }
                }
                Err(error) => {
                    self.index = usize::MAX;
                    return Some(Err(ReadError::Failed(Box::new(error))));
                }
            }
        }
    }
}

impl Records<'_> {
    /// Reads some records of the segment. False at its end.
    fn read(&mut self, segment: &Segment, size: u64) -> Result<bool, Unreadable> {
        let failed = Unreadable::failed(segment.path());
        let (end, _) = match &self.end {
            Some(end) => end,
            None => {
                let Inspection { state, segments, .. } = self.inspection;
                let Scanned { summary, stopped, .. } = scan(segment, size, &state.key).map_err(&failed)?;
                let written = written_end(&*segment.file, summary.end.into(), size).map_err(&failed)?;
                let is_last = self.index + 1 == segments.len();
                let is_damaged = written > u64::from(summary.end)
                    && (!is_last || was_whole(segment, (stopped, written), state, false)?);
                let damage = is_damaged.then(|| segment.damage(stopped, DamageKind::Record));
                self.end.insert((summary.end, damage))
            }
        };
        let mut scan = Scan::new(&*segment.file, segment.head.base, self.byte.into(), (*end).into());
        let mut names = Names::default();
        let mut records = Vec::new();
        while records.len() < CHUNK_RECORDS
            && let Step::Record(byte, view) = scan.next().map_err(&failed)?
        {
            self.byte = byte as u32 + view.size as u32;
            let frame = Bytes::copy_from_slice(view.frame);
            records.push(record(&view, frame, &mut names));
        }
        self.chunk = records.into_iter();
        Ok(self.chunk.len() > 0)
    }
}
