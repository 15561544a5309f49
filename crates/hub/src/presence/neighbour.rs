//! One of the other hubs, as far as it is known here.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use fanfare_log::Timestamp;
use tokio::time::Instant;

use crate::limits::SWEEP_MAX;
use crate::presence::message::{Change, Here, Message};
use crate::presence::roster::{Roster, Uuid};
use crate::presence::{NodeName, Subscriber};

/// What a neighbour has said of who is there. It numbers its changes, so a hole in what came here is seen at the next word
/// from it, and closed by reading who is there page by page; what is the same already is no news.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) name: NodeName,
    lease: Duration,
    heard: Instant,
    /// Since when it was heard without a pause.
    since: Timestamp,
    /// How far its clock is from ours.
    skew: Duration,
    /// The number of its last change that came.
    at: u64,
    reading: Option<Reading>,
    members: BTreeMap<Uuid, u32>,
    /// It has not said of all who are there.
    is_partial: bool,
    /// There was no room for all.
    is_crowded: bool,
    /// Its lease is over.
    is_gone: bool,
}

/// How far its pages were read.
#[derive(Debug)]
struct Reading {
    after: Option<Uuid>,
    asked: Option<Instant>,
    /// A page of a later change than the last one that came: those between are on their way.
    waiting: Option<Page>,
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) at: u64,
    pub(super) after: Option<Uuid>,
    pub(super) until: Option<Uuid>,
    pub(super) members: Vec<Here<'static>>,
}

/// Where what neighbours say is taken in.
#[derive(Debug)]
pub(super) struct Intake<'a> {
    pub(super) roster: &'a mut Roster,
    /// What is held of all neighbours, and how much that may be, in bytes.
    pub(super) held_bytes: &'a mut usize,
    pub(super) held_bytes_max: usize,
    /// Who came and went.
    pub(super) notes: Vec<(Arc<Subscriber>, bool)>,
}

impl Neighbour {
    /// One that was heard for the first time.
    pub(super) fn new(message: &Message<'_>, now: Instant, time: Timestamp) -> Self {
        Self {
            name: message.name.clone(),
            lease: message.lease(),
            heard: now,
            since: time,
            skew: Duration::ZERO,
            at: 0,
            reading: Some(Reading::NEW),
            members: BTreeMap::new(),
            is_partial: false,
            is_crowded: false,
            is_gone: false,
        }
    }

    /// Notes that it lives.
    pub(super) fn hear(&mut self, message: &Message<'_>, now: Instant, time: Timestamp) {
        if self.is_gone {
            (self.is_gone, self.reading) = (false, Some(Reading::NEW));
        }
        if now.duration_since(self.heard) > self.lease {
            self.since = time;
        }
        self.skew = Duration::from_millis(message.time().0.abs_diff(time.0));
        (self.heard, self.lease, self.is_partial) = (now, message.lease(), message.partial);
    }

    /// Gives it time to be heard, after nobody was.
    pub(super) fn forgive(&mut self, now: Instant, time: Timestamp) {
        (self.heard, self.since) = (now, time);
    }

    /// Takes in changes that came after so many others.
    pub(super) fn change(&mut self, after: u64, changes: Vec<Change<'_>>, intake: &mut Intake<'_>) {
        if after < self.at {
            // What is known.
            return;
        }
        if after > self.at {
            self.reading = Some(Reading::NEW);
        }
        self.at = after.saturating_add(changes.len() as u64);
        for change in changes {
            match change {
                Change::Joined(here) => self.join(here, intake),
                Change::Left(name) => self.leave(name, intake),
            }
        }
        if let Some(page) = self.reading.as_mut().and_then(|reading| reading.waiting.take()) {
            self.read(page, intake);
        }
    }

