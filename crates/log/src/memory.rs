//! The log in memory: gone with the process, and the oracle for every other.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use crate::limits::BATCH_EVENTS_MAX;
use crate::{
    Append, AppendError, Batch, Draft, Epoch, Id, Located, Log, Place, Position, ReadBudget, ReadError, Record,
    Retention, Span, Timestamp, Topics, Usage,
};

/// A [`Log`] in memory, bounded by its [`Retention`].
///
/// Costs: an append a map look-up per topic; a cursor a binary search; a read by topic a seek per topic, whatever the
/// size of the history.
///
/// ```
/// # use fanfare_log::*;
/// # fn ready<T>(future: impl Future<Output = T>) -> T {
/// #     let mut future = std::pin::pin!(future);
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) { return value } }
/// # }
/// let log = MemoryLog::new(Epoch(1), Retention { count: Some(100_000), ..Retention::default() });
/// let draft = Draft {
///     topics: vec!["news".into()],
///     id: Id::Position,
///     visibility: Visibility::Public,
///     time: Timestamp(1_750_000_000_000),
///     frame: Frame::whole("hello"),
/// };
/// let positions = ready(Engine::append(&log, vec![draft]))?;
///
/// let budget = ReadBudget { records: 100, bytes: 1 << 16, examined: 1000 };
/// let batch = log.read(log.span().start, Topics::All, budget)?;
/// assert_eq!(batch.records[0].frame, "hello");
/// assert_eq!(batch.end, positions[0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryLog {
    retention: Retention,
    history: RwLock<History>,
    notify: Mutex<Vec<Notify>>,
}

type Notify = Arc<dyn Fn(Position) + Send + Sync>;

impl MemoryLog {
    /// An empty log whose positions are of `epoch`, which must differ from every epoch that a client may remember: take
    /// the time in milliseconds.
    #[must_use]
    pub fn new(epoch: Epoch, retention: Retention) -> Self {
        Self { retention, history: RwLock::new(History::at(Position::start_of(epoch))), notify: Mutex::new(Vec::new()) }
    }

    /// [`Log::store`] without a future: in memory nothing is waited for.
    ///
    /// # Errors
    ///
    /// As those of `store`: nothing of the batch was stored.
    pub fn store_now(&self, batch: Vec<Draft>, place: Place) -> Result<Vec<Position>, AppendError> {
        if batch.len() > BATCH_EVENTS_MAX {
            return Err(AppendError::not_stored(format!("more than {BATCH_EVENTS_MAX} events in a batch")));
        }
        let mut history = self.history.write().unwrap_or_else(PoisonError::into_inner);
        let first = place.first_past(history.tail(), batch.len())?;
        let positions: Vec<_> =
            (first.offset..).take(batch.len()).map(|offset| Position { epoch: first.epoch, offset }).collect();
        for (draft, position) in batch.into_iter().zip(&positions) {
            let now = draft.time;
            history.push(Record::new(draft, *position));
            // The newest stays in any case: nobody can have read it yet.
            history.trim(&self.retention, now, 1);
        }
        let tail = history.tail();
        drop(history);
        self.tell(tail);
        Ok(positions)
    }

    /// [`Log::begin_at`] without a future.
    ///
    /// # Errors
    ///
    /// If `start` is not past the tail.
    pub fn begin_now(&self, start: Position) -> Result<(), AppendError> {
        let mut history = self.history.write().unwrap_or_else(PoisonError::into_inner);
        let start = Place::start_past(history.tail(), start)?;
        let trimmed = history.trimmed + history.records.len() as u64;
        let forgotten = std::mem::replace(&mut *history, History { trimmed, ..History::at(start) });
        drop(history);
        drop(forgotten);
        self.tell(start);
        Ok(())
    }

    fn tell(&self, tail: Position) {
        // A callback may call back, so none runs under a lock.
        let notify = self.notify.lock().unwrap_or_else(PoisonError::into_inner).clone();
        notify.iter().for_each(|notify| notify(tail));
    }

