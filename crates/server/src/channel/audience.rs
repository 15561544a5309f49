//! The subscribers of a channel, and who has to be told of what is new.
//!
//! Each holds a [`Seat`]. One that has everything is *live*: it has no position of its own, no timer and no place in a
//! queue. [`Seats::spread`] goes over new records once, and turns those live seats for which there is something into
//! seats that are *behind*: a position, from which the log is read.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use fanfare_log::{Log, Position, ReadBudget, ReadError, Record, Topics};
use slab::Slab;

use crate::channel::interest::Interest;
#[cfg(feature = "listener")]
use crate::channel::socket::Socket;
use crate::limits::{
    CACHED_CHUNKS_MAX, NEWS_EXAMINED_MAX, READ_BYTES_MAX, READ_EXAMINED_MAX, READ_RECORDS_MAX, WRITE_BYTES_MAX,
};

/// All subscribers.
#[derive(Debug)]
pub(crate) struct Seats {
    pub(crate) table: Slab<Seat>,
    /// Equal interests are one, with how many seats have it: whose chunk somebody may have is told by the pointer.
    interests: HashMap<Arc<Interest>, usize>,
    of_topic: HashMap<Arc<str>, BTreeSet<usize>>,
    of_all: BTreeSet<usize>,
    /// How far records were gone over. Live seats have everything up to here.
    pub(crate) spread_to: Position,
    /// What was put together last, for those who stand where somebody else stood.
    cache: VecDeque<Chunk>,
    /// Seats on sockets that are to be visited.
    #[cfg(feature = "listener")]
    pub(crate) visits: VecDeque<usize>,
    pub(crate) phase: Phase,
}

/// Where a channel is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Nothing more is published; whoever has everything leaves.
    Finished,
    /// The same, and nobody new is let in.
    Stopping,
}

/// One subscriber. Times are in milliseconds of the channel's clock.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) interest: Arc<Interest>,
    pub(crate) standing: Standing,
    pub(crate) outlet: Outlet,
    pub(crate) sent_at: u64,
    /// When it leaves, if it has everything by then.
    pub(crate) leaves_at: u64,
}

/// What a seat has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Everything that was spread.
    Live,
    /// Everything up to here; whoever writes to it reads on by itself.
    Behind(Position),
    /// Everything up to here; the herald is about to write to it.
    #[cfg(feature = "listener")]
    Visited(Position),
}

/// Where a subscriber's events go.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// A body that somebody polls, and whom to wake while it waits.
    Body(Option<Waker>),
    /// A socket of the channel's own.
    #[cfg(feature = "listener")]
    Socket(Arc<Socket>),
}

/// Events in one piece, for those of one interest who stand at one position.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    from: Position,
    pub(crate) end: Position,
    interest: Arc<Interest>,
    /// Empty if none of the records between is for that interest.
    pub(crate) events: Bytes,
    /// The same as a chunk of HTTP/1.1.
    #[cfg(feature = "listener")]
    pub(crate) framed: Bytes,
}

impl Seats {
    pub(crate) fn new(tail: Position) -> Self {
        Self {
            table: Slab::new(),
            interests: HashMap::new(),
            of_topic: HashMap::new(),
            of_all: BTreeSet::new(),
            spread_to: tail,
            cache: VecDeque::new(),
            #[cfg(feature = "listener")]
            visits: VecDeque::new(),
            phase: Phase::Running,
        }
    }

    pub(crate) fn sit(&mut self, mut seat: Seat) -> usize {
        if let Some((interest, _)) = self.interests.get_key_value(&seat.interest) {
            seat.interest = Arc::clone(interest);
        }
        let interest = Arc::clone(&seat.interest);
        *self.interests.entry(Arc::clone(&interest)).or_default() += 1;
        let number = self.table.insert(seat);
        match &*interest {
            Interest::All => {
                self.of_all.insert(number);
            }
            Interest::Some(set) => {
                for topic in set.iter() {
                    self.of_topic.entry(Arc::clone(topic)).or_default().insert(number);
                }
            }
        }
        number
    }

