//! What this node tells the others, and what it has heard of them. No sockets and no clock: messages and times in, messages
//! and news out.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use fanfare_log::Timestamp;
use tokio::time::Instant;

use crate::limits::{
    CUT_OFF_LEASES, NEIGHBOUR_MEMBERS_BYTES_MAX, NEIGHBOUR_MESSAGE_BYTES_MAX, NEIGHBOUR_PIECE_BYTES, NEIGHBOURS_MAX,
    NEWS_BYTES_MAX, NEWS_MAX,
};
use crate::presence::message::{Change, Content, Here, Message, Unreadable, encoded_bytes};
use crate::presence::neighbour::{Intake, Neighbour, Page};
use crate::presence::roster::{Roster, Uuid};
use crate::presence::{Bulletin, NewsCursor, NodeId, NodeName, Subscriber};

/// The hub among others.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) node: NodeId,
    pub(super) name: NodeName,
    lease: Duration,
    message_bytes_max: usize,
    held_bytes_max: usize,
    /// Who is here, in the order of the pages.
    members: BTreeMap<Uuid, u32>,
    /// Those of them whom no message can hold.
    untold: BTreeSet<Uuid>,
    /// How often somebody came or went here.
    at: u64,
    /// The last of those changes, which were not sent yet.
    changes: VecDeque<(Arc<Subscriber>, bool)>,
    changes_bytes: usize,
    /// Whether something is to be said, if only that the node lives.
    is_beat_due: bool,
    /// Who wants a page, and from where on.
    askers: BTreeMap<NodeId, Option<Uuid>>,
    neighbours: HashMap<NodeId, Neighbour>,
    held_bytes: usize,
    is_cut_off: bool,
}

/// Who came and went.
pub(super) type Notes = Vec<(Arc<Subscriber>, bool)>;

impl Cluster {
    /// Alone so far.
    pub(super) fn new(node: NodeId, name: NodeName, lease: Duration) -> Self {
        Self {
            node,
            name,
            lease,
            message_bytes_max: NEIGHBOUR_MESSAGE_BYTES_MAX,
            held_bytes_max: NEIGHBOUR_MEMBERS_BYTES_MAX,
            members: BTreeMap::new(),
            untold: BTreeSet::new(),
            at: 0,
            changes: VecDeque::new(),
            changes_bytes: 0,
            is_beat_due: true,
            askers: BTreeMap::new(),
            neighbours: HashMap::new(),
            held_bytes: 0,
            is_cut_off: false,
        }
    }

    /// Somebody came or went here. What there is no room for is a hole in the numbers, which the others see.
    pub(super) fn note(&mut self, number: u32, subscriber: &Arc<Subscriber>, active: bool) {
        if active {
            self.members.insert(subscriber.uuid(), number);
        } else {
            self.members.remove(&subscriber.uuid());
            self.untold.remove(&subscriber.uuid());
        }
        self.at += 1;
        self.changes_bytes += subscriber.bytes();
        self.changes.push_back((subscriber.clone(), active));
        while self.changes.len() > NEWS_MAX || self.changes_bytes > NEWS_BYTES_MAX {
            let Some((subscriber, _)) = self.changes.pop_front() else { return };
            self.changes_bytes -= subscriber.bytes();
        }
    }

    /// Makes no message larger than this, which is what the network takes.
    pub(super) fn fit(&mut self, message_bytes_max: usize) {
        self.message_bytes_max = message_bytes_max.min(NEIGHBOUR_MESSAGE_BYTES_MAX);
    }

    /// The others are to hear that this node lives.
    pub(super) fn beat(&mut self) {
        self.is_beat_due = true;
    }

    /// The next message, and to whom if not to all. A page comes after all the changes that it knows of.
    pub(super) fn next_message(
        &mut self,
        roster: &Roster,
        now: Instant,
        time: Timestamp,
    ) -> Option<(Option<NodeId>, Vec<u8>)> {
        if self.is_beat_due || !self.changes.is_empty() {
            return Some((None, self.next_changes(time)));
        }
        let ask = self.neighbours.iter_mut().find_map(|(node, neighbour)| Some((*node, neighbour.ask(now)?)));
        if let Some((node, after)) = ask {
            return Some((Some(node), self.encode(Content::Ask { after }, time)));
        }
        let (node, after) = self.askers.pop_first()?;
        Some((Some(node), self.page(after, roster, time)))
    }

    fn next_changes(&mut self, time: Timestamp) -> Vec<u8> {
        self.is_beat_due = false;
        let after = self.at - self.changes.len() as u64;
        let (mut changes, mut bytes) = (Vec::new(), 0);
        for (subscriber, active) in &self.changes {
            let mut change = Change::Left(subscriber.uuid());
            if *active {
                let here = Here::of(subscriber);
                let is_within_bounds = here.is_within_bounds();
                let joined = Change::Joined(here);
                if is_within_bounds && self.fits(encoded_bytes(&joined)) {
                    change = joined;
                } else if self.members.contains_key(&subscriber.uuid()) {
                    self.untold.insert(subscriber.uuid());
                }
            }
            bytes += encoded_bytes(&change);
            if !changes.is_empty() && bytes > self.piece_bytes() {
                break;
            }
            changes.push(change);
        }
        let count = changes.len();
        let message = self.encode(Content::Changes { after, changes }, time);
        self.changes_bytes -= self.changes.drain(..count).map(|(subscriber, _)| subscriber.bytes()).sum::<usize>();
        message
    }

