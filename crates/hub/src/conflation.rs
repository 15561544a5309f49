//! Of each topic the latest event, for whoever is behind and wants no more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use fanfare_log::{Log, Position, ReadError, Record};

use crate::limits::{CONFLATED_BYTES_MAX, CONFLATED_EVENT_BYTES, CONFLATED_TOPICS_MAX, CONFLATIONS_MAX};
use crate::selector::Selectors;
use crate::subscription::read_budget;

/// What was found in reading ahead: of each canonical topic the latest event.
///
/// It goes on up to the tail before anything is sent, over several turns if there is much. What is sent is sent in the order of the
/// log, so that ids stay cursors: whoever stops in the middle, or is thrown back to what was sent last because there was
/// no room, has missed only events that a later one of the same topic replaces. When there are more topics than may be
/// kept the oldest event of all goes out early.
#[derive(Debug)]
pub(crate) struct Conflation {
    /// Up to here was read.
    end: Position,
    latest: HashMap<Arc<str>, Position>,
    kept: BTreeMap<Position, Kept>,
    bytes: usize,
    /// One is held by each.
    all: Arc<()>,
}

#[derive(Debug)]
struct Kept {
    topic: Arc<str>,
    frame: Bytes,
}

/// What is to be sent now.
#[derive(Debug)]
pub(crate) struct Step {
    /// Positions and frames, in order.
    pub(crate) due: Vec<(Position, Bytes)>,
    /// Where whoever has all of it stands then, if that is another place.
    pub(crate) position: Option<Position>,
}

impl Conflation {
    /// Begins after `position`. `all` is held by all of them.
    pub(crate) fn after(position: Position, all: &Arc<()>) -> Self {
        Self { end: position, latest: HashMap::new(), kept: BTreeMap::new(), bytes: 0, all: all.clone() }
    }

    /// Whether nothing is kept, so that it need not be.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Reads on by one read of `log`, and gives what is due.
    pub(crate) fn step(
        &mut self,
        log: &dyn Log,
        selectors: &Selectors,
        mut admits: impl FnMut(&Record) -> bool,
    ) -> Result<Step, ReadError> {
        let mut is_at_tail = false;
        if !self.is_over() {
            let batch = log.read(self.end, selectors.topics(), read_budget(selectors))?;
            batch.records.iter().filter(|record| admits(record)).for_each(|record| self.keep(record));
            is_at_tail = batch.end == self.end || batch.end >= log.span().tail;
            self.end = batch.end;
        }
        // One that would have to be kept until the next turn, where there are as many as may be, goes out as it is.
        let is_last = Arc::strong_count(&self.all) > CONFLATIONS_MAX + 1;
        let keeps = |this: &Self| this.is_over() || is_last;
        let mut due = Vec::new();
        if keeps(self) {
            while keeps(self)
                && let Some(one) = self.pop()
            {
                due.push(one);
            }
        } else if is_at_tail {
            due.extend(std::iter::from_fn(|| self.pop()));
        }
        let position = if self.kept.is_empty() { Some(self.end) } else { due.last().map(|(position, _)| *position) };
        Ok(Step { due, position })
    }

    fn is_over(&self) -> bool {
        self.kept.len() > CONFLATED_TOPICS_MAX || self.bytes > CONFLATED_BYTES_MAX
    }

    fn keep(&mut self, record: &Record) {
        let Some(topic) = record.topics.first() else { return };
        if let Some(replaced) = self.latest.insert(topic.clone(), record.position) {
            self.remove(replaced);
        }
        // A copy: a read of the disk is one piece of memory, which a part of it would hold.
        let kept = Kept { topic: topic.clone(), frame: Bytes::copy_from_slice(&record.frame) };
        self.bytes += kept.bytes();
        self.kept.insert(record.position, kept);
    }

    fn pop(&mut self) -> Option<(Position, Bytes)> {
        let position = *self.kept.first_key_value()?.0;
        let kept = self.remove(position)?;
        self.latest.remove(&kept.topic);
        Some((position, kept.frame))
    }

    fn remove(&mut self, position: Position) -> Option<Kept> {
        let kept = self.kept.remove(&position)?;
        self.bytes -= kept.bytes();
        Some(kept)
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.frame.len() + self.topic.len() + CONFLATED_EVENT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;
    use fanfare_log::{Draft, Epoch, Frame, Id, MemoryLog, Place, Retention, Timestamp, Visibility};
    use proptest::prelude::*;

    fn log(topics: &[u16], size: usize) -> MemoryLog {
        let log = MemoryLog::new(Epoch(1), Retention::default());
        let draft = |topic: &u16| Draft {
            topics: vec![topic.to_string().into(), "other".into()],
            id: Id::Position,
            visibility: Visibility::Public,
            time: Timestamp(0),
            frame: Frame::whole(vec![b'x'; size]),
        };
        for some in topics.chunks(1000) {
            log.store_now(some.iter().map(draft).collect(), Place::Next).unwrap();
        }
        log
    }

    /// The offsets that come, and how many turns that took.
    fn run(log: &MemoryLog, all: &Arc<()>) -> (Vec<u64>, usize) {
        let selectors: Selectors = [Selector::all()].into_iter().collect();
        let mut conflation = Conflation::after(log.span().start, all);
        let (mut offsets, mut turns) = (Vec::new(), 0);
        loop {
            turns += 1;
            let step = conflation.step(log, &selectors, |_| true).unwrap();
            offsets.extend(step.due.iter().map(|(position, _)| position.offset));
            assert!(conflation.kept.len() <= CONFLATED_TOPICS_MAX + 1024);
            if conflation.is_empty() && step.position == Some(log.span().tail) {
                assert_eq!((conflation.bytes, conflation.latest.len()), (0, 0));
                return (offsets, turns);
            }
        }
    }

    #[test]
    fn over_several_turns_each_topic_comes_once() {
        let topics: Vec<u16> = (0..20_000).map(|n| n % 3).collect();
        let (offsets, turns) = run(&log(&topics, 10), &Arc::default());
        assert_eq!(offsets, [19_998, 19_999, 20_000]);
        assert!(turns > 4, "{turns}");
    }

    #[test]
    fn more_topics_than_may_be_kept_go_out_early_and_in_order() {
        let topics: Vec<u16> = (0..5000).collect();
        let (offsets, _) = run(&log(&topics, 10), &Arc::default());
        assert!(offsets.iter().copied().eq(1..=5000));
    }

    #[test]
    fn where_there_are_many_none_is_kept_over_a_turn() {
        let all = Arc::default();
        let held: Vec<_> = (0..CONFLATIONS_MAX).map(|_| Arc::clone(&all)).collect();
        let topics: Vec<u16> = (0..20_000).map(|n| n % 3).collect();
        let (offsets, turns) = run(&log(&topics, 10), &all);
        assert_eq!(offsets.len(), 3 * turns);
        drop(held);
        assert_eq!(run(&log(&topics, 10), &all).0.len(), 3);
    }

    proptest! {
        #[test]
        fn the_last_of_each_topic_comes_and_all_in_order(
            topics in proptest::collection::vec(0_u16..40, 0..3000),
            size in 0_usize..2000,
        ) {
            let (offsets, _) = run(&log(&topics, size), &Arc::default());
            prop_assert!(offsets.is_sorted_by(|one, next| one < next));
            for topic in 0..40 {
                let last = topics.iter().rposition(|one| *one == topic).map(|index| index as u64 + 1);
                prop_assert!(last.is_none_or(|last| offsets.contains(&last)), "{topic}");
            }
        }
    }
}
