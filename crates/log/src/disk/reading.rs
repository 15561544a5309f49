//! Reads of what has left the memory.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::disk::damage::{DamageKind, Unreadable};
use crate::disk::history::{Stretch, Taking};
use crate::disk::segment::{HEAD_BYTES, Segment};
use crate::disk::shared::Shared;
use crate::disk::storage::{File, read_full};
use crate::disk::stored::{Decoded, View, decode, needed};
use crate::limits::{
    NAME_BYTES_MAX, NAMES, POSTINGS_MAX, READ_CHUNK_BYTES, READ_RECORD_BYTES, SPARE_BUFFERS_MAX, SPARE_NAMES_MAX,
};
use crate::{Batch, Position, ReadBudget, ReadError, Record, RecordRef, Topics};

/// What a read does with the records that it finds.
pub(super) trait Receiver {
    /// One that lies in `chunk`.
    fn stored(&mut self, view: &View<'_>, chunk: &Bytes);

    /// Those that are in memory.
    fn recent(&mut self, records: Vec<Arc<Record>>);
}

/// Makes a record of each, whose frame is a part of the chunk, not a copy.
pub(super) struct Collecting {
    pub(super) records: Vec<Arc<Record>>,
    names: Names,
}

/// Shows each where it lies.
pub(super) struct Showing<'v>(pub(super) &'v mut dyn FnMut(RecordRef<'_>));

impl Collecting {
    pub(super) fn new(shared: &Shared) -> Self {
        Self { records: Vec::new(), names: shared.names.take() }
    }
}

impl Receiver for Collecting {
    fn stored(&mut self, view: &View<'_>, chunk: &Bytes) {
        let frame = chunk.slice_ref(view.frame);
        self.records.push(Arc::new(record(view, frame, &mut self.names)));
    }

    fn recent(&mut self, records: Vec<Arc<Record>>) {
        self.records = records;
    }
}

impl Receiver for Showing<'_> {
    fn stored(&mut self, view: &View<'_>, _chunk: &Bytes) {
        (self.0)(view.as_ref());
    }

    fn recent(&mut self, records: Vec<Arc<Record>>) {
        records.iter().for_each(|record| (self.0)(RecordRef::from(&**record)));
    }
}

/// Gives `receiver` at most `budget` of the records past `after` that have one of `topics`, and returns where to read on.
pub(super) fn read<R: Receiver>(
    shared: &Shared,
    after: Position,
    topics: Topics<'_>,
    budget: ReadBudget,
    receiver: &mut R,
) -> Result<Position, ReadError> {
    let terms: Vec<u64> = match topics {
        Topics::All => Vec::new(),
        Topics::Any(set) => set.iter().map(|topic| shared.key.topic(topic)).collect(),
    };
    let (taking, window) = (Taking::new(budget), Window::default());
    let mut reading = Reading { shared, topics, terms, taking, end: after, window, receiver };
    loop {
        let at = reading.end;
        let (recent, stretch) = {
            let history = shared.history();
            if at < history.span().start {
                // What has been read so far is whole; the next read tells.
                return if at > after { Ok(at) } else { Err(ReadError::Expired) };
            }
            let recent = if reading.taking.has_taken() {
                None
            } else {
                history.read_recent(at, topics, reading.taking.budget())
            };
            (recent, history.stretch_after(at))
        };
        if let Some(Batch { records, end }) = recent {
            reading.receiver.recent(records);
            return Ok(end);
        }
        let Some(stretch) = stretch else { return Ok(at) };
        reading.window = Window::default();
        let read = match topics {
            Topics::All => reading.scan(&stretch),
            Topics::Any(_) => reading.seek(&stretch),
        };
        match read.map_err(|error| ReadError::Failed(Box::new(error)))? {
            ControlFlow::Continue(()) => reading.end = stretch.last.max(at),
            ControlFlow::Break(()) => return Ok(reading.end),
        }
    }
}

/// The first record kept that has this id, or the one before it that had it, which has left the history.
pub(super) fn position_of(shared: &Shared, id: &str) -> Result<Option<Position>, Unreadable> {
    let term = shared.key.id(id);
    // A file may have to be read, which is not done under the lock.
    let segments: Vec<(Arc<Segment>, u32, u32)> = {
        let history = shared.history();
        let from = std::iter::once(history.start_byte()).chain(std::iter::repeat(HEAD_BYTES));
        history.entries().zip(from).map(|(entry, from)| (entry.segment.clone(), from, entry.end)).collect()
    };
    let mut places = Vec::new();
    for (segment, mut from, end) in segments {
        if !segment.may_contain(term).map_err(Unreadable::failed(segment.path()))? {
            continue;
        }
        loop {
            places.clear();
            segment.postings(term, from, ID_POSTINGS, &mut places).map_err(Unreadable::failed(segment.path()))?;
            for byte in places.iter().copied().filter(|byte| *byte < end) {
                let bytes = Window::default().from(None, &segment, (byte, end), READ_RECORD_BYTES)?;
                let view = record_at(&bytes, &segment, byte)?;
                // The index holds hashes: only the record says what its id is.
                if view.id == Some(id) {
                    return Ok(Some(view.placing.first.unwrap_or(view.position)));
                }
            }
            match places.last() {
                Some(last) if places.len() == ID_POSTINGS => from = last + 1,
                _ => break,
            }
        }
    }
    Ok(None)
}

/// Places of an id that are looked up at once: more than one are hashes that collide.
const ID_POSTINGS: usize = 16;

struct Reading<'a, R> {
    shared: &'a Shared,
    topics: Topics<'a>,
    terms: Vec<u64>,
    taking: Taking,
    /// The last position looked at.
    end: Position,
    window: Window,
    receiver: &'a mut R,
}

