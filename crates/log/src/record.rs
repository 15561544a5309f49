//! What the log stores.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::Bytes;

use crate::Position;
use crate::limits::{RECORD_OVERHEAD_BYTES, TOPIC_OVERHEAD_BYTES};

/// Milliseconds since 1970-01-01 00:00 UTC. The log reads no clock: whoever appends says what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// Who may read a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a reader must decide for each; a third kind has to break it")]
pub enum Visibility {
    /// Everyone.
    Public,
    /// Those alone whose grant covers one of its topics. The log keeps the mark; the hub decides.
    Private,
}

/// Who names a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a name is given by one side or the other")]
pub enum Id {
    /// The publisher chose this text.
    Chosen(Arc<str>),
    /// The record's position is its name.
    Position,
}

/// The bytes that a reader is to get: opaque to the log, but for the place where the position belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    slot: Option<usize>,
}

impl Frame {
    /// A frame that is complete.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), slot: None }
    }

    /// A frame in which the record's position is to be written at byte `slot`, once it is known. Past the end means at
    /// the end.
    #[must_use]
    pub fn with_slot(bytes: impl Into<Bytes>, slot: usize) -> Self {
        let bytes = bytes.into();
        let slot = Some(slot.min(bytes.len()));
        Self { bytes, slot }
    }

    /// The bytes without the position, and where it is to be written.
    #[must_use]
    pub fn parts(&self) -> (&Bytes, Option<usize>) {
        (&self.bytes, self.slot)
    }

    /// Bytes without the position.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The frame of the record at `position`.
    #[must_use]
    pub fn seal(self, position: Position) -> Bytes {
        let Some(slot) = self.slot else { return self.bytes };
        let text = position.to_string();
        let (before, after) = self.bytes.split_at(slot);
        [before, text.as_bytes(), after].concat().into()
    }
}

/// A record before it has a position: what [`Engine::append`](crate::Engine::append) takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The canonical topic and then the alternates. Not empty.
    pub topics: Vec<Arc<str>>,
    /// Who names it.
    pub id: Id,
    /// Who may read it.
    pub visibility: Visibility,
    /// When it was published.
    pub time: Timestamp,
    /// What a reader gets.
    pub frame: Frame,
}

/// The topics of a record, a slice of them. Nearly every record has one, which takes no allocation of its own: a third
/// of what replay costs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TopicList(List);

#[derive(Clone, PartialEq, Eq, Hash)]
enum List {
    One([Arc<str>; 1]),
    Other(Box<[Arc<str>]>),
}

impl FromIterator<Arc<str>> for TopicList {
    fn from_iter<I: IntoIterator<Item = Arc<str>>>(topics: I) -> Self {
        let mut topics = topics.into_iter();
        let (first, second) = (topics.next(), topics.next());
        Self(match (first, second) {
            (Some(one), None) => List::One([one]),
            (first, second) => List::Other(first.into_iter().chain(second).chain(topics).collect()),
        })
    }
}

impl Deref for TopicList {
    type Target = [Arc<str>];

    fn deref(&self) -> &[Arc<str>] {
        match &self.0 {
            List::One(one) => one,
            List::Other(topics) => topics,
        }
    }
}

impl DerefMut for TopicList {
    fn deref_mut(&mut self) -> &mut [Arc<str>] {
        match &mut self.0 {
            List::One(one) => one,
            List::Other(topics) => topics,
        }
    }
}

impl fmt::Debug for TopicList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A record in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the one order.
    pub position: Position,
    /// The canonical topic and then the alternates.
    pub topics: TopicList,
    /// Who named it.
    pub id: Id,
    /// Who may read it.
    pub visibility: Visibility,
    /// When it was published.
    pub time: Timestamp,
    /// What a reader gets, with its position in it.
    pub frame: Bytes,
}

impl Record {
    /// The record that `draft` becomes at `position`.
    #[must_use]
    pub fn new(draft: Draft, position: Position) -> Self {
        Self {
            position,
            topics: draft.topics.into_iter().collect(),
            id: draft.id,
            visibility: draft.visibility,
            time: draft.time,
            frame: draft.frame.seal(position),
        }
    }

    /// What it counts towards `retain_bytes`: its text and a flat sum for its places in the indexes.
    #[must_use]
    pub fn retained_bytes(&self) -> u64 {
        let topics: usize = self.topics.iter().map(|topic| topic.len()).sum();
        let id = match &self.id {
            Id::Chosen(id) => id.len(),
            Id::Position => 0,
        };
        retained_bytes(self.frame.len() + topics + id, self.topics.len())
    }
}

/// What a record of so many bytes of frame, topics and id counts.
pub(crate) fn retained_bytes(text: usize, topics: usize) -> u64 {
    text as u64 + RECORD_OVERHEAD_BYTES + TOPIC_OVERHEAD_BYTES * topics as u64
}
