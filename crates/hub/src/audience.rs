//! The subscribers of the general path, and who wakes them.
//!
//! Each holds a [`Seat`]. One task, the [`herald`], reads what is new in the log, once for all of them, and wakes those for
//! whom there is something; it also keeps their time. So a subscriber that waits is a row in a table: it has no timer
//! and no place in a channel, and an event that is not for it costs it nothing. The index of the [`Groups`] says whom an
//! event may be for; everybody else who waits has all that was told without being looked at.

mod groups;
mod news;
mod seat;

mod herald;
mod revoker;

#[cfg(test)]
mod tests;

pub(crate) use herald::herald;
pub(crate) use news::{News, join};
pub(crate) use revoker::revoker;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use fanfare_log::{Position, Record};
use slab::Slab;
use tokio::task::AbortHandle;

use crate::audience::groups::Groups;
use crate::audience::seat::{Seat, Times};
use crate::limits::{AUDIENCE_CALLS_MAX, AUDIENCE_SLICE, SEND_TIMEOUT, SLICE_TEMPLATES_MAX};
use crate::settings::Settings;
use crate::shard::{tick, ticks};
use crate::shared::{Phase, Shared};
use crate::subscription::Subscription;

/// No tick.
const NEVER: u32 = u32::MAX;

tokio::task_local! {
    /// Ends the task that serves one stream, for streams that have a task of their own.
    pub(crate) static TASK: Arc<OnceLock<AbortHandle>>;
}

/// The table of seats.
#[derive(Debug)]
pub(crate) struct Audience(Mutex<Seats>);

/// What the table holds. Times are in ticks.
#[derive(Debug)]
pub(crate) struct Seats {
    pub(crate) table: Slab<Seat>,
    groups: Groups,
    /// How far the herald has read. Whoever is not so far reads for itself.
    pub(crate) heralded: Position,
    /// Up to here everybody who waits was woken for whatever is for it. Behind `heralded` while the herald does that.
    told: Position,
    /// What it read last.
    pub(crate) news: Option<Arc<News>>,
    pub(crate) now: u32,
    /// How many were woken and have not come yet.
    woken: usize,
    /// How many are looked at in one go.
    slice: usize,
    tick: Duration,
    heartbeat: u32,
    send_timeout: u32,
}

impl Audience {
    pub(crate) fn new(tail: Position, settings: &Settings) -> Self {
        let tick = tick(settings);
        Self(Mutex::new(Seats {
            table: Slab::new(),
            groups: Groups::default(),
            heralded: tail,
            told: tail,
            news: None,
            now: 0,
            woken: 0,
            slice: AUDIENCE_SLICE,
            tick,
            heartbeat: ticks(settings.heartbeat, tick),
            send_timeout: ticks(SEND_TIMEOUT, tick),
        }))
    }

    pub(crate) fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat for a subscription that was sent what is for it up to `cursor`.
    pub(crate) fn sit(&self, hub: &Shared, subscription: Subscription, cursor: Position) -> usize {
        let task = TASK.try_with(Arc::clone).ok();
        let mut seats = self.seats();
        // With the table in hand: the herald looks at the phase first and then comes here, so that one of both sees that
        // the hub stops.
        let stay = stay(hub, *hub.phase.borrow(), seats.tick);
        let now = seats.now;
        let grows_old_at = hub.age().map_or(NEVER, |age| now.saturating_add(ticks(age, seats.tick)));
        let (leaves_at, expires_at) = match subscription.left() {
            None => (NEVER, NEVER),
            // The tick now is the last one that has begun, so that the ticks counted from it are over a little sooner;
            // and the stream ends one tick sooner at least, to end cleanly.
            Some(left) => {
                let expires_at = now.saturating_add(ticks(left, seats.tick));
                let leaves_at = now.saturating_add(ticks(hub.share_of_life(left), seats.tick));
                (leaves_at.min(expires_at.saturating_sub(1)), expires_at)
            }
        };
        let Seats { table, groups, .. } = &mut *seats;
        let entry = table.vacant_entry();
        let number = entry.key();
        let (group, place, selectors) = groups.join(subscription.selectors(), number as u32);
        entry.insert(Seat {
            subscription: subscription.sharing(selectors),
            group,
            place,
            cursor,
            waker: None,
            is_woken: false,
            is_cut_off: false,
            sent_at: now,
            busy_since: now,
            leaves_at: leaves_at.min(now.saturating_add(stay)).min(grows_old_at),
            expires_at,
            task,
        });
        number
    }

    /// Does `visit` for every seat, a slice at a time, and wakes those for whom it gives a waker. Between slices others
    /// come to the table, and to the processor.
    async fn visit(&self, mut visit: impl FnMut(&mut Seat, &Times) -> Option<Waker>) {
        let mut wakers = Vec::new();
        let mut from = 0;
        loop {
            {
                let mut seats = self.seats();
                let (end, times) = (seats.table.capacity(), seats.times());
                if from >= end {
                    return;
                }
                let slice = from..end.min(from + seats.slice);
                from = slice.end;
                wakers.extend(slice.filter_map(|number| visit(seats.table.get_mut(number)?, &times)));
                seats.woken += wakers.len();
            }
            wakers.drain(..).for_each(Waker::wake);
            tokio::task::yield_now().await;
        }
    }
}

/// A group that wants a record, and which one.
type Call = (u32, u32);

