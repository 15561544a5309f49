//! The last news of who came and went.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_log::{Epoch, Id, Position, Record, Timestamp, Visibility};

use crate::limits::{NEWS_BYTES_MAX, NEWS_MAX};
use crate::presence::{Document, Subscriber};

/// A bounded ring of news. One piece of it is that somebody came or went, with all their subscriptions, and is told one
/// subscription after the other: what that takes is done for those who watch, and not where somebody comes or goes.
///
/// Numbers tell the time: whoever comes from another node, whose numbers are none of these, goes on from a time.
#[derive(Debug)]
pub(super) struct Bulletin {
    notes: VecDeque<Note>,
    /// The number of the next one, at least.
    next: u64,
    /// The first number of which all news since is here.
    first: u64,
    bytes: usize,
    /// The tail of the log when the last one came that has left the ring.
    forgotten: Option<Position>,
}

/// Somebody came or went.
#[derive(Debug)]
struct Note {
    subscriber: Arc<Subscriber>,
    active: bool,
    number: u64,
    /// The tail of the log at that time.
    tail: Position,
}

/// One subscription that began or ended.
#[derive(Debug, Clone)]
pub(super) struct News {
    subscriber: Arc<Subscriber>,
    active: bool,
    /// Which of their subscriptions it is.
    index: usize,
    /// Where it stands among all news.
    pub(super) number: u64,
}

impl News {
    /// A private record: its topic is the path of the subscription, its frame the document.
    pub(super) fn record(&self) -> Record {
        let selector = self.subscriber.selectors().get(self.index).map_or("", |selector| selector);
        let document = Document::new(selector, &self.subscriber, self.active).alone();
        Record {
            position: Position { epoch: Epoch(0), offset: self.number },
            frame: Bytes::from(document.json()),
            topics: [Arc::from(document.id)].into_iter().collect(),
            id: Id::Position,
            visibility: Visibility::Private,
            time: Timestamp(0),
        }
    }
}

/// The number of a subscription in a note, in bits: a query has 4096 parameters at most, however many topics an operator
/// allows, and the path one more.
const INDEX_BITS: u32 = 13;

/// The number of a note within a millisecond, in bits. What comes faster for a while has the numbers of a later time.
const NOTE_BITS: u32 = 7;

/// The latest time that a number can tell, in milliseconds: some hundred years from 1970 on.
const TIME_MAX: u64 = (1 << (u64::BITS - INDEX_BITS - NOTE_BITS - 1)) - 1;

/// The first number of a note at this time.
fn number_at(time: Timestamp) -> u64 {
    time.0.min(TIME_MAX) << NOTE_BITS
}

impl Bulletin {
    /// Nothing yet, at the time `now`. Numbers begin with it, so that one of an earlier process is none of this one: it
    /// would take more than a hundred a millisecond, all the time, to come up with those of a later one.
    pub(super) fn new(now: Timestamp) -> Self {
        let first = number_at(now);
        Self { notes: VecDeque::new(), next: first, first, bytes: 0, forgotten: None }
    }

    pub(super) fn add(&mut self, subscriber: Arc<Subscriber>, active: bool, tail: Position, now: Timestamp) {
        self.bytes += subscriber.bytes();
        self.pass(now);
        self.notes.push_back(Note { subscriber, active, number: self.next, tail });
        self.next += 1;
        while self.notes.len() > NEWS_MAX || self.bytes > NEWS_BYTES_MAX {
            let Some(Note { subscriber, number, tail, .. }) = self.notes.pop_front() else { return };
            self.bytes -= subscriber.bytes();
            self.first = number + 1;
            self.forgotten = Some(tail);
        }
    }

    /// Lets all that comes have a number of this time or later.
    pub(super) fn pass(&mut self, now: Timestamp) {
        self.next = self.next.max(number_at(now));
    }

    /// The number that comes after all news there is.
    pub(super) fn next(&self) -> u64 {
        self.next << INDEX_BITS
    }

