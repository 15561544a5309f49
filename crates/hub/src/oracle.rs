//! What subscribers should receive, by a list of everything that was published: for the tests of both paths.

use std::sync::Arc;

use fanfare_log::Position;
use fanfare_wire::{Decoded, Decoder};
use futures_util::FutureExt;

use crate::cursor::{Cursor, Start};
use crate::grant::Grant;
use crate::selector::{Selector, Selectors};
use crate::subscription::Subscription;
use crate::{GAP_TYPE, Hub, Topic, Update};

pub(crate) const TOPICS: [&str; 4] = ["a", "b", "c/1", "c/2"];
pub(crate) const SELECTORS: [&[&str]; 6] = [&["*"], &["a"], &["b", "a"], &["c/{x}"], &["{x}"], &["c/1", "c/{x}"]];
pub(crate) const GRANTS: [&[&str]; 4] = [&[], &["a"], &["c/{x}"], &["*"]];

#[derive(Debug, Clone, Copy)]
pub(crate) enum Since {
    Tail,
    Earliest,
    After(usize),
}

impl Since {
    pub(crate) fn locate(self, hub: &Hub) -> Start {
        let log = &*hub.shared.log;
        let text = match self {
            Self::Tail => None,
            Self::Earliest => Some("earliest".to_owned()),
            Self::After(offset) => {
                let tail = log.span().tail;
                let offset = offset as u64 % (tail.offset + 1);
                Some(Position { offset, ..tail }.to_string())
            }
        };
        Cursor::parse(text.as_deref()).unwrap().locate(log, |_| true).unwrap()
    }
}

/// What one subscriber may have.
pub(crate) struct Expected {
    selectors: Selectors,
    may_see: Selectors,
    /// It has, or may not have, everything up to this offset.
    start: u64,
}

impl Expected {
    pub(crate) fn new(picked: usize, grant: usize, start: &Start) -> Self {
        let start = start.after.offset;
        Self { selectors: selectors(SELECTORS[picked]), may_see: selectors(GRANTS[grant]), start }
    }

    pub(crate) fn subscription(&self) -> Subscription {
        let grant = Grant::new(Selectors::default(), self.may_see.clone());
        Subscription::new(self.selectors.clone(), Arc::new(grant))
    }
}

fn selectors(texts: &[&str]) -> Selectors {
    texts.iter().map(|text| Selector::parse(text).unwrap()).collect()
}

struct Published {
    topics: Vec<Arc<str>>,
    is_private: bool,
    data: String,
}

/// Everything that was published.
#[derive(Default)]
pub(crate) struct Oracle(Vec<Published>);

impl Oracle {
    pub(crate) fn publish(&mut self, hub: &Hub, topics: &[usize], is_private: bool, size: usize) {
        let data = format!("{} {}", self.0.len() + 1, "x".repeat(size));
        let mut topics = topics.iter().map(|topic| Topic::new(TOPICS[*topic]).unwrap());
        let mut update = Update::new(topics.next().unwrap(), data.clone());
        for topic in topics {
            update = update.with_alternate(topic);
        }
        if is_private {
            update = update.private();
        }
        let topics = update.topics().iter().map(|topic| topic.shared().clone()).collect();
        hub.publish(update).now_or_never().unwrap().unwrap();
        self.0.push(Published { topics, is_private, data });
    }

    fn wants(&self, one: &Expected, offset: u64) -> bool {
        let event = &self.0[offset as usize - 1];
        one.selectors.match_any(&event.topics) && (!event.is_private || one.may_see.match_any(&event.topics))
    }

    /// What one subscriber received is what it should have, in order, with nothing left out in silence; and all of it, if
    /// it is complete.
    pub(crate) fn check(&self, one: &Expected, body: &[u8], is_complete: bool) {
        let mut decoder = Decoder::new();
        let mut rest = body;
        // Everything up to here was received, or is not for it.
        let mut done = one.start;
        while let Some(decoded) = decoder.decode(&mut rest) {
            let Decoded::Event(message) = decoded else { continue };
            let position: Position = message.last_event_id.parse().unwrap();
            if message.event_type == GAP_TYPE {
                done = self.check_gap(one, done, message.data, position);
                continue;
            }
            let offset = position.offset;
            assert!(offset > done, "{offset} comes after {done}");
            for passed in done + 1..offset {
                assert!(!self.wants(one, passed), "{passed} was passed over");
            }
            assert!(self.wants(one, offset), "{offset} is not for it");
            assert_eq!(message.data, self.0[offset as usize - 1].data);
            done = offset;
        }
        if is_complete {
            for missing in done + 1..=self.0.len() as u64 {
                assert!(!self.wants(one, missing), "{missing} did not come");
            }
        }
    }

    /// What one subscriber received who wants the latest event of each topic alone while it is behind: in order, and for each
    /// event that was passed over a later one of its canonical topic, which has come if it is complete, or is told lost.
    pub(crate) fn check_conflated(&self, one: &Expected, body: &[u8], is_complete: bool) {
        let mut decoder = Decoder::new();
        let mut rest = body;
        let (mut done, mut is_told) = (one.start, vec![false; self.0.len() + 1]);
        while let Some(decoded) = decoder.decode(&mut rest) {
            let Decoded::Event(message) = decoded else { continue };
            let position: Position = message.last_event_id.parse().unwrap();
            if message.event_type == GAP_TYPE {
                // A gap at the start goes to where it starts.
                assert!(position.offset > done || done == one.start, "nothing is missing");
                is_told[done as usize + 1..=position.offset as usize].fill(true);
                done = position.offset;
                continue;
            }
            let offset = position.offset;
            assert!(offset > done, "{offset} comes after {done}");
            assert!(self.wants(one, offset), "{offset} is not for it");
            assert_eq!(message.data, self.0[offset as usize - 1].data);
            (done, is_told[offset as usize]) = (offset, true);
        }
        let until = if is_complete { self.0.len() as u64 } else { done };
        let topic = |offset: u64| &self.0[offset as usize - 1].topics[0];
        for passed in (one.start + 1..=until).filter(|passed| self.wants(one, *passed) && !is_told[*passed as usize]) {
            let mut later = passed + 1..=self.0.len() as u64;
            let is_replaced = later.any(|later| {
                let counts = is_told[later as usize] || !is_complete;
                counts && self.wants(one, later) && topic(later) == topic(passed)
            });
            assert!(is_replaced, "{passed} was passed over, and nothing of its topic came after it");
        }
    }

    /// A gap is told only to who has lost something, and goes from the last event to the oldest one kept.
    fn check_gap(&self, one: &Expected, done: u64, data: &str, id: Position) -> u64 {
        let gap: serde_json::Value = serde_json::from_str(data).unwrap();
        let reason = gap["reason"].as_str().unwrap();
        let requested: Position = gap["requested"].as_str().unwrap().parse().unwrap();
        if reason == "lagged" {
            for passed in done + 1..=requested.offset {
                assert!(!self.wants(one, passed), "{passed} was passed over before a gap");
            }
            assert!(requested.offset < id.offset, "nothing is missing");
            let oldest = gap["oldest"].as_str().map(|oldest| oldest.parse::<Position>().unwrap().offset);
            assert_eq!(oldest, Some(id.offset + 1), "it goes on with the oldest event kept");
        } else {
            assert_eq!((reason, done), ("expired", one.start));
        }
        id.offset
    }
}