impl Audience {
    /// Who wants the first of `records`, by group, and how many records those are.
    async fn find(&self, records: &[Arc<Record>]) -> (Vec<Call>, usize) {
        let (mut calls, mut wanted, mut found) = (Vec::new(), Vec::new(), 0);
        loop {
            {
                let mut seats = self.seats();
                let (mut looks, mut budget) = (seats.slice, SLICE_TEMPLATES_MAX);
                while let Some(record) = records.get(found).filter(|_| looks > 0 && calls.len() < AUDIENCE_CALLS_MAX) {
                    // What is not answered is asked again, and goes on where it was.
                    if !seats.groups.interest.groups(&record.topics, &mut wanted, &mut budget) {
                        break;
                    }
                    calls.extend(wanted.iter().map(|group| (*group, found as u32)));
                    looks = looks.saturating_sub(record.topics.len());
                    found += 1;
                }
            }
            if found == records.len() || calls.len() >= AUDIENCE_CALLS_MAX {
                calls.sort_unstable();
                return (calls, found);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Wakes those members of the groups who wait and may see a record that is theirs, a slice at a time. Returns whether
    /// there was one.
    ///
    /// Each group is gone through from the last to the first: the last takes the place of one that leaves meanwhile, so
    /// that whoever was not looked at is always among those that are left. A number that another group has by now costs
    /// its members a look.
    async fn call(&self, calls: &[Call], records: &[Arc<Record>]) -> bool {
        let mut groups = calls.chunk_by(|one, other| one.0 == other.0);
        let mut current = groups.next();
        let (mut until, mut wakers, mut wakes) = (usize::MAX, Vec::new(), false);
        while current.is_some() {
            {
                let mut seats = self.seats();
                let (mut looks, times) = (seats.slice, seats.times());
                let Seats { table, groups: held, woken, .. } = &mut *seats;
                while let Some(calls) = current.filter(|_| looks > 0) {
                    looks -= 1;
                    let Some((place, number)) = calls.first().and_then(|call| held.last_of(call.0, until)) else {
                        (current, until) = (groups.next(), usize::MAX);
                        continue;
                    };
                    until = place;
                    let wanted = calls.iter().filter_map(|call| records.get(call.1 as usize));
                    let wanted = wanted.inspect(|_| looks = looks.saturating_sub(1));
                    wakers.extend(table.get_mut(number as usize).and_then(|seat| seat.hear(wanted, &times)));
                }
                *woken += wakers.len();
                wakes |= !wakers.is_empty();
            }
            wakers.drain(..).for_each(Waker::wake);
            if current.is_some() {
                tokio::task::yield_now().await;
            }
        }
        wakes
    }

    /// Waits until those who were woken have taken what there is. Whatever is published meanwhile goes out together
    /// after that, where a look at once would wake everybody for each event alone: at saturation a third of the cost.
    /// It is bounded, since one whose window is shut does not come.
    async fn wait_for_woken(&self) {
        let mut turns = self.seats().woken / TASKS_A_TURN + 1;
        while turns > 0 && self.seats().woken > 0 {
            turns -= 1;
            tokio::task::yield_now().await;
        }
    }
}

/// Tasks that tokio surely runs before one that yielded comes again: it does so each 61, on each of its threads.
const TASKS_A_TURN: usize = 32;

impl Seats {
    /// The seat of a subscriber that comes to look.
    pub(crate) fn come(&mut self, number: usize) -> Option<&mut Seat> {
        let seat = self.table.get_mut(number)?;
        seat.come(self.told);
        self.woken -= usize::from(std::mem::take(&mut seat.is_woken));
        Some(seat)
    }

    /// Gives up a seat. Whoever calls drops what was in it when the table is free again: it may be the last of a
    /// subscription, which others are told of then.
    #[must_use]
    pub(crate) fn leave(&mut self, number: usize) -> Option<Seat> {
        let seat = self.table.try_remove(number)?;
        self.woken -= usize::from(seat.is_woken);
        let moved = self.groups.leave(seat.group, seat.place);
        if let Some(moved) = moved.and_then(|moved| self.table.get_mut(moved as usize)) {
            moved.place = seat.place;
        }
        Some(seat)
    }

    /// The access of a subscriber, or of one who had its number before it, was revoked: nothing more is sent to it.
    /// Gives whom to wake for that.
    fn revoke(&mut self, number: usize) -> Option<Waker> {
        let times = self.times();
        let seat = self.table.get_mut(number)?;
        seat.subscription.revocation().filter(|revocation| revocation.is_revoked())?;
        (seat.leaves_at, seat.expires_at) = (times.now, times.now);
        let waker = seat.wake(&times)?;
        self.woken += 1;
        Some(waker)
    }

    /// Whether the token of a subscriber has ended.
    pub(crate) fn is_expired(&self, number: usize) -> bool {
        self.table.get(number).is_none_or(|seat| self.now >= seat.expires_at)
    }

    /// Up to where a subscriber was sent what is for it.
    pub(crate) fn cursor(&self, number: usize) -> Option<Position> {
        Some(self.table.get(number)?.cursor(self.told))
    }

    fn times(&self) -> Times {
        Times { now: self.now, told: self.told, heartbeat: self.heartbeat, send_timeout: self.send_timeout }
    }

    /// Whether a subscriber who was sent nothing since then is due a heartbeat.
    pub(crate) fn is_heartbeat_due(&self, sent_at: u32) -> bool {
        self.now - sent_at >= self.heartbeat
    }
}

/// How many ticks a stream may stay open, as things stand.
fn stay(hub: &Shared, phase: Phase, tick: Duration) -> u32 {
    match phase {
        Phase::Running => NEVER,
        // The last tick is kept for what is late.
        Phase::Draining { window, .. } => ticks(hub.share_of(window), tick).saturating_sub(1),
    }
}