    /// The number that comes after the last news, whatever the time is.
    pub(super) fn latest(&self) -> u64 {
        self.notes.back().map_or(self.first, |note| note.number + 1) << INDEX_BITS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The number from which on all news is here.
    pub(super) fn oldest(&self) -> u64 {
        self.first << INDEX_BITS
    }

    /// Whether all news from `number` on is here, and it is none of a later time.
    pub(super) fn has(&self, number: u64) -> bool {
        (self.oldest()..=self.next()).contains(&number)
    }

    /// The number of the first news of this time.
    pub(super) fn at(time: Timestamp) -> u64 {
        number_at(time) << INDEX_BITS
    }

    /// The time that a number tells, of whichever node.
    pub(super) fn time_of(number: u64) -> Timestamp {
        Timestamp(number >> INDEX_BITS >> NOTE_BITS)
    }

    /// The number of the first news that may be unknown to somebody who has the log's events up to `position`: what came
    /// when the tail was there already may be known, and is told again rather than never. One that has left the ring, if
    /// such was the first.
    pub(super) fn since(&self, position: Position) -> u64 {
        if self.forgotten.is_some_and(|tail| tail >= position) {
            return self.oldest().saturating_sub(1);
        }
        let index = self.notes.partition_point(|note| note.tail < position);
        self.notes.get(index).map_or(self.next, |note| note.number) << INDEX_BITS
    }

    /// At most `count` news from `number` on. `None` if that has left the ring, or is none of it.
    pub(super) fn from(&self, number: u64, count: usize) -> Option<Vec<News>> {
        if !self.has(number) {
            return None;
        }
        let (note, from) = (number >> INDEX_BITS, (number & ((1 << INDEX_BITS) - 1)) as usize);
        let first = self.notes.partition_point(|other| other.number < note);
        let mut news = Vec::new();
        for Note { subscriber, active, number, .. } in self.notes.range(first..) {
            let from = if *number == note { from } else { 0 };
            for index in from..subscriber.selectors().len() {
                if news.len() == count {
                    return Some(news);
                }
                let number = number << INDEX_BITS | index as u64;
                news.push(News { subscriber: subscriber.clone(), active: *active, index, number });
            }
        }
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { epoch: Epoch(1), offset }
    }

    fn somebody(selectors: &[&str]) -> Arc<Subscriber> {
        Arc::new(Subscriber::new(0, selectors.iter().map(|text| Arc::from(*text)), None, None))
    }

    fn read(bulletin: &Bulletin, from: u64) -> Option<Vec<String>> {
        let news = bulletin.from(from, 100)?;
        Some(news.iter().map(|news| news.subscriber.selectors()[news.index].to_string()).collect())
    }

    #[test]
    fn news_is_read_from_a_number_or_from_a_position_of_the_log() {
        let mut bulletin = Bulletin::new(Timestamp(1));
        let first = bulletin.next();
        assert_eq!((first, bulletin.since(at(0)), bulletin.is_empty()), (1 << 20, 1 << 20, true));
        for (selectors, tail) in [(&["a", "b"][..], 5), (&["c"], 5), (&["d", "e", "f"], 7)] {
            bulletin.add(somebody(selectors), true, at(tail), Timestamp(1));
        }
        let from = |number| read(&bulletin, number).map(|texts| texts.concat());
        assert_eq!(from(first).as_deref(), Some("abcdef"));
        let numbers: Vec<u64> = bulletin.from(first, 100).unwrap().iter().map(|news| news.number).collect();
        for (number, rest) in numbers.iter().zip(["bcdef", "cdef", "def", "ef", "f", ""]) {
            assert_eq!(from(number + 1).as_deref(), Some(rest), "{number:x}");
        }
        assert_eq!(bulletin.from(first, 4).unwrap().len(), 4);
        assert_eq!(
            (from(bulletin.next()).as_deref(), from(first - 1), from(bulletin.next() + 1)),
            (Some(""), None, None)
        );
        for (position, since) in [(0, "abcdef"), (5, "abcdef"), (6, "def"), (7, "def"), (8, "")] {
            assert_eq!(from(bulletin.since(at(position))).as_deref(), Some(since), "{position}");
        }
    }

    /// Whatever an operator allows: a number that ran into that of the next note would tell the same again and again.
    #[test]
    fn numbers_grow_with_as_many_subscriptions_as_a_query_can_ask_for() {
        let texts: Vec<String> = (0..4097).map(|n| n.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut bulletin = Bulletin::new(Timestamp(1));
        let mut number = bulletin.next();
        (0..3).for_each(|_| bulletin.add(somebody(&texts), true, at(0), Timestamp(1)));
        let mut told = 0;
        while number < bulletin.next() {
            let Some(last) = bulletin.from(number, 1000).unwrap().pop() else { break };
            assert!(last.number >= number);
            told += 1;
            number = last.number + 1;
        }
        assert_eq!(told, 13, "three times 4097, a thousand at once");
    }

    #[test]
    fn the_ring_is_bounded_in_news_and_bytes_and_knows_what_it_has_forgotten() {
        let mut bulletin = Bulletin::new(Timestamp(0));
        for n in 0..NEWS_MAX as u64 * 2 {
            bulletin.add(somebody(&["a"]), true, at(n), Timestamp(0));
        }
        assert_eq!(bulletin.notes.len(), NEWS_MAX);
        assert!(bulletin.from(bulletin.oldest(), 1).is_some() && bulletin.from(bulletin.oldest() - 1, 1).is_none());
        let forgotten = NEWS_MAX as u64 - 1;
        assert_eq!(bulletin.since(at(forgotten + 1)), bulletin.oldest());
        assert!(bulletin.from(bulletin.since(at(forgotten)), 1).is_none(), "the first is gone");
        let large = "x".repeat(NEWS_BYTES_MAX / 16);
        for _ in 0..100 {
            bulletin.add(somebody(&[&large]), true, at(0), Timestamp(0));
        }
        assert!(bulletin.bytes <= NEWS_BYTES_MAX && bulletin.notes.len() < 16, "{}", bulletin.notes.len());
    }

    #[test]
    fn numbers_tell_the_time_and_never_go_back() {
        let mut bulletin = Bulletin::new(Timestamp(10));
        for (selectors, now) in [(&["a"], 10), (&["b"], 20), (&["c"], 15), (&["d"], 30)] {
            bulletin.add(somebody(selectors), true, at(0), Timestamp(now));
        }
        let from = |time| read(&bulletin, Bulletin::at(Timestamp(time))).map(|texts| texts.concat());
        for (time, rest) in [(9, None), (10, Some("abcd")), (11, Some("bcd")), (20, Some("bcd")), (21, Some("d"))] {
            assert_eq!(from(time).as_deref(), rest, "{time}");
        }
        let numbers: Vec<u64> = bulletin.from(bulletin.oldest(), 9).unwrap().iter().map(|news| news.number).collect();
        assert!(numbers.is_sorted());
        assert_eq!(numbers.iter().map(|number| Bulletin::time_of(*number).0).collect::<Vec<_>>(), [10, 20, 20, 30]);
        // Whatever the clock says.
        let mut late = Bulletin::new(Timestamp(u64::MAX));
        late.add(somebody(&["a"]), true, at(0), Timestamp(u64::MAX));
        assert_eq!(late.from(late.oldest(), 9).map(|news| news.len()), Some(1));
    }
}
