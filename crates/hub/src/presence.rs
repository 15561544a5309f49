//! Who is subscribed: the protocol's subscription events, and the list behind its API.
//!
//! Each selector of each subscriber is a subscription. That it begins or ends is news, which goes to those who subscribe
//! to its path and whose grant covers it. News stands in a ring of its own, so that a crowd that comes and goes does not
//! push the application's events out of the history.
//!
//! ```text
//! a stream begins or ends ─► Roster: who there is     ─► GET /.well-known/mercure/subscriptions…
//!                       └──► Bulletin: the last news  ─► Watching, around the delivery of whoever watches
//!                       └──► Cluster ─► exchange ─► the other hubs, whose roster and news come the same way
//! ```

mod document;

mod roster;

mod bulletin;

mod watching;

mod neighbours;

mod message;

mod neighbour;

mod cluster;

mod exchange;

#[cfg(test)]
mod tests;

pub(crate) use document::{CONTEXT, Document, SUBSCRIPTIONS, path};
pub(crate) use neighbours::OWN;
pub use neighbours::{InvalidNodeId, InvalidNodeName, Neighbours, NodeId, NodeName, Receiving, Sending};
pub(crate) use roster::Subscriber;
pub(crate) use watching::{NewsStart, Watching};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use fanfare_log::Position;
use serde_json::value::RawValue;
use slab::Slab;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock::Clock;
use bulletin::Bulletin;
use cluster::{Cluster, Notes};
use message::{Message, Unreadable};
use roster::Roster;

/// Everyone who is subscribed to a hub, and what became known of that last.
pub(crate) struct Presence {
    state: Mutex<State>,
    /// The tail of the log: where somebody stands who resumes by an event of the application.
    tail: watch::Receiver<Position>,
    clock: Arc<dyn Clock>,
    /// What this node is called.
    name: Option<NodeName>,
    lease: Duration,
    /// Rung when there may be something to tell the others.
    outbox: Arc<Notify>,
    /// What speaks with them.
    exchange: OnceLock<JoinSet<()>>,
}

struct State {
    roster: Roster,
    bulletin: Bulletin,
    cluster: Option<Cluster>,
    /// Those who wait for news.
    wakers: Slab<Option<Waker>>,
}

impl Presence {
    /// Nobody so far, on a node of this name.
    pub(crate) fn new(
        tail: watch::Receiver<Position>,
        clock: Arc<dyn Clock>,
        name: Option<NodeName>,
        lease: Duration,
    ) -> Self {
        let bulletin = Bulletin::new(clock.now());
        let state = State { roster: Roster::default(), bulletin, cluster: None, wakers: Slab::new() };
        let outbox = Arc::new(Notify::new());
        Self { state: Mutex::new(state), tail, clock, name, lease, outbox, exchange: OnceLock::new() }
    }