impl<R: Receiver> Reading<'_, R> {
    /// Reads every record of the stretch, until the budget is used up.
    fn scan(&mut self, stretch: &Stretch) -> Result<ControlFlow<()>, Unreadable> {
        let after = self.end;
        let segment = &*stretch.segment;
        let mut byte = segment.seek(after).map_err(Unreadable::failed(segment.path()))?.max(stretch.from);
        while byte < stretch.end {
            // A little more than the budget's frames: what is read past it is copied in vain, which is what replay costs
            // most, and a rest takes another small read.
            let budget = self.taking.budget().bytes;
            let hint = budget.saturating_add(budget / 8).clamp(READ_RECORD_BYTES, READ_CHUNK_BYTES);
            let chunk = self.window.from(Some(&self.shared.buffers), segment, (byte, stretch.end), hint)?;
            // All that lies whole in the chunk.
            let mut at = 0;
            while let Decoded::Record(view) = &decode(chunk.get(at..).unwrap_or_default(), &segment.head.base) {
                at += view.size;
                if view.position <= after {
                    continue;
                }
                if !self.taking.examine() || !self.take(view, &chunk) {
                    return Ok(ControlFlow::Break(()));
                }
                self.end = view.position;
            }
            if at == 0 {
                return Err(segment.damage(byte.into(), DamageKind::Record).into());
            }
            byte += at as u32;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads the records of the stretch that the index has for the topics.
    fn seek(&mut self, stretch: &Stretch) -> Result<ControlFlow<()>, Unreadable> {
        let after = self.end;
        let segment = &*stretch.segment;
        let failed = Unreadable::failed(segment.path());
        // Where the records past the cursor begin, only once it is known that there is something.
        let mut from = None;
        let limit = (POSTINGS_MAX / self.terms.len().max(1)).min(self.taking.budget().examined).max(16);
        let mut places = Vec::new();
        loop {
            let mut horizon = stretch.end;
            places.clear();
            for index in 0..self.terms.len() {
                let Some(term) = self.terms.get(index).copied() else { break };
                if from.is_none() {
                    if !segment.may_contain(term).map_err(&failed)? {
                        continue;
                    }
                    from = Some(segment.seek(after).map_err(&failed)?.max(stretch.from));
                }
                let first = places.len();
                segment.postings(term, from.unwrap_or(HEAD_BYTES), limit, &mut places).map_err(&failed)?;
                if places.len() - first == limit {
                    // Of this topic there may be more: what comes later in other lists has to wait.
                    horizon = horizon.min(places.last().map_or(horizon, |last| last.saturating_add(1)));
                }
            }
            places.retain(|byte| *byte < horizon);
            places.sort_unstable();
            places.dedup();
            for index in 0..places.len() {
                if self.one(stretch, after, &places, index)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if horizon >= stretch.end {
                return Ok(ControlFlow::Continue(()));
            }
            from = Some(horizon);
        }
    }

    /// Reads the record at one of several places.
    fn one(
        &mut self,
        stretch: &Stretch,
        after: Position,
        places: &[u32],
        index: usize,
    ) -> Result<ControlFlow<()>, Unreadable> {
        let Some(byte) = places.get(index).copied() else { return Ok(ControlFlow::Continue(())) };
        // Where several lie close together, one read of the file gets them all.
        let is_dense = places.get(index + 4).is_some_and(|later| (later - byte) as usize <= READ_CHUNK_BYTES / 4);
        let hint = if is_dense { READ_CHUNK_BYTES / 2 } else { READ_RECORD_BYTES };
        let bytes = self.window.from(Some(&self.shared.buffers), &stretch.segment, (byte, stretch.end), hint)?;
        let view = record_at(&bytes, &stretch.segment, byte)?;
        if view.position <= after {
            return Ok(ControlFlow::Continue(()));
        }
        // The index holds hashes: only the record says what its topics are.
        let wanted = match self.topics {
            Topics::All => true,
            Topics::Any(set) => view.as_ref().is_of(set),
        };
        if !self.taking.examine() || (wanted && !self.take(&view, &bytes)) {
            return Ok(ControlFlow::Break(()));
        }
        self.end = view.position;
        Ok(ControlFlow::Continue(()))
    }

    /// Takes a record that lies in `chunk`, if the budget allows it.
    fn take(&mut self, view: &View<'_>, chunk: &Bytes) -> bool {
        let fits = self.taking.take(view.frame.len());
        if fits {
            self.receiver.stored(view, chunk);
        }
        fits
    }
}

/// The record of a view.
pub(super) fn record(view: &View<'_>, frame: Bytes, names: &mut Names) -> Record {
    Record {
        position: view.position,
        topics: view.topics.map(|topic| names.share(topic)).collect(),
        id: view.id(),
        visibility: view.visibility,
        time: view.time,
        frame,
    }
}

/// A part of a segment that was read.
#[derive(Debug, Default)]
struct Window {
    bytes: Bytes,
    at: u32,
}

impl Window {
    /// The bytes from `byte` on, where a record begins that is whole in them. Reads `hint` bytes if it has to.
    fn from(
        &mut self,
        buffers: Option<&Arc<Buffers>>,
        segment: &Segment,
        (byte, end): (u32, u32),
        hint: usize,
    ) -> Result<Bytes, Unreadable> {
        let held = byte.checked_sub(self.at).map(|at| at as usize).filter(|at| *at < self.bytes.len());
        if let Some(at) = held
            && needed(self.bytes.get(at..).unwrap_or_default()).is_none()
        {
            return Ok(self.bytes.slice(at..));
        }
        let left = end.saturating_sub(byte) as usize;
        let mut wanted = hint.min(left);
        loop {
            let read = read_bytes(buffers, &*segment.file, byte, wanted);
            (self.bytes, self.at) = (read.map_err(Unreadable::failed(segment.path()))?, byte);
            match needed(&self.bytes) {
                Some(needed) if needed <= left && needed > wanted => wanted = needed,
                Some(_) => return Err(segment.damage(byte.into(), DamageKind::Record).into()),
                None => return Ok(self.bytes.clone()),
            }
        }
    }
}

/// The record that `bytes` begin with, at `byte` of the segment's file.
fn record_at<'a>(bytes: &'a [u8], segment: &Segment, byte: u32) -> Result<View<'a>, Unreadable> {
    match decode(bytes, &segment.head.base) {
        Decoded::Record(view) => Ok(view),
        _ => Err(segment.damage(byte.into(), DamageKind::Record).into()),
    }
}