    /// Takes in a page that was asked for: who is on it is there, and nobody else whose name is between its ends.
    pub(super) fn read(&mut self, page: Page, intake: &mut Intake<'_>) {
        let Some(reading) = self.reading.as_mut().filter(|reading| reading.after == page.after) else { return };
        if page.at > self.at {
            reading.waiting = Some(page);
            return;
        }
        // What has changed since would be undone.
        reading.asked = None;
        if page.at < self.at {
            return;
        }
        match page.until {
            Some(until) => reading.after = Some(until),
            None => self.reading = None,
        }
        let is_on_page = |name: &Uuid| page.members.binary_search_by_key(name, |here| here.name).is_ok();
        let from = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let to = page.until.map_or(Bound::Unbounded, Bound::Included);
        let left = self.members.range((from, to)).map(|(name, _)| *name).filter(|name| !is_on_page(name));
        left.collect::<Vec<_>>().into_iter().for_each(|name| self.leave(name, intake));
        page.members.into_iter().for_each(|here| self.join(here, intake));
    }

    fn join(&mut self, here: Here<'_>, intake: &mut Intake<'_>) {
        if self.members.contains_key(&here.name) {
            return;
        }
        let subscriber = Arc::new(here.on(self.name.clone()));
        if *intake.held_bytes + subscriber.bytes() > intake.held_bytes_max {
            self.is_crowded = true;
            return;
        }
        // There is somebody of this name elsewhere, over whom this node has no say.
        let Some(number) = intake.roster.add(subscriber.clone()) else { return };
        *intake.held_bytes += subscriber.bytes();
        self.members.insert(subscriber.uuid(), number);
        intake.notes.push((subscriber, true));
    }

    fn leave(&mut self, name: Uuid, intake: &mut Intake<'_>) {
        let Some(number) = self.members.remove(&name) else { return };
        let Some(subscriber) = intake.roster.remove(number) else { return };
        *intake.held_bytes -= subscriber.bytes();
        intake.notes.push((subscriber, false));
    }

    /// Takes out some of those who were there, if its lease is over: in a cluster that is cut in two, of which this node can't
    /// say who is on which side, only after `patience` leases. True once nothing is left of it.
    pub(super) fn sweep(&mut self, now: Instant, patience: u32, intake: &mut Intake<'_>) -> bool {
        self.is_gone |= now.duration_since(self.heard) > self.lease * patience;
        if !self.is_gone {
            return false;
        }
        let some: Vec<Uuid> = self.members.keys().take(SWEEP_MAX).copied().collect();
        some.into_iter().for_each(|name| self.leave(name, intake));
        self.members.is_empty()
    }

    /// Whether its lease is over and somebody of it is left.
    pub(super) fn is_going(&self) -> bool {
        self.is_gone && !self.members.is_empty()
    }

    /// Reads all of it again, now that there is room.
    pub(super) fn retry(&mut self) {
        if std::mem::take(&mut self.is_crowded) {
            self.reading = Some(Reading::NEW);
        }
    }

    /// What to ask it for, if that is not under way.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Option<Uuid>> {
        let patience = self.lease / ASKS_A_LEASE;
        let reading = self.reading.as_mut().filter(|_| !self.is_gone)?;
        if reading.asked.is_some_and(|asked| now.duration_since(asked) < patience) {
            return None;
        }
        reading.asked = Some(now);
        Some(reading.after)
    }

    /// Whether all who are there are known here.
    pub(super) fn is_whole(&self, now: Instant) -> bool {
        let is_heard = now.duration_since(self.heard) <= self.lease;
        self.reading.is_none() && !self.is_partial && !self.is_crowded && !self.is_gone && is_heard
    }

    /// Since when it was heard without a pause.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// By how much what it knows may be younger than what is known here, or older.
    pub(super) fn lag(&self) -> Duration {
        self.lease * 2 + self.skew
    }
}

impl Reading {
    const NEW: Self = Self { after: None, asked: None, waiting: None };
}

/// How often in a lease it is asked anew for a page that does not come.
const ASKS_A_LEASE: u32 = 3;
