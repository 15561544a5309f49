//! The subscribers of a shard, and how events come to them. No sockets are waited for here, and no clock is read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fanfare_log::{Position, ReadBudget, ReadError, Record, Topics};
use http::HeaderMap;
use slab::Slab;
use tracing::Level;

use crate::advance::Advance;
use crate::cursor::Start;
use crate::figures::{Path, StreamEnd};
use crate::http::{Accepted, RequestId};
use crate::interest::Interest;
use crate::lag::Lag;
use crate::limits::{
    GROUP_BUFFER_BYTES_MAX, GROUP_BUFFERS_BYTES_MAX, READ_BYTES_MAX, READ_EXAMINED_MAX, READ_RECORDS_MAX,
    SLICE_READS_MAX, SLICE_TEMPLATES_MAX, SLICE_VISITS_MAX, SPARE_BUFFERS_MAX, SUBSCRIBERS_ROOM,
};
use crate::run::Open;
use crate::selector::Selectors;
use crate::shard::buffer::Buffer;
use crate::shard::chunk;
use crate::shard::grants::Grants;
use crate::shard::group::Group;
use crate::shard::probe::Probe;
use crate::shard::socket::Socket;
use crate::shard::subscriber::{Behind, State, Subscriber};
use crate::shard::tally::Tally;
use crate::shard::visit::Replayed;
use crate::shard::wheel::Wheel;
use crate::shared::Shared;
use crate::slow_policy::SlowPolicy;

/// The state machine of a shard.
///
/// Each event is appended once to the buffer of each group that wants it. A rolling pass visits the members of the
/// groups that have something new and sends each whatever is pending for it at that moment: the longer a pass takes, the
/// more events a send carries, and without load each goes out on its own, at once.
pub(super) struct Fanout<S> {
    pub(super) hub: Arc<Shared>,
    pub(super) subscribers: Slab<Subscriber<S>>,
    pub(super) groups: Slab<Group>,
    pub(super) grants: Grants,
    interest: Interest,
    /// Up to here every event is in the buffers of its groups.
    pub(super) followed: Position,
    /// Events that were read but not taken in yet, and where to read on after them.
    pending: VecDeque<Arc<Record>>,
    pending_end: Position,
    /// Groups with members to be visited, the one that has waited longest first.
    queue: VecDeque<u32>,
    /// Subscribers who are behind and not blocked, likewise.
    behind: VecDeque<u32>,
    pub(super) wheel: Wheel,
    /// Whom the wheel brought up.
    pub(super) due: Vec<u32>,
    pub(super) heartbeat_ticks: u32,
    tick: Duration,
    /// While the hub stops: the ticks over which the streams end.
    pub(super) drain_ticks: Option<u32>,
    /// Bytes in the buffers of all groups.
    buffered: usize,
    #[expect(clippy::vec_box, reason = "a group holds its buffer boxed, and the box is used again with it")]
    spare: Vec<Box<Buffer>>,
    wanted: Vec<u32>,
    pub(super) scratch: Vec<u8>,
    pub(super) replayed: Vec<Replayed>,
    pub(super) tally: Tally,
    /// When the log advanced, and the measurement that is under way.
    pub(super) advance: Arc<Advance>,
    probe: Option<Probe>,
    /// The names of the subscribers' requests, and when they began, if the log tells of their ends.
    names: HashMap<u32, (RequestId, u32)>,
    random: fastrand::Rng,
}