    fn page(&mut self, after: Option<Uuid>, roster: &Roster, time: Timestamp) -> Vec<u8> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut members, mut bytes, mut until) = (Vec::new(), 0, None);
        let mut rest = self.members.range((from, Bound::Unbounded)).peekable();
        while let Some((name, number)) = rest.next() {
            if let Some(subscriber) = roster.get(*number) {
                let here = Here::of(subscriber);
                let size = encoded_bytes(&here);
                if here.is_within_bounds() && self.fits(size) {
                    bytes += size;
                    members.push(here);
                } else {
                    self.untold.insert(*name);
                }
            }
            if bytes > self.piece_bytes() && rest.peek().is_some() {
                until = Some(*name);
                break;
            }
        }
        self.encode(Content::Page { at: self.at, after, until, members }, time)
    }

    fn encode(&self, content: Content<'_>, time: Timestamp) -> Vec<u8> {
        let mut message = Message::new(self.node, self.name.clone(), time, self.lease, content);
        message.partial = !self.untold.is_empty();
        message.encode()
    }

    /// Whether a part of so many bytes can be in a message, beside another that made the piece nearly full.
    fn fits(&self, bytes: usize) -> bool {
        bytes + self.piece_bytes() + ENVELOPE_BYTES <= self.message_bytes_max
    }

    /// How large a message gets before the next one is begun.
    fn piece_bytes(&self) -> usize {
        NEIGHBOUR_PIECE_BYTES.min(self.message_bytes_max / 4)
    }

    /// Takes in what came, and says who came and went by it.
    pub(super) fn receive(
        &mut self,
        message: Message<'static>,
        roster: &mut Roster,
        now: Instant,
        time: Timestamp,
    ) -> Result<Notes, Unreadable> {
        if message.node == self.node {
            return Ok(Notes::new());
        }
        if let Content::Ask { after } = message.content {
            if self.askers.len() < NEIGHBOURS_MAX || self.askers.contains_key(&message.node) {
                self.askers.insert(message.node, after);
            }
            return Ok(Notes::new());
        }
        if !self.neighbours.contains_key(&message.node) {
            if self.neighbours.len() >= NEIGHBOURS_MAX {
                return Err(Unreadable::Crowd);
            }
            self.neighbours.insert(message.node, Neighbour::new(&message, now, time));
            // It may not know of this one.
            self.is_beat_due = true;
        }
        let mut intake = Intake {
            roster,
            held_bytes: &mut self.held_bytes,
            held_bytes_max: self.held_bytes_max,
            notes: Notes::new(),
        };
        if let Some(neighbour) = self.neighbours.get_mut(&message.node) {
            neighbour.hear(&message, now, time);
            match message.content {
                Content::Changes { after, changes } => neighbour.change(after, changes, &mut intake),
                Content::Page { at, after, until, members } => {
                    neighbour.read(Page { at, after, until, members }, &mut intake);
                }
                Content::Ask { .. } => {}
            }
        }
        Ok(intake.notes)
    }

    /// Looks whose lease is over. At most some of those who were there are taken out at once: true if there are more.
    pub(super) fn sweep(
        &mut self,
        is_connected: bool,
        roster: &mut Roster,
        now: Instant,
        time: Timestamp,
    ) -> (Notes, bool) {
        if std::mem::replace(&mut self.is_cut_off, !is_connected) && is_connected {
            self.neighbours.values_mut().for_each(|neighbour| neighbour.forgive(now, time));
        }
        let patience = if self.is_cut_off { CUT_OFF_LEASES } else { 1 };
        let mut intake = Intake {
            roster,
            held_bytes: &mut self.held_bytes,
            held_bytes_max: self.held_bytes_max,
            notes: Notes::new(),
        };
        let mut going = None;
        for (node, neighbour) in &mut self.neighbours {
            if neighbour.sweep(now, patience, &mut intake) {
                going = Some(*node);
            }
            if going.is_some() || neighbour.is_going() {
                break;
            }
        }
        let notes = intake.notes;
        let gone = going.and_then(|node| self.neighbours.remove(&node));
        if let Some(gone) = &gone {
            tracing::info!(node = %gone.name, "a node is not heard any more: its subscribers are taken for gone");
        }
        if self.held_bytes < self.held_bytes_max / 10 * 9 {
            self.neighbours.values_mut().for_each(Neighbour::retry);
        }
        let is_more = gone.is_some() || self.neighbours.values().any(Neighbour::is_going);
        (notes, is_more)
    }

    /// The nodes that are known, by name, and whether all who are there are known here.
    pub(super) fn nodes(&self, now: Instant) -> BTreeMap<NodeName, bool> {
        let mut nodes = BTreeMap::from([(self.name.clone(), true)]);
        for neighbour in self.neighbours.values() {
            *nodes.entry(neighbour.name.clone()).or_insert(true) &= neighbour.is_whole(now);
        }
        nodes
    }

    /// From which number on somebody is to be told the news, who was told all up to `cursor` by another node. What that has
    /// told them late, or early, is told again rather than never.
    ///
    /// `None` if it can't be said: that node, or this one, may have missed something in that time.
    pub(super) fn resume(&self, cursor: &NewsCursor, bulletin: &Bulletin) -> Option<u64> {
        let giver = self.neighbours.get(&cursor.node?)?;
        let lag = self.neighbours.values().map(Neighbour::lag).max()?;
        let lag = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        let from = Timestamp(Bulletin::time_of(cursor.number).0.saturating_sub(lag));
        let number = Bulletin::at(from).min(bulletin.next());
        (giver.since() <= from && bulletin.has(number)).then_some(number)
    }
}

/// What a message has beside its parts, in bytes.
const ENVELOPE_BYTES: usize = 1024;

#[cfg(test)]
mod tests;
