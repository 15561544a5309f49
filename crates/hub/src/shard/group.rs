//! Subscribers with equal selectors, who share what is put together for them.

use std::num::NonZeroU64;
use std::sync::Arc;

use fanfare_log::{Position, Record};

use crate::selector::Selectors;
use crate::shard::buffer::Buffer;
use crate::shard::probe::Probe;

/// A group. Its *head* is the offset up to which its events are encoded; a live subscriber is a cursor into that.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) selectors: Arc<Selectors>,
    /// All of its subscribers, live or behind.
    pub(super) subscribers: u32,
    /// The live ones.
    pub(super) members: Vec<u32>,
    /// What some of them may not have been sent yet.
    pub(super) buffer: Option<Box<Buffer>>,
    pub(super) head: u64,
    /// Everything for the group after this position, up to where the shard has followed the log, is in the buffer.
    pub(super) known_from: Position,
    pub(super) pass: Pass,
    /// Whether it waits for its turn.
    pub(super) is_queued: bool,
    /// The head that everybody must come to before the measurement is over that this group takes part in.
    measured: Option<NonZeroU64>,
}

/// The round in which the members are visited.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Who is next.
    next: usize,
    /// Visits until everyone has what there is now.
    remaining: usize,
    /// Visits until everyone has what there was when the lap began: up to `lap_head`.
    lap: usize,
    lap_head: u64,
    /// Up to here everybody has come.
    reached: u64,
}

impl Group {
    pub(super) fn new(selectors: Arc<Selectors>, known_from: Position) -> Self {
        Self {
            selectors,
            subscribers: 0,
            members: Vec::new(),
            buffer: None,
            head: 0,
            known_from,
            pass: Pass::default(),
            is_queued: false,
            measured: None,
        }
    }

    /// Takes in an event for everybody; `before` is the position before it, `spare` gives an empty buffer.
    pub(super) fn append(&mut self, record: &Arc<Record>, before: Position, spare: impl FnOnce() -> Box<Buffer>) {
        if self.members.is_empty() {
            self.known_from = record.position;
            return;
        }
        if self.buffer.is_none() {
            self.known_from = self.known_from.max(before);
            (self.pass.lap, self.pass.lap_head) = (self.members.len(), self.head);
        }
        let head = self.head;
        let buffer = self.buffer.get_or_insert_with(|| spare().at(head));
        buffer.append(record);
        self.head = buffer.head();
        self.pass.remaining = self.members.len();
    }

    /// Where somebody stands who has everything up to `position`, if the buffer has all that comes after it.
    pub(super) fn offset_of(&self, position: Position) -> Option<u64> {
        (position >= self.known_from)
            .then(|| self.buffer.as_ref().map_or(self.head, |buffer| buffer.offset_of(position)))
    }

    /// Begins a pass somewhere else than the last one, so that the same member is not always last.
    pub(super) fn begin_at(&mut self, share: f64) {
        self.pass.next = (self.members.len() as f64 * share) as usize;
    }

    /// Takes in a live subscriber who stands at `cursor`, and gives its place among the members.
    pub(super) fn join(&mut self, number: u32, cursor: u64) -> u32 {
        self.members.push(number);
        if cursor < self.head {
            self.pass.remaining = self.members.len();
            self.pass.lap = self.members.len();
        } else if self.buffer.is_some() {
            // It may come to stand before those who are still to be visited.
            self.pass.remaining += 1;
            self.pass.lap += 1;
        }
        self.members.len() as u32 - 1
    }

    /// Takes out the member at `place`, and gives who has that place now.
    pub(super) fn leave(&mut self, place: u32) -> Option<u32> {
        let place = place as usize;
        self.members.swap_remove(place);
        if self.buffer.is_some() {
            if place + 1 == self.pass.next {
                // It was just visited. The one that took its place is next, and may have been visited too.
                self.pass.next = place;
                self.pass.remaining += 1;
                self.pass.lap += 1;
            } else {
                // The one that took its place may have come from a part that was not visited yet to one that was.
                self.pass.remaining = self.members.len();
                self.pass.lap = self.members.len();
            }
            self.pass.remaining = self.pass.remaining.min(self.members.len());
            self.pass.lap = self.pass.lap.min(self.members.len());
        }
        self.members.get(place).copied()
    }

    /// Who is to be visited now. `None` at the end of the pass.
    pub(super) fn visit(&mut self) -> Option<u32> {
        if self.pass.remaining == 0 {
            return None;
        }
        if self.pass.next >= self.members.len() {
            self.pass.next = 0;
        }
        let number = *self.members.get(self.pass.next)?;
        self.pass.next += 1;
        self.pass.remaining -= 1;
        self.pass.lap = self.pass.lap.saturating_sub(1);
        Some(number)
    }

    /// Whether everybody was visited since the last event.
    pub(super) fn is_served(&self) -> bool {
        self.pass.remaining == 0 || self.members.is_empty()
    }