    fn history(&self) -> RwLockReadGuard<'_, History> {
        // A panic between two fields of the history is a bug of ours that no reader should pay for with its own.
        self.history.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    fn store(&self, batch: Vec<Draft>, place: Place) -> Append<'_> {
        Box::pin(std::future::ready(self.store_now(batch, place)))
    }

    fn read(&self, after: Position, topics: Topics<'_>, budget: ReadBudget) -> Result<Batch, ReadError> {
        self.history().read(after, topics, budget)
    }

    fn locate(&self, position: Position) -> Located {
        self.history().locate(position)
    }

    fn position_of(&self, id: &str) -> Result<Option<Position>, ReadError> {
        Ok(self.history().ids.get(id).map(|named| named.first))
    }

    fn span(&self) -> Span {
        let history = self.history();
        let oldest = history.records.front().map(|record| record.position);
        Span { start: history.trimmed_to, oldest, tail: history.tail() }
    }

    fn usage(&self) -> Usage {
        let history = self.history();
        Usage { count: history.records.len() as u64, bytes: history.bytes }
    }

    fn begin_at(&self, start: Position) -> Append<'_> {
        Box::pin(std::future::ready(self.begin_now(start).map(|()| Vec::new())))
    }

    fn trim(&self, now: Timestamp) {
        self.history.write().unwrap_or_else(PoisonError::into_inner).trim(&self.retention, now, 0);
    }

    fn on_advance(&self, notify: Box<dyn Fn(Position) + Send + Sync>) {
        self.notify.lock().unwrap_or_else(PoisonError::into_inner).push(notify.into());
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("retention", &self.retention)
            .field("span", &self.span())
            .finish_non_exhaustive()
    }
}

/// The records and what finds them. A record's *index* counts all that were ever pushed, so that it stays true while
/// the front is trimmed: `records[index - trimmed]`.
#[derive(Debug)]
struct History {
    records: VecDeque<Arc<Record>>,
    /// How many records have left.
    trimmed: u64,
    /// The position of the last record that has left, or the start.
    trimmed_to: Position,
    bytes: u64,
    /// The epochs of which something is kept, with the last offset of each; the current one always.
    epochs: VecDeque<Position>,
    topics: HashMap<Arc<str>, VecDeque<u64>>,
    ids: HashMap<Arc<str>, Named>,
}

/// The records that share a chosen id.
#[derive(Debug)]
struct Named {
    first: Position,
    kept: u64,
}

impl History {
    fn at(start: Position) -> Self {
        Self {
            records: VecDeque::new(),
            trimmed: 0,
            trimmed_to: start,
            bytes: 0,
            epochs: VecDeque::from([start]),
            topics: HashMap::new(),
            ids: HashMap::new(),
        }
    }

    fn tail(&self) -> Position {
        self.epochs.back().copied().unwrap_or(self.trimmed_to)
    }

    fn push(&mut self, mut record: Record) {
        let index = self.trimmed + self.records.len() as u64;
        for topic in record.topics.iter_mut() {
            // Records share the text of their topics.
            if let Some((shared, _)) = self.topics.get_key_value(topic) {
                *topic = shared.clone();
            }
            let indexes = self.topics.entry(topic.clone()).or_default();
            // An update may name a topic twice.
            if indexes.back() != Some(&index) {
                indexes.push_back(index);
            }
        }
        if let Id::Chosen(id) = &record.id {
            self.ids.entry(id.clone()).or_insert(Named { first: record.position, kept: 0 }).kept += 1;
        }
        match self.epochs.back_mut() {
            Some(last) if last.epoch == record.position.epoch => *last = record.position,
            _ => self.epochs.push_back(record.position),
        }
        self.bytes += record.retained_bytes();
        self.records.push_back(Arc::new(record));
    }

