//! One subscriber's row in the table.

use std::sync::{Arc, OnceLock};
use std::task::Waker;

use fanfare_log::{Position, Record};
use tokio::task::AbortHandle;

use crate::subscription::Subscription;

/// One subscriber.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) subscription: Subscription,
    /// Its group, and its place among the members.
    pub(super) group: u32,
    pub(super) place: u32,
    /// It was sent what is for it up to here. While it waits that is so up to where the news is told, too: nobody comes
    /// by to say so.
    pub(crate) cursor: Position,
    /// Whom to wake, while it waits.
    pub(crate) waker: Option<Waker>,
    pub(super) is_woken: bool,
    /// When something was sent last.
    pub(crate) sent_at: u32,
    /// When it was woken, or took something to send, last. It is stuck if it does not come for more.
    pub(crate) busy_since: u32,
    /// When its stream ends: once the hub is stopping, or because its token ends.
    pub(crate) leaves_at: u32,
    /// When its token ends, and nothing may be sent any more.
    pub(crate) expires_at: u32,
    /// Its stream was ended by the hub, in the middle.
    pub(crate) is_cut_off: bool,
    /// Ends its stream. Absent where the socket's own time-out does.
    pub(crate) task: Option<Arc<OnceLock<AbortHandle>>>,
}

/// The time, how far the news is told, and how long things may take.
pub(super) struct Times {
    pub(super) now: u32,
    pub(super) told: Position,
    pub(super) heartbeat: u32,
    pub(super) send_timeout: u32,
}

impl Seat {
    /// Something is sent, and it comes for more when that is on its way.
    pub(crate) fn sends_at(&mut self, now: u32) {
        (self.sent_at, self.busy_since) = (now, now);
    }

    /// Up to where it was sent what is for it, if the news is told up to `told`.
    pub(super) fn cursor(&self, told: Position) -> Position {
        if self.waker.is_some() { self.cursor.max(told) } else { self.cursor }
    }

    /// It waits no longer: what is told from now on counts no more for it.
    pub(super) fn come(&mut self, told: Position) {
        self.cursor = self.cursor(told);
        self.waker = None;
    }

    /// Whether there is something that it was not sent, if the news is told up to `told`.
    pub(super) fn is_behind(&self, told: Position) -> bool {
        self.cursor(told) < told
    }

    /// Wakes the subscriber if it waits.
    pub(super) fn wake(&mut self, times: &Times) -> Option<Waker> {
        let waker = self.waker.clone()?;
        self.come(times.told);
        self.busy_since = times.now;
        self.is_woken = true;
        Some(waker)
    }

    /// Wakes the subscriber if it waits and any of the records, which its group wants, is for it.
    pub(super) fn hear<'a>(
        &mut self,
        mut records: impl Iterator<Item = &'a Arc<Record>>,
        times: &Times,
    ) -> Option<Waker> {
        self.waker.as_ref()?;
        let is_for_it =
            |record: &Arc<Record>| record.position > self.cursor && self.subscription.grant().may_see(&**record);
        if records.any(is_for_it) { self.wake(times) } else { None }
    }

    /// Wakes the subscriber if it is due, and ends it if it is stuck, or took too long for its token.
    pub(super) fn tick(&mut self, times: &Times) -> Option<Waker> {
        let Times { now, heartbeat, send_timeout, .. } = *times;
        if self.waker.is_some() {
            return if now - self.sent_at >= heartbeat || now >= self.leaves_at { self.wake(times) } else { None };
        }
        let is_stuck = now - self.busy_since > send_timeout;
        if (is_stuck || now >= self.expires_at)
            && let Some(task) = self.task.as_ref().and_then(|task| task.get())
        {
            tracing::debug!(is_stuck, "a subscriber whose window stays shut, or whose token has ended, is cut off");
            self.is_cut_off = true;
            task.abort();
        }
        None
    }
}