/// Reads `wanted` bytes, fewer if the file ends.
fn read_bytes(buffers: Option<&Arc<Buffers>>, file: &dyn File, byte: u32, wanted: usize) -> io::Result<Bytes> {
    let mut buffer = match buffers {
        Some(buffers) if wanted > READ_RECORD_BYTES && wanted <= READ_CHUNK_BYTES => buffers.take(),
        _ => Buffer { bytes: vec![0; wanted], len: 0, spare: None },
    };
    let room = buffer.bytes.len().min(wanted);
    buffer.len = read_full(file, &mut buffer.bytes[..room], byte.into())?;
    Ok(Bytes::from_owner(buffer))
}

/// Buffers of a chunk for reads. A new one would have to be filled with zeros each time.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    spare: Option<Arc<Buffers>>,
}

impl Buffers {
    fn take(self: &Arc<Self>) -> Buffer {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = spare.unwrap_or_else(|| vec![0; READ_CHUNK_BYTES]);
        Buffer { bytes, len: 0, spare: Some(self.clone()) }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(buffers) = self.spare.take() {
            let mut spare = buffers.0.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < SPARE_BUFFERS_MAX {
                spare.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

/// The topics of the records that were read last, so that records share their text.
#[derive(Debug, Default)]
pub(super) struct Names {
    slots: Vec<Option<Arc<str>>>,
    spare: Option<Arc<SpareNames>>,
}

/// Topics that reads have met, kept for the next read.
#[derive(Debug, Default)]
pub(super) struct SpareNames(Mutex<Vec<Vec<Option<Arc<str>>>>>);

impl SpareNames {
    fn take(self: &Arc<Self>) -> Names {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Names { slots, spare: Some(self.clone()) }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        if let Some(spare) = self.spare.take()
            && !self.slots.is_empty()
        {
            let mut spare = spare.0.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < SPARE_NAMES_MAX {
                spare.push(std::mem::take(&mut self.slots));
            }
        }
    }
}

impl Names {
    fn share(&mut self, name: &str) -> Arc<str> {
        if name.len() > NAME_BYTES_MAX {
            return name.into();
        }
        if self.slots.is_empty() {
            self.slots.resize(NAMES, None);
        }
        let slot = &mut self.slots[name_slot(name)];
        match slot {
            Some(held) if **held == *name => held.clone(),
            _ => slot.insert(name.into()).clone(),
        }
    }
}

/// Mixes the end of a name, where topics differ.
fn name_slot(name: &str) -> usize {
    let bytes = name.as_bytes();
    let end = bytes.last_chunk::<8>().map_or_else(
        || bytes.iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte)),
        |end| u64::from_le_bytes(*end),
    );
    (end.wrapping_add(bytes.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize % NAMES
}