    /// Drops from the front what is past the retention, down to `least` records.
    fn trim(&mut self, retention: &Retention, now: Timestamp, least: u64) {
        while let Some(oldest) = self.records.front() {
            let count = self.records.len() as u64;
            if count == least || !retention.is_exceeded(count, self.bytes, oldest.time, now) {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(record) = self.records.pop_front() else { return };
        let index = self.trimmed;
        self.trimmed += 1;
        self.trimmed_to = record.position;
        self.bytes -= record.retained_bytes();
        for topic in record.topics.iter() {
            if let Some(indexes) = self.topics.get_mut(topic) {
                if indexes.front() == Some(&index) {
                    indexes.pop_front();
                }
                if indexes.is_empty() {
                    self.topics.remove(topic);
                }
            }
        }
        if let Id::Chosen(id) = &record.id
            && let Some(named) = self.ids.get_mut(id)
        {
            named.kept -= 1;
            if named.kept == 0 {
                self.ids.remove(id);
            }
        }
        // An epoch goes when its last record does, unless it is the one being written.
        if self.epochs.len() > 1 && self.epochs.front() == Some(&record.position) {
            self.epochs.pop_front();
        }
    }

    fn locate(&self, position: Position) -> Located {
        let known = self.epochs.iter().any(|last| last.epoch == position.epoch && position.offset <= last.offset);
        if !known {
            Located::Unknown
        } else if position < self.trimmed_to {
            Located::Expired
        } else {
            Located::Kept
        }
    }

    fn read(&self, after: Position, topics: Topics<'_>, budget: ReadBudget) -> Result<Batch, ReadError> {
        if after < self.trimmed_to {
            return Err(ReadError::Expired);
        }
        let from = self.trimmed + self.records.partition_point(|record| record.position <= after) as u64;
        let pending = self.trimmed + self.records.len() as u64 - from;
        let mut reading = Reading { history: self, budget, batch: Batch { records: Vec::new(), end: after } };
        match topics {
            // Near the tail a look at each pending record is cheaper than a seek in the index of each topic.
            Topics::Any(set) if pending > set.len() as u64 => reading.seek(from, set.iter()),
            _ => reading.scan(from, topics),
        }
        Ok(reading.batch)
    }

    fn record(&self, index: u64) -> Option<&Arc<Record>> {
        self.records.get(usize::try_from(index.checked_sub(self.trimmed)?).ok()?)
    }
}

/// A read in progress.
struct Reading<'a> {
    history: &'a History,
    budget: ReadBudget,
    batch: Batch,
}

impl Reading<'_> {
    /// Looks at every record from the index `from` on.
    fn scan(&mut self, from: u64, topics: Topics<'_>) {
        for index in (from..).take(self.budget.examined) {
            let Some(record) = self.history.record(index) else {
                self.batch.end = self.batch.end.max(self.history.tail());
                return;
            };
            if topics.admit(&record.topics) && !self.take(record) {
                return;
            }
            self.batch.end = record.position;
        }
    }

    /// Merges the indexes of the given topics, each a sorted list of the records that have it.
    fn seek<'t>(&mut self, from: u64, topics: impl Iterator<Item = &'t Arc<str>>) {
        let mut lists: Vec<&VecDeque<u64>> = topics.filter_map(|topic| self.history.topics.get(topic)).collect();
        let mut next: BinaryHeap<Reverse<(u64, usize, usize)>> = lists
            .iter_mut()
            .enumerate()
            .filter_map(|(list, indexes)| {
                let at = indexes.partition_point(|index| *index < from);
                indexes.get(at).map(|index| Reverse((*index, list, at)))
            })
            .collect();
        let mut last_taken = None;
        for _ in 0..self.budget.examined {
            let Some(Reverse((index, list, at))) = next.pop() else {
                self.batch.end = self.batch.end.max(self.history.tail());
                return;
            };
            if let Some(following) = lists.get(list).and_then(|indexes| indexes.get(at + 1)) {
                next.push(Reverse((*following, list, at + 1)));
            }
            // A record with several of the topics stands in several lists.
            if last_taken == Some(index) {
                continue;
            }
            last_taken = Some(index);
            let Some(record) = self.history.record(index) else { return };
            if !self.take(record) {
                return;
            }
            self.batch.end = record.position;
        }
    }

    /// Adds `record` if the budget allows it. The first always fits, or a large one would stop the reader for good.
    fn take(&mut self, record: &Arc<Record>) -> bool {
        let fits =
            self.budget.records > 0 && (self.batch.records.is_empty() || record.frame.len() <= self.budget.bytes);
        if fits {
            self.budget.records -= 1;
            self.budget.bytes = self.budget.bytes.saturating_sub(record.frame.len());
            self.batch.records.push(record.clone());
        }
        fits
    }
}

#[cfg(test)]
mod tests;