    /// The same among others, who are told of everybody here and tell of theirs.
    pub(crate) fn among(mut self, neighbours: &Arc<dyn Neighbours>) -> Arc<Self> {
        let node = neighbours.node();
        let name = self.name.get_or_insert_with(|| node.into()).clone();
        let cluster = Cluster::new(node, name, self.lease);
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).cluster = Some(cluster);
        let presence = Arc::new(self);
        presence.exchange.get_or_init(|| exchange::exchange(&presence, neighbours));
        presence
    }

    /// Takes in somebody with these selectors. They are there as long as the result is.
    pub(crate) fn join(
        self: &Arc<Self>,
        uuid: u128,
        selectors: impl Iterator<Item = Arc<str>>,
        payload: Option<Arc<RawValue>>,
    ) -> Member {
        let subscriber = Arc::new(Subscriber::new(uuid, selectors, payload, self.name.clone()));
        let mut state = self.state();
        let number = state.roster.add(subscriber.clone());
        if let Some(number) = number {
            self.note_own(state, number, &subscriber, true);
        }
        Member { presence: self.clone(), subscriber, number }
    }

    /// What this node is called, if it has a name.
    pub(crate) fn name(&self) -> Option<&NodeName> {
        self.name.as_ref()
    }

    /// The nodes that are known, by name, and whether all who are there are known here. Without others there is this one, if it
    /// has a name.
    pub(crate) fn nodes(&self) -> BTreeMap<NodeName, bool> {
        match &self.state().cluster {
            Some(cluster) => cluster.nodes(Instant::now()),
            None => self.name.iter().map(|name| (name.clone(), true)).collect(),
        }
    }

    /// The numbers of those who are subscribed to `selector`, or of all, for [`subscribers`](Self::subscribers).
    pub(crate) fn numbers(&self, selector: Option<&str>) -> Vec<u32> {
        self.state().roster.numbers(selector)
    }

    /// Those of `numbers` who are still there.
    pub(crate) fn subscribers(&self, numbers: &[u32]) -> Vec<Arc<Subscriber>> {
        let state = self.state();
        numbers.iter().filter_map(|number| state.roster.get(*number).cloned()).collect()
    }

    /// The subscriber of this name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Subscriber>> {
        self.state().roster.named(name).cloned()
    }

    /// From where to go on for whoever reads the list now: after the last event of the log and the last news. `None` if
    /// there was neither.
    pub(crate) fn cursor(&self) -> Option<NewsCursor> {
        let state = self.state();
        self.cursor_before(&state, state.bulletin.latest())
    }

    /// The same for whoever may go on at another node, which knows of the time alone: it tells the time of now, not that of
    /// the last news.
    pub(crate) fn cursor_now(&self) -> Option<NewsCursor> {
        let mut state = self.state();
        if state.cluster.is_some() {
            state.bulletin.pass(self.clock.now());
        }
        self.cursor_before(&state, state.bulletin.next())
    }

    fn cursor_before(&self, state: &State, number: u64) -> Option<NewsCursor> {
        let position = *self.tail.borrow();
        let has_any = position.offset > 0 || !state.bulletin.is_empty();
        has_any.then(|| state.cursor(position, number.saturating_sub(1)))
    }

    /// The next message for other nodes, of at most so many bytes, and to which if not to all of them.
    fn next_message(&self, is_beat: bool, bytes_max: usize) -> Option<(Option<NodeId>, Vec<u8>)> {
        let State { cluster, roster, .. } = &mut *self.state();
        let cluster = cluster.as_mut()?;
        if is_beat {
            cluster.beat();
        }
        cluster.fit(bytes_max);
        cluster.next_message(roster, Instant::now(), self.clock.now())
    }

    /// Takes in a message of another node.
    fn receive(&self, message: &[u8]) -> Result<(), Unreadable> {
        let message = Message::decode(message)?;
        let mut state = self.state();
        let State { cluster, roster, .. } = &mut *state;
        let Some(cluster) = cluster else { return Ok(()) };
        let notes = cluster.receive(message, roster, Instant::now(), self.clock.now())?;
        self.note(state, notes);
        Ok(())
    }

    /// Takes out those whose node is not heard any more. True if that is not all of them.
    fn sweep(&self, is_connected: bool) -> bool {
        let mut state = self.state();
        let State { cluster, roster, .. } = &mut *state;
        let Some(cluster) = cluster else { return false };
        let (notes, is_more) = cluster.sweep(is_connected, roster, Instant::now(), self.clock.now());
        self.note(state, notes);
        is_more
    }

    /// Adds that somebody came or went here, and has the others told.
    fn note_own(&self, mut state: MutexGuard<'_, State>, number: u32, subscriber: &Arc<Subscriber>, active: bool) {
        if let Some(cluster) = &mut state.cluster {
            cluster.note(number, subscriber, active);
            self.outbox.notify_one();
        }
        self.note(state, vec![(subscriber.clone(), active)]);
    }

    /// Adds news, and wakes those who wait for it.
    ///
    /// The tail is looked at with the state in hand: so whoever has an event past it, and looks for news then, finds this.
    fn note(&self, mut state: MutexGuard<'_, State>, notes: Notes) {
        if notes.is_empty() {
            return;
        }
        let (tail, now) = (*self.tail.borrow(), self.clock.now());
        for (subscriber, active) in notes {
            state.bulletin.add(subscriber, active, tail, now);
        }
        let wakers: Vec<Waker> = state.wakers.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn cursor(&self, position: Position, number: u64) -> NewsCursor {
        NewsCursor { position, number, node: self.cluster.as_ref().map(|cluster| cluster.node) }
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

/// Somebody who is subscribed, for as long as this is held.
pub(crate) struct Member {
    presence: Arc<Presence>,
    subscriber: Arc<Subscriber>,
    /// Where they are listed.
    number: Option<u32>,
}

impl Drop for Member {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.presence.state();
        state.roster.remove(number);
        self.presence.note_own(state, number, &self.subscriber, false);
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.subscriber.name()).finish()
    }
}

/// A cursor into both orders: the log's and the news'. It is the id of a subscription event: the position of the last event
/// of the log before it on the same stream, its own number, and the node that gave it, if there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewsCursor {
    pub(crate) position: Position,
    pub(crate) number: u64,
    pub(crate) node: Option<NodeId>,
}

impl NewsCursor {
    /// Reads one as it is printed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (position, rest) = text.rsplit_once("-s")?;
        let (number, node) = match rest.split_once("-n") {
            Some((number, node)) => (number, Some(node.parse().ok()?)),
            None => (rest, None),
        };
        let is_canonical = !number.is_empty()
            && number.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
            && (number == "0" || !number.starts_with('0'));
        let number = is_canonical.then(|| u64::from_str_radix(number, 16).ok())??;
        Some(Self { position: position.parse().ok()?, number, node })
    }
}

impl fmt::Display for NewsCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-s{:x}", self.position, self.number)?;
        self.node.map_or(Ok(()), |node| write!(f, "-n{node}"))
    }
}
