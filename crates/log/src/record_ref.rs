//! A record where it lies.

use std::sync::Arc;

use crate::disk::StoredTopics;
use crate::{Position, Record, Timestamp, TopicSet, Visibility};

/// A record that is looked at where it lies, in memory or in what was just read of a file: what [`Log::visit`] shows.
///
/// [`Log::visit`]: crate::Log::visit
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RecordRef<'a> {
    /// Its place in the one order.
    pub position: Position,
    /// The canonical topic and then the alternates.
    pub topics: TopicsRef<'a>,
    /// Who may read it.
    pub visibility: Visibility,
    /// When it was published.
    pub time: Timestamp,
    /// What a reader gets, with its position in it.
    pub frame: &'a [u8],
}

impl RecordRef<'_> {
    /// Whether any of its topics is in `set`.
    #[must_use]
    pub fn is_of(&self, set: &TopicSet) -> bool {
        let mut topics = self.topics;
        topics.any(|topic| set.contains(topic))
    }
}

impl<'a> From<&'a Record> for RecordRef<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            position: record.position,
            topics: TopicsRef(Texts::Shared(&record.topics)),
            visibility: record.visibility,
            time: record.time,
            frame: &record.frame,
        }
    }
}

/// The topics of a [`RecordRef`], the canonical one first: an iterator that starts anew with every copy.
#[derive(Debug, Clone, Copy)]
pub struct TopicsRef<'a>(Texts<'a>);

#[derive(Debug, Clone, Copy)]
enum Texts<'a> {
    Shared(&'a [Arc<str>]),
    Stored(StoredTopics<'a>),
}

impl<'a> From<StoredTopics<'a>> for TopicsRef<'a> {
    fn from(topics: StoredTopics<'a>) -> Self {
        Self(Texts::Stored(topics))
    }
}

impl<'a> Iterator for TopicsRef<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match &mut self.0 {
            Texts::Shared(topics) => {
                let (first, rest) = topics.split_first()?;
                *topics = rest;
                Some(first)
            }
            Texts::Stored(topics) => topics.next(),
        }
    }
}