impl<S: Socket> Fanout<S> {
    pub(super) fn new(hub: Arc<Shared>, tick: Duration, seed: u64) -> Self {
        let followed = hub.log.span().tail;
        let heartbeat_ticks = ticks(hub.settings.heartbeat, tick);
        Self {
            hub,
            subscribers: Slab::with_capacity(SUBSCRIBERS_ROOM),
            groups: Slab::new(),
            grants: Grants::default(),
            interest: Interest::default(),
            followed,
            pending: VecDeque::new(),
            pending_end: followed,
            queue: VecDeque::new(),
            behind: VecDeque::new(),
            wheel: Wheel::new(),
            due: Vec::new(),
            heartbeat_ticks,
            tick,
            drain_ticks: None,
            buffered: 0,
            spare: Vec::new(),
            wanted: Vec::new(),
            scratch: Vec::new(),
            replayed: Vec::new(),
            tally: Tally::default(),
            advance: Arc::default(),
            probe: None,
            names: HashMap::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Takes in a subscriber and sends it `head`, the head of its response, with what it is told first. `None` if its
    /// connection is broken already.
    pub(super) fn subscribe(&mut self, socket: S, open: Open, head: &[u8], accepted: Accepted) -> Option<u32> {
        let Accepted { subscription, start, .. } = accepted;
        // What was published before the subscription may not be taken in yet.
        if start.after > self.followed {
            self.follow();
        }
        let group = self.group(subscription.selectors());
        let grant = self.grants.take(subscription.grant());
        let number = self.subscribers.insert(Subscriber::new(
            socket,
            (open, subscription.held().cloned()),
            (group, grant),
            start.after,
        )) as u32;
        self.groups[group as usize].subscribers += 1;
        self.serve_slowly(number, subscription.slow());
        self.hub.counters.subscribers.inc();
        self.hub.counters.subscriptions.inc();
        self.tally.fell_behind();
        self.limit_life(number, subscription.left());
        if self.drain_ticks.is_some() {
            self.arrange_leave(number);
        } else {
            self.arm(number, self.wheel.now() + self.heartbeat_ticks);
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(head);
        self.greet(&start);
        self.go_on(number);
        self.subscribers.contains(number as usize).then_some(number)
    }

    /// Has somebody new served so while it is behind.
    fn serve_slowly(&mut self, number: u32, slow: SlowPolicy) {
        let one = &mut self.subscribers[number as usize];
        one.slow = slow;
        if let State::Behind(behind) = &mut one.state
            && slow == SlowPolicy::Disconnect
        {
            behind.lag = Some(Box::new(Lag::at(behind.position.max(self.followed))));
        }
    }

    /// Has the stream end when it is old, and before its token does, in `left`. The tick now is the last one that has
    /// begun, so that the ticks counted from it are over a little sooner.
    fn limit_life(&mut self, number: u32, left: Option<Duration>) {
        let now = self.wheel.now();
        let one = &mut self.subscribers[number as usize];
        if let Some(age) = self.hub.age() {
            one.leaves_at = now.saturating_add(ticks(age, self.tick));
        }
        let Some(left) = left else { return };
        one.expires_at = now.saturating_add(ticks(left, self.tick));
        // One tick sooner at least, to end cleanly.
        let leaves_at = now.saturating_add(ticks(self.hub.share_of_life(left), self.tick));
        one.leaves_at = one.leaves_at.min(leaves_at).min(one.expires_at - 1);
    }

    fn greet(&mut self, start: &Start) {
        let mut greeting = fanfare_wire::KEEP_ALIVE.to_vec();
        self.hub.greet(start, &mut greeting);
        chunk::encode(&greeting, &mut self.scratch);
    }

    /// The group of `selectors`, a new one if there is none.
    fn group(&mut self, selectors: &Arc<Selectors>) -> u32 {
        if let Some(group) = self.interest.number(selectors) {
            return group;
        }
        let group = self.groups.insert(Group::new(selectors.clone(), self.followed)) as u32;
        self.interest.add(group, selectors);
        group
    }

    /// Takes in events, up to a bound. Returns whether there may be more.
    pub(super) fn follow(&mut self) -> bool {
        if self.pending.is_empty() && !self.read_log() {
            return false;
        }
        let mut budget = SLICE_TEMPLATES_MAX;
        while let Some(record) = self.pending.front() {
            let mut wanted = std::mem::take(&mut self.wanted);
            let is_resolved = self.interest.groups(&record.topics, &mut wanted, &mut budget);
            self.wanted = wanted;
            if !is_resolved {
                return true;
            }
            if let Some(record) = self.pending.pop_front() {
                self.append(&record);
                self.followed = record.position;
            }
        }
        self.followed = self.pending_end;
        if let Some(probe) = &mut self.probe {
            probe.close();
        }
        *self.hub.tail.borrow() > self.followed
    }

    fn read_log(&mut self) -> bool {
        let advanced_at = self.advance.take();
        if self.groups.is_empty() {
            self.followed = self.hub.log.span().tail;
            return false;
        }
        let budget = ReadBudget { records: READ_RECORDS_MAX, bytes: READ_BYTES_MAX, examined: READ_EXAMINED_MAX };
        match self.hub.log.read(self.followed, Topics::All, budget) {
            Ok(batch) => {
                let is_new = batch.end > self.followed;
                if is_new && self.probe.is_none() {
                    self.probe = advanced_at.map(Probe::new);
                }
                self.pending_end = batch.end;
                self.pending = batch.records.into();
                is_new
            }
            Err(error) => {
                if !matches!(error, ReadError::Expired) {
                    tracing::error!(%error, source = ?std::error::Error::source(&error), "the history can't be followed");
                }
                self.lose_track();
                false
            }
        }
    }

    /// The shard has missed events: everybody reads the log from where they are, and is told there what is gone.
    fn lose_track(&mut self) {
        let groups: Vec<u32> = self.groups.iter().map(|(group, _)| group as u32).collect();
        groups.iter().for_each(|group| self.shed(*group, true));
        self.followed = self.followed.max(self.hub.log.span().tail);
        groups.iter().for_each(|group| self.groups[*group as usize].known_from = self.followed);
    }

    fn append(&mut self, record: &Arc<Record>) {
        let bytes = chunk::len(record.frame.len());
        for at in 0..self.wanted.len() {
            let number = self.wanted[at];
            let held = self.groups[number as usize].buffer.as_ref().map_or(0, |buffer| buffer.len());
            if held > 0 && held + bytes > GROUP_BUFFER_BYTES_MAX {
                self.shed(number, false);
            }
            if self.buffered > 0 && self.buffered + bytes > GROUP_BUFFERS_BYTES_MAX {
                self.shed(number, true);
            }
            let spare = &mut self.spare;
            let group = &mut self.groups[number as usize];
            group.append(record, self.followed, || spare.pop().unwrap_or_default());
            if group.buffer.is_some() {
                self.buffered += bytes;
                if let Some(probe) = self.probe.as_mut().filter(|probe| probe.is_open()) {
                    group.measure(probe);
                }
                if !group.is_queued {
                    group.is_queued = true;
                    group.begin_at(self.random.f64());
                    self.queue.push_back(number);
                }
            }
        }
    }

    /// Has those members of a group read for themselves who need what its buffer holds, or `all`, and empties it.
    fn shed(&mut self, number: u32, all: bool) {
        let members = self.groups[number as usize].members.clone();
        for member in members {
            let Some(State::Live { cursor, .. }) = self.subscribers.get(member as usize).map(|one| &one.state) else {
                continue;
            };
            if all || *cursor < self.groups[number as usize].head {
                let behind = self.stopped_at(number, *cursor);
                self.fall_behind(member, behind);
                self.enqueue(member);
            }
        }
        self.clear(number);
    }

    /// Empties the buffer of a group, which nobody needs any more.
    fn clear(&mut self, number: u32) {
        let group = &mut self.groups[number as usize];
        self.buffered -= group.buffer.as_ref().map_or(0, |buffer| buffer.len());
        let cleared = group.clear();
        self.keep(cleared);
    }

    /// One slice of work, of about so many sends.
    pub(super) fn slice(&mut self, sends_max: usize) {
        for _ in 0..SLICE_READS_MAX {
            let Some(number) = self.behind.pop_front() else { break };
            self.catch_up(number);
        }
        let mut looks = 0;
        for _ in 0..sends_max {
            let Some(number) = self.due.pop_if(|_| looks < SLICE_READS_MAX) else { break };
            looks += usize::from(self.come_up(number));
        }
        let (mut sends, mut visits) = (sends_max, SLICE_VISITS_MAX);
        while sends > 0
            && visits > 0
            && let Some(group) = self.queue.pop_front()
        {
            self.serve(group, &mut sends, &mut visits);
        }
        self.tally.count(&self.hub.counters);
        if let Some(probe) = self.probe.take_if(|probe| probe.is_over())
            && let Some(duration) = probe.duration()
        {
            self.hub.counters.observe_fanout(Path::Shard, duration);
        }
    }

    /// Whether a measurement is under way.
    #[cfg(test)]
    pub(super) fn is_measuring(&self) -> bool {
        self.probe.is_some()
    }

    /// Bytes in the buffers of all groups.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Whether there is nothing to do until something happens.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.behind.is_empty() && self.due.is_empty() && self.pending.is_empty()
    }

    /// Visits members of a group until the slice is used up or everybody has everything.
    fn serve(&mut self, number: u32, sends: &mut usize, visits: &mut usize) {
        while *sends > 0
            && *visits > 0
            && let Some(member) = self.groups[number as usize].visit()
        {
            *visits -= 1;
            *sends -= usize::from(self.visit(member));
        }
        let before = self.groups[number as usize].buffer.as_ref().map_or(0, |buffer| buffer.len());
        let cleared = self.groups[number as usize].trim();
        let group = &mut self.groups[number as usize];
        self.buffered -= before - group.buffer.as_ref().map_or(0, |buffer| buffer.len());
        if let Some(probe) = self.probe.as_mut().filter(|_| group.is_measured()) {
            probe.served();
        }
        if group.is_served() {
            group.is_queued = false;
            self.remove_if_unused(number);
        } else {
            self.queue.push_back(number);
        }
        self.keep(cleared);
    }

    fn keep(&mut self, buffer: Option<Box<Buffer>>) {
        if self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.extend(buffer.filter(|buffer| buffer.is_spare()));
        }
    }

    /// Takes a live subscriber out of its group's pass.
    pub(super) fn fall_behind(&mut self, number: u32, mut behind: Behind) {
        let one = &mut self.subscribers[number as usize];
        let is_watched = one.slow == SlowPolicy::Disconnect;
        behind.lag = is_watched.then(|| Box::new(Lag::at(behind.position)));
        if let State::Live { place, .. } = std::mem::replace(&mut one.state, State::Behind(Box::new(behind))) {
            let group = one.group;
            self.tally.fell_behind();
            self.vacate(group, place);
        }
        // Looked at soon; but who comes up sooner for something else, or is about to, is not put off.
        let soon = self.wheel.now() + 1;
        if is_watched && self.subscribers[number as usize].armed_for > soon {
            self.arm(number, soon);
        }
    }

    fn vacate(&mut self, group: u32, place: u32) {
        if let Some(moved) = self.groups[group as usize].leave(place)
            && let State::Live { place: held, .. } = &mut self.subscribers[moved as usize].state
        {
            *held = place;
        }
        if self.groups[group as usize].members.is_empty() {
            self.clear(group);
        }
    }

    /// Has somebody who is behind go on when it is its turn.
    pub(super) fn enqueue(&mut self, number: u32) {
        if let State::Behind(behind) = &mut self.subscribers[number as usize].state
            && !behind.is_blocked
            && !behind.is_queued
        {
            behind.is_queued = true;
            self.behind.push_back(number);
        }
    }

    /// There is room in a socket again.
    pub(super) fn writable(&mut self, number: u32) {
        let Some(one) = self.subscribers.get_mut(number as usize) else { return };
        if let State::Behind(behind) = &mut one.state {
            behind.is_blocked = false;
            self.enqueue(number);
        }
    }

    /// Ends a stream and its connection: in order, so that what was sent still arrives, if the hub chose to and nothing is
    /// unsent.
    pub(super) fn close(&mut self, number: u32, end: StreamEnd) {
        self.remove(number, end, end.is_reset());
    }

    /// The same, with a reset if it `is_reset` or anything is unsent.
    pub(super) fn remove(&mut self, number: u32, end: StreamEnd, is_reset: bool) {
        let Some(mut one) = self.subscribers.try_remove(number as usize) else { return };
        self.hub.counters.count_end(end);
        self.tell_end(number, end);
        if is_reset || one.is_blocked() {
            one.socket.reset();
        }
        match one.state {
            State::Live { place, .. } => self.vacate(one.group, place),
            State::Behind(_) => self.tally.caught_up(),
        }
        self.grants.release(one.grant);
        self.groups[one.group as usize].subscribers -= 1;
        self.remove_if_unused(one.group);
        self.hub.counters.subscribers.dec();
    }

    /// Notes the name of a subscriber's request, which the answer's headers have, for the line at its end. At other levels
    /// than `debug` nothing is kept.
    pub(super) fn name(&mut self, number: u32, headers: &HeaderMap) {
        if tracing::enabled!(Level::DEBUG)
            && let Some(id) = RequestId::of(headers)
        {
            self.names.insert(number, (id, self.wheel.now()));
        }
    }

    fn tell_end(&mut self, number: u32, end: StreamEnd) {
        if let Some((id, begun)) = self.names.remove(&number) {
            let seconds = (self.tick * (self.wheel.now() - begun)).as_secs();
            tracing::debug!(id = id.as_str(), reason = end.as_str(), duration_s = seconds, "a stream has ended");
        }
    }

    /// Ends every connection. What is unsent is thrown away.
    pub(super) fn cut(&mut self) {
        let numbers: Vec<u32> = self.subscribers.iter().map(|(number, _)| number as u32).collect();
        numbers.into_iter().for_each(|number| self.close(number, StreamEnd::Stopped));
    }

    /// A group that waits for its turn goes when that comes: its number may not be used again before.
    fn remove_if_unused(&mut self, number: u32) {
        let group = &self.groups[number as usize];
        if group.subscribers > 0 || group.is_queued {
            return;
        }
        let group = self.groups.remove(number as usize);
        self.interest.remove(number, &group.selectors);
    }
}

impl<S> Drop for Fanout<S> {
    fn drop(&mut self) {
        self.hub.counters.subscribers.dec_by(self.subscribers.len() as i64);
        self.tally.end(&self.hub.counters);
    }
}

/// How many whole ticks `duration` has, at least one.
pub(crate) fn ticks(duration: Duration, tick: Duration) -> u32 {
    u32::try_from(duration.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u32::MAX / 2).clamp(1, u32::MAX / 2)
}
