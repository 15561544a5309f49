//! When a stream has said all that it was asked for.

use std::fmt;

use crate::Event;

/// What ends a stream as a success. Nothing, unless asked for: a browser's stream has no end.
#[derive(Default)]
pub(crate) struct Stop {
    predicates: Vec<(Delivery, Predicate)>,
    /// Whether the proper end of the stream is one of its successes.
    pub(crate) is_at_end: bool,
}

pub(crate) type Predicate = Box<dyn FnMut(&Event) -> bool + Send>;

/// Whether the consumer gets to see the event that ended the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Delivered,
    Withheld,
}

impl Stop {
    pub(crate) fn push(&mut self, delivery: Delivery, predicate: Predicate) {
        self.predicates.push((delivery, predicate));
    }

    /// Whether `event` is the last; the first predicate that says so decides about it.
    pub(crate) fn stops_at(&mut self, event: &Event) -> Option<Delivery> {
        self.predicates.iter_mut().find_map(|(delivery, predicate)| predicate(event).then_some(*delivery))
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("predicates", &self.predicates.len()).field("is_at_end", &self.is_at_end).finish()
    }
}
