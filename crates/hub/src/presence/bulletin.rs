//! The last news of who came and went.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_log::{Epoch, Position, Record, Timestamp, Visibility};

use crate::limits::{NEWS_BYTES_MAX, NEWS_MAX};
use crate::presence::{Document, Subscriber};

/// A subscription that began or ended.
pub(super) struct Note {
    topic: String,
    json: String,
}

impl Note {
    /// The news of each of somebody's subscriptions.
    pub(super) fn all_of(subscriber: &Subscriber, active: bool) -> Vec<Self> {
        let note = |selector: &Arc<str>| {
            let document = Document::new(selector, subscriber, active).alone();
            let json = document.json();
            Self { topic: document.id, json }
        };
        subscriber.selectors().iter().map(note).collect()
    }
}

/// A bounded ring of news, numbered without a gap.
#[derive(Debug)]
pub(super) struct Bulletin {
    notes: VecDeque<Noted>,
    /// The number of the next one.
    next: u64,
    bytes: usize,
}

/// News in its place.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    /// A private record: its topic is the path of the subscription, its frame the document.
    pub(super) record: Arc<Record>,
    /// The tail of the log at that time.
    tail: Position,
}

impl Bulletin {
    /// Nothing yet, at the time `now`. Numbers begin with it, so that one of an earlier process is none of this one: it
    /// would take more than a thousand a millisecond to come up with those of a later one.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { notes: VecDeque::new(), next: now.0 << 10, bytes: 0 }
    }

    pub(super) fn add(&mut self, Note { topic, json }: Note, tail: Position) {
        self.bytes += topic.len() + json.len();
        let record = Record {
            position: Position { epoch: Epoch(0), offset: self.next },
            topics: [Arc::from(topic)].into_iter().collect(),
            id: fanfare_log::Id::Position,
            visibility: Visibility::Private,
            time: Timestamp(0),
            frame: Bytes::from(json),
        };
        self.next += 1;
        self.notes.push_back(Noted { record: Arc::new(record), tail });
        while self.notes.len() > NEWS_MAX || self.bytes > NEWS_BYTES_MAX {
            let Some(Noted { record, .. }) = self.notes.pop_front() else { return };
            self.bytes -= record.frame.len() + record.topics.iter().map(|topic| topic.len()).sum::<usize>();
        }
    }

    /// The number that the next one will have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The number of the first news that may be unknown to somebody who has the log's events up to `position`: what came
    /// when the tail was there already may be known, and is told again rather than never.
    pub(super) fn since(&self, position: Position) -> u64 {
        let index = self.notes.partition_point(|note| note.tail < position);
        self.next - (self.notes.len() - index) as u64
    }

    /// The news from `number` on. `None` if that has left the ring, or is none of it.
    pub(super) fn from(&self, number: u64) -> Option<impl Iterator<Item = &Noted>> {
        let first = self.next - self.notes.len() as u64;
        let index = number.checked_sub(first).filter(|_| number <= self.next)?;
        Some(self.notes.range(index as usize..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { epoch: Epoch(1), offset }
    }

    fn note(text: &str) -> Note {
        Note { topic: text.to_owned(), json: text.to_owned() }
    }

    fn read(bulletin: &Bulletin, from: u64) -> Option<Vec<&[u8]>> {
        Some(bulletin.from(from)?.map(|note| &*note.record.frame).collect())
    }

    #[test]
    fn news_is_read_from_a_number_or_from_a_position_of_the_log() {
        let mut bulletin = Bulletin::new(Timestamp(1));
        let first = bulletin.next();
        assert_eq!((first, bulletin.since(at(0)), bulletin.is_empty()), (1024, 1024, true));
        for (text, tail) in [("a", 5), ("b", 5), ("c", 7)] {
            bulletin.add(note(text), at(tail));
        }
        assert_eq!(read(&bulletin, first), Some(vec![&b"a"[..], b"b", b"c"]));
        assert_eq!(read(&bulletin, first + 2), Some(vec![&b"c"[..]]));
        assert_eq!(read(&bulletin, first + 3), Some(vec![]));
        assert_eq!((read(&bulletin, first - 1), read(&bulletin, first + 4)), (None, None));
        for (position, since) in [(0, 0), (5, 0), (6, 2), (7, 2), (8, 3)] {
            assert_eq!(bulletin.since(at(position)), first + since, "{position}");
        }
    }

    #[test]
    fn the_ring_is_bounded_in_news_and_bytes() {
        let mut bulletin = Bulletin::new(Timestamp(0));
        for n in 0..NEWS_MAX * 2 {
            bulletin.add(note(&n.to_string()), at(0));
        }
        assert_eq!(read(&bulletin, NEWS_MAX as u64).map(|notes| notes.len()), Some(NEWS_MAX));
        assert_eq!(read(&bulletin, NEWS_MAX as u64 - 1), None);
        let large = "x".repeat(NEWS_BYTES_MAX / 16);
        for _ in 0..100 {
            bulletin.add(note(&large), at(0));
        }
        assert!(bulletin.bytes <= NEWS_BYTES_MAX && bulletin.notes.len() == 8, "{}", bulletin.notes.len());
        assert_eq!(read(&bulletin, 0), None);
    }
}