    /// Gives up a seat. Says whether somebody's topic has no subscriber left, or nobody is there at all.
    pub(crate) fn leave(&mut self, number: usize) -> bool {
        let Some(seat) = self.table.try_remove(number) else { return false };
        self.of_all.remove(&number);
        if let Some(count) = self.interests.get_mut(&seat.interest) {
            *count -= 1;
            if *count == 0 {
                self.interests.remove(&seat.interest);
            }
        }
        let mut is_last = self.table.is_empty();
        for topic in seat.interest.names() {
            if let Some(numbers) = self.of_topic.get_mut(topic) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.of_topic.remove(topic);
                    is_last = true;
                }
            }
        }
        is_last
    }

    /// How many are subscribed to `topic` by name.
    pub(crate) fn of_topic(&self, topic: &str) -> usize {
        self.of_topic.get(topic).map_or(0, BTreeSet::len)
    }

    /// Goes over what is new in `log`, and says whom to wake.
    pub(crate) fn spread(&mut self, log: &dyn Log) -> Vec<Waker> {
        let mut wakers = Vec::new();
        loop {
            let from = self.spread_to;
            match log.read(from, Topics::All, NEWS_BUDGET) {
                Ok(batch) if batch.end > from => {
                    self.spread_to = batch.end;
                    let concerned = self.concerned(&batch.records);
                    wakers.extend(concerned.into_iter().filter_map(|number| self.falls_behind(number, from)));
                }
                Ok(_) => return wakers,
                // More was published at once than is kept: everybody finds out what that means for it.
                Err(error) => {
                    self.spread_to =
                        if matches!(error, ReadError::Expired) { log.span().start.max(from) } else { log.span().tail };
                    let all: Vec<usize> = self.table.iter().map(|(number, _)| number).collect();
                    wakers.extend(all.into_iter().filter_map(|number| self.falls_behind(number, from)));
                }
            }
        }
    }

    /// The seats for which there is something among `records`.
    fn concerned(&self, records: &[Arc<Record>]) -> Vec<usize> {
        let mut topics: Vec<&Arc<str>> = records.iter().flat_map(|record| record.topics.iter()).collect();
        topics.sort_unstable();
        topics.dedup();
        let mut concerned: Vec<usize> = self.of_all.iter().copied().collect();
        concerned.extend(topics.into_iter().filter_map(|topic| self.of_topic.get(topic)).flatten());
        // Each list is sorted, which the sort makes use of.
        concerned.sort();
        concerned.dedup();
        concerned
    }

    fn falls_behind(&mut self, number: usize, from: Position) -> Option<Waker> {
        let seat = self.table.get_mut(number).filter(|seat| seat.standing == Standing::Live)?;
        match &mut seat.outlet {
            Outlet::Body(waker) => {
                seat.standing = Standing::Behind(from);
                waker.take()
            }
            #[cfg(feature = "listener")]
            Outlet::Socket(_) => {
                seat.standing = Standing::Visited(from);
                self.visits.push_back(number);
                None
            }
        }
    }

    /// What a subscriber of `interest` who has everything up to `from` gets next, of what was spread.
    pub(crate) fn chunk(
        &mut self,
        log: &dyn Log,
        interest: &Arc<Interest>,
        from: Position,
    ) -> Result<Chunk, ReadError> {
        let is_wanted = |chunk: &&Chunk| chunk.from == from && Arc::ptr_eq(&chunk.interest, interest);
        if let Some(chunk) = self.cache.iter().find(is_wanted) {
            // It may be older than what came since; the rest follows.
            return Ok(chunk.clone());
        }
        let mut batch = log.read(from, interest.topics(), READ_BUDGET)?;
        // What was not gone over yet will be news to it.
        batch.records.retain(|record| record.position <= self.spread_to);
        let events = join(batch.records.iter().map(|record| &record.frame));
        let chunk = Chunk {
            from,
            end: batch.end.min(self.spread_to),
            interest: Arc::clone(interest),
            #[cfg(feature = "listener")]
            framed: crate::chunked::encode(&events),
            events,
        };
        // One that leads nowhere is not for whoever asks when there is more.
        if chunk.end > from {
            if self.cache.len() == CACHED_CHUNKS_MAX {
                self.cache.pop_front();
            }
            self.cache.push_back(chunk.clone());
        }
        Ok(chunk)
    }

    /// Forgets what was put together, so that an idle channel holds none of it.
    pub(crate) fn forget(&mut self) {
        self.cache.clear();
    }
}

/// Frames in one piece. A single one is shared, not copied.
fn join<'a>(frames: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let mut two = frames.clone();
    match (two.next(), two.next()) {
        (None, _) => return Bytes::new(),
        (Some(one), None) => return one.clone(),
        _ => {}
    }
    let mut joined = Vec::with_capacity(frames.clone().map(Bytes::len).sum());
    frames.for_each(|frame| joined.extend_from_slice(frame));
    joined.into()
}

/// What is gone over at once, and what a subscriber gets at once.
const NEWS_BUDGET: ReadBudget =
    ReadBudget { records: NEWS_EXAMINED_MAX, bytes: READ_BYTES_MAX, examined: NEWS_EXAMINED_MAX };
const READ_BUDGET: ReadBudget =
    ReadBudget { records: READ_RECORDS_MAX, bytes: WRITE_BYTES_MAX, examined: READ_EXAMINED_MAX };