    /// Drops what everybody has. Gives the buffer back when nothing is left in it.
    pub(super) fn trim(&mut self) -> Option<Box<Buffer>> {
        if self.is_served() {
            return self.clear();
        }
        if self.pass.lap == 0 {
            if let Some(position) = self.buffer.as_mut().and_then(|buffer| buffer.trim(self.pass.lap_head)) {
                self.known_from = position;
            }
            self.pass.reached = self.pass.lap_head;
            (self.pass.lap, self.pass.lap_head) = (self.members.len(), self.head);
        }
        None
    }

    /// Takes part in a measurement, up to where its head is now.
    pub(super) fn measure(&mut self, probe: &mut Probe) {
        if self.measured.is_none() {
            probe.add();
        }
        self.measured = NonZeroU64::new(self.head);
    }

    /// Whether its part in a measurement is over. Says so once.
    pub(super) fn is_measured(&mut self) -> bool {
        let is_served = self.is_served();
        self.measured.take_if(|head| is_served || self.pass.reached >= head.get()).is_some()
    }

    /// Gives the buffer back, empty. Whoever is still in need of it must not be a member any more.
    pub(super) fn clear(&mut self) -> Option<Box<Buffer>> {
        let mut buffer = self.buffer.take()?;
        if let Some(position) = buffer.trim(u64::MAX) {
            self.known_from = position;
        }
        self.pass.remaining = 0;
        Some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Topic, Update};
    use fanfare_log::{Epoch, Timestamp};
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Join,
        JoinLate(usize),
        Leave(usize),
        Append { begins_at: f64 },
        Visit { count: usize, leaves: bool },
        Trim,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Join),
            1 => (0_usize..8).prop_map(Step::JoinLate),
            3 => (0_usize..20).prop_map(Step::Leave),
            2 => (0.0..1.0).prop_map(|begins_at| Step::Append { begins_at }),
            6 => (1_usize..12, proptest::bool::weighted(0.1)).prop_map(|(count, leaves)| Step::Visit { count, leaves }),
            2 => Just(Step::Trim),
        ]
    }

    fn record(offset: u64) -> Arc<Record> {
        let draft = Update::new(Topic::new("a").unwrap(), "x").into_draft(Timestamp(0));
        Arc::new(Record::new(draft, Position { offset, ..Position::start_of(Epoch(1)) }))
    }

    /// Where each member stands, by number.
    struct Model {
        group: Group,
        cursors: Vec<u64>,
        followed: Position,
    }

    impl Model {
        fn base(&self) -> u64 {
            self.group.head - self.group.buffer.as_ref().map_or(0, |buffer| buffer.len()) as u64
        }

        fn join(&mut self, cursor: u64) {
            self.group.join(self.cursors.len() as u32, cursor);
            self.cursors.push(cursor);
        }

        fn leave(&mut self, place: usize) {
            self.group.leave(place as u32);
            if self.group.members.is_empty() {
                self.group.clear();
            }
        }

        fn visit(&mut self) -> Option<u32> {
            let number = self.group.visit()?;
            self.cursors[number as usize] = self.group.head;
            Some(number)
        }

        fn run(&mut self, step: &Step) {
            match step {
                Step::Join => self.join(self.group.head),
                // As somebody who has read the log up to an event in the buffer.
                Step::JoinLate(back) => {
                    let offset = self.followed.offset.saturating_sub(*back as u64);
                    if let Some(cursor) = self.group.offset_of(Position { offset, ..self.followed }) {
                        self.join(cursor);
                    }
                }
                Step::Leave(place) => {
                    if *place < self.group.members.len() {
                        self.leave(*place);
                    }
                }
                Step::Append { begins_at } => {
                    let record = record(self.followed.offset + 1);
                    let is_idle = self.group.buffer.is_none();
                    self.group.append(&record, self.followed, Box::default);
                    if is_idle {
                        self.group.begin_at(*begins_at);
                    }
                    self.followed = record.position;
                }
                Step::Visit { count, leaves } => {
                    let visited = (0..*count).filter_map(|_| self.visit()).last();
                    if let Some(number) = visited.filter(|_| *leaves) {
                        let place = self.group.members.iter().position(|member| *member == number);
                        self.leave(place.expect("a member was visited"));
                    }
                }
                Step::Trim => drop(self.group.trim()),
            }
        }
    }

    proptest! {
        /// However members come and go: at the end of a pass everybody has everything, and what is dropped before that
        /// everybody has.
        #[test]
        fn a_pass_misses_nobody(steps in proptest::collection::vec(step(), 1..200)) {
            let start = Position::start_of(Epoch(1));
            let mut model = Model { group: Group::new(Arc::default(), start), cursors: Vec::new(), followed: start };
            for step in &steps {
                model.run(step);
                let base = model.base();
                let cursors = model.group.members.iter().map(|member| model.cursors[*member as usize]);
                prop_assert!(cursors.min().is_none_or(|cursor| cursor >= base), "what a member needs was dropped");
            }
            while model.visit().is_some() {}
            let cursors = model.group.members.iter().map(|member| model.cursors[*member as usize]);
            prop_assert!(cursors.min().is_none_or(|cursor| cursor == model.group.head), "a member was passed over");
        }
    }
}
