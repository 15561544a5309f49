//! The contract that every store keeps.

use std::error::Error;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use crate::{AppendError, Draft, Position, Record, RecordRef, Timestamp};

/// An ordered record of events.
///
/// # Contract
///
/// * Positions grow strictly and need not be contiguous.
/// * Readers see an event only when it is durable in the sense of the store, and then all readers see it.
/// * Calls are safe from any thread, and readers never wait for a writer's sync.
pub trait Log: Debug + Send + Sync {
    /// Stores `batch`, all of it or nothing, and gives the positions in the batch's order.
    ///
    /// When the future is ready, the batch is durable and readers see it. The batch is on its way with the call, polled
    /// or not, and dropping the future does not undo it.
    ///
    /// # Errors
    ///
    /// [`AppendError`] says whether the batch was not stored or may have been.
    fn store(&self, batch: Vec<Draft>, place: Place) -> Append<'_>;

    /// At most `budget` of the records after `after` that have one of `topics`, in order.
    ///
    /// May block as long as a read of a file does; what is near the tail must be in memory.
    ///
    /// # Errors
    ///
    /// [`ReadError::Expired`] if records after `after` have left the history: the reader would miss them.
    fn read(&self, after: Position, topics: Topics<'_>, budget: ReadBudget) -> Result<Batch, ReadError>;

    /// Shows `visitor` what [`read`](Self::read) would give, each record where it lies, and gives where to read on.
    /// For those who copy what they need in any case: a record of its own is a third of what replay costs.
    ///
    /// # Errors
    ///
    /// As those of `read`. What was shown before a failure counts for nothing: the next attempt shows it again.
    fn visit(
        &self,
        after: Position,
        topics: Topics<'_>,
        budget: ReadBudget,
        visitor: &mut dyn FnMut(RecordRef<'_>),
    ) -> Result<Position, ReadError> {
        let Batch { records, end } = self.read(after, topics, budget)?;
        records.iter().for_each(|record| visitor(RecordRef::from(&**record)));
        Ok(end)
    }

    /// Whether a reader can go on from `position` without missing anything.
    fn locate(&self, position: Position) -> Located;

    /// The position of the record for which its publisher chose `id`: the first, if several have it.
    ///
    /// While any of several is kept, the first still counts, also when it has left the history itself: going on from a
    /// later one could pass over events in silence.
    ///
    /// # Errors
    ///
    /// [`ReadError::Failed`] if the store can't be read.
    fn position_of(&self, id: &str) -> Result<Option<Position>, ReadError>;

    /// What the history spans now.
    fn span(&self) -> Span;

    /// What is kept now.
    fn usage(&self) -> Usage;

    /// Forgets the history and begins anew at `start`, which must be past the tail: for a log whose order is made
    /// elsewhere, when what lies between can't be had any more. Whoever stood before `start` has missed it, and is told.
    /// It lasts from the first event on that is stored after it: until then a crash may bring the old history back, or leave none.
    ///
    /// # Errors
    ///
    /// As those of [`store`](Self::store). Gives no positions.
    fn begin_at(&self, start: Position) -> Append<'_>;

    /// Drops what is too old at the time `now`. Call it about once a second: appends alone would let an idle log age.
    fn trim(&self, now: Timestamp);

    /// Has `notify` called with the new tail after each append, when readers can see it. Calls may come from any
    /// thread, also out of order; `notify` must not block.
    fn on_advance(&self, notify: Box<dyn Fn(Position) + Send + Sync>);

    /// Has `watch` called when a sync of the disk begins that publishers wait for, and what it gives when that ends, well or
    /// not: the log has no clock to time it with. Both are called on the thread that writes, and must not block. A log that
    /// syncs nothing calls neither.
    fn on_sync(&self, watch: SyncWatch) {
        drop(watch);
    }

    /// What keeps the log from storing events now, in words for an operator: a disk that failed or is full. Reads go on,
    /// and the log tries again by itself. `None` if all is well.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Watches syncs: see [`Log::on_sync`].
pub type SyncWatch = Box<dyn Fn() -> Box<dyn FnOnce()> + Send + Sync>;

/// Where a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the order is made either by the log or by somebody else")]
pub enum Place {
    /// After the tail: this log makes the order.
    Next,
    /// At this position and the offsets that follow: somebody else made the order. It must be past the tail.
    At(Position),
    /// At this position, and only if the tail is that one: a batch that is on its way already must not be stored when the
    /// one before it was not.
    Onto {
        /// The tail.
        tail: Position,
        /// The position of the first event.
        first: Position,
    },
}

impl Place {
    /// Where a history may begin anew.
    pub(crate) fn start_past(tail: Position, start: Position) -> Result<Position, AppendError> {
        if start <= tail {
            return Err(AppendError::not_stored(format!("{start} is not past the tail, {tail}")));
        }
        Ok(start)
    }

    /// Where a batch of `count` goes, if that is past the tail.
    pub(crate) fn first_past(self, tail: Position, count: usize) -> Result<Position, AppendError> {
        let first = match self {
            Self::Next => Position { offset: tail.offset.saturating_add(1), ..tail },
            Self::At(position) => position,
            Self::Onto { tail: expected, .. } if expected != tail => {
                return Err(AppendError::not_stored(format!("the tail is {tail}, not {expected}")));
            }
            Self::Onto { first, .. } => first,
        };
        if first <= tail {
            return Err(AppendError::not_stored(format!("{first} is not past the tail, {tail}")));
        }
        if first.offset.checked_add(count as u64).is_none() {
            return Err(AppendError::not_stored("the epoch is out of offsets"));
        }
        Ok(first)
    }
}

/// What [`Log::store`] returns: the positions of the batch, once it is durable.
pub type Append<'a> = Pin<Box<dyn Future<Output = Result<Vec<Position>, AppendError>> + Send + 'a>>;

/// Which records a read is for.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "a store must serve each")]
pub enum Topics<'a> {
    /// All of them.
    All,
    /// Those with any of these topics.
    Any(&'a TopicSet),
}

impl Topics<'_> {
    /// Whether a record with these topics is one of them.
    #[must_use]
    pub fn admit(&self, topics: &[Arc<str>]) -> bool {
        match self {
            Self::All => true,
            Self::Any(set) => topics.iter().any(|topic| set.contains(topic)),
        }
    }
}

/// A set of topics, sorted so that membership costs a logarithm. It is collected from an iterator of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TopicSet(Box<[Arc<str>]>);

impl TopicSet {
    /// Whether `topic` is in the set.
    #[must_use]
    pub fn contains(&self, topic: &str) -> bool {
        self.0.binary_search_by(|held| held.as_ref().cmp(topic)).is_ok()
    }

    /// The topics, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Arc<str>> for TopicSet {
    fn from_iter<I: IntoIterator<Item = Arc<str>>>(topics: I) -> Self {
        let mut topics: Vec<_> = topics.into_iter().collect();
        topics.sort_unstable();
        topics.dedup();
        Self(topics.into_boxed_slice())
    }
}

/// How much one read may give and look at, so that no reader holds up another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBudget {
    /// Records returned at most. With none, nothing is read.
    pub records: usize,
    /// Bytes of frames returned at most; a first record that is larger comes alone.
    pub bytes: usize,
    /// Records looked at at most.
    pub examined: usize,
}

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The records, in order.
    pub records: Vec<Arc<Record>>,
    /// Where to read on: the last position looked at. The tail, if there is nothing more now.
    pub end: Position,
}

/// A read that gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Records after the given position have left the history.
    #[error("the position has left the history")]
    Expired,
    /// The store can't be read: what it holds may be whole all the same, so nothing may be passed over.
    #[error("the history can't be read")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// Where a position stands in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each is told apart to the subscriber")]
pub enum Located {
    /// Everything after it is kept.
    Kept,
    /// Something after it has left the history.
    Expired,
    /// It is past the tail, or of an epoch that is not kept.
    Unknown,
}

/// What the history spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The position before the oldest record kept: reading from here gives all.
    pub start: Position,
    /// The oldest record kept.
    pub oldest: Option<Position>,
    /// The newest position given to a record, or the start if there was none.
    pub tail: Position,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Records.
    pub count: u64,
    /// Bytes, as [`Record::retained_bytes`] counts them.
    pub bytes: u64,
}
