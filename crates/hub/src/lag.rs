//! How far behind somebody is whose stream shall end when it is too far.

use fanfare_log::{Log, Position, ReadBudget, ReadError, RecordRef};

use crate::limits::READ_EXAMINED_MAX;
use crate::selector::Selectors;

/// Counts the events that are for somebody and were not sent yet. Those from before its stream began do not count: who
/// resumes from far back is not slow for that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lag {
    /// What counts is after this.
    floor: Position,
    /// Up to here it is counted.
    counted_to: Position,
    events: u64,
}

impl Lag {
    /// Nothing is missing at `position`.
    pub(crate) fn at(position: Position) -> Self {
        Self { floor: position, counted_to: position, events: 0 }
    }

    /// The event at `position` was sent.
    pub(crate) fn sent(&mut self, position: Position) {
        if position > self.floor && position <= self.counted_to {
            self.events = self.events.saturating_sub(1);
        }
        self.reached(position);
    }

    /// Everything up to `position` was sent.
    pub(crate) fn reached(&mut self, position: Position) {
        if position >= self.counted_to {
            (self.counted_to, self.events) = (position, 0);
        }
    }

    /// Whether more than `max` events of the log are not sent yet. Looks at a bounded number of them: what is not counted now
    /// is at the next look.
    pub(crate) fn exceeds(
        &mut self,
        max: u64,
        log: &dyn Log,
        selectors: &Selectors,
        mut admits: impl FnMut(RecordRef<'_>) -> bool,
    ) -> Result<bool, ReadError> {
        // No more than all that there are.
        let tail = log.span().tail;
        let is_near = tail.epoch == self.counted_to.epoch
            && self.events.saturating_add(tail.offset.saturating_sub(self.counted_to.offset)) <= max;
        if is_near || self.events > max {
            return Ok(self.events > max);
        }
        let examined = READ_EXAMINED_MAX / (1 + selectors.templates().len());
        let budget = ReadBudget { records: usize::MAX, bytes: usize::MAX, examined };
        let mut events = self.events;
        let end = log.visit(self.counted_to, selectors.topics(), budget, &mut |record| {
            events += u64::from(admits(record));
        })?;
        (self.counted_to, self.events) = (end, events);
        Ok(events > max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;
    use fanfare_log::{Draft, Epoch, Frame, Id, MemoryLog, Place, Retention, Timestamp, Visibility};

    fn publish(log: &MemoryLog, topic: &str, count: usize) {
        let draft = Draft {
            topics: vec![topic.into()],
            id: Id::Position,
            visibility: Visibility::Public,
            time: Timestamp(0),
            frame: Frame::whole(""),
        };
        for at in (0..count).step_by(1000) {
            log.store_now(vec![draft.clone(); 1000.min(count - at)], Place::Next).unwrap();
        }
    }

    #[test]
    fn what_is_for_others_and_what_was_before_does_not_count() {
        let log = MemoryLog::new(Epoch(1), Retention::default());
        let selectors: Selectors = [Selector::parse("a").unwrap()].into_iter().collect();
        let at = |offset| Position { offset, ..log.span().start };
        publish(&log, "a", 100);
        let mut lag = Lag::at(log.span().tail);
        let exceeds = |lag: &mut Lag, max| lag.exceeds(max, &log, &selectors, |_| true).unwrap();
        publish(&log, "b", 100);
        assert!(!exceeds(&mut lag, 0));
        publish(&log, "a", 5);
        assert!(exceeds(&mut lag, 4) && !exceeds(&mut lag, 5));
        // One of the history first, and then two of those that count.
        lag.sent(at(50));
        assert!(exceeds(&mut lag, 4));
        lag.sent(at(201));
        lag.sent(at(202));
        assert!(exceeds(&mut lag, 2) && !exceeds(&mut lag, 3));
        publish(&log, "a", 1);
        assert!(exceeds(&mut lag, 3) && !exceeds(&mut lag, 4));
        lag.reached(log.span().tail);
        assert!(!exceeds(&mut lag, 0));
    }

    #[test]
    fn much_is_counted_over_several_looks() {
        let log = MemoryLog::new(Epoch(1), Retention::default());
        let selectors: Selectors = [Selector::parse("a").unwrap(), Selector::all()].into_iter().collect();
        let mut lag = Lag::at(log.span().tail);
        publish(&log, "b", 3 * READ_EXAMINED_MAX / 2);
        publish(&log, "a", 3);
        let mut look =
            || lag.exceeds(2, &log, &selectors, |record| record.topics.into_iter().any(|topic| topic == "a"));
        assert!(!look().unwrap());
        assert!(look().unwrap());
    }
}
