//! What other threads know of a shard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Wake, Waker};

use crate::limits::TICK_TIMEOUT;
use crate::shard::bell::Bell;
use crate::shard::hand_over::HandOver;

/// Tells a shard the time, and to stop.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(super) bell: Arc<Bell>,
    time: Mutex<Time>,
    seen: Condvar,
    finish: AtomicBool,
    stop: AtomicBool,
    /// Connections that come back from hyper with a subscription: at most as many as there are connections.
    returned: Mutex<Vec<HandOver>>,
    /// It has connections for hyper for which there was no room.
    pub(super) has_waiting: AtomicBool,
    /// Connections whose answer can be made now. A waker tells once, and a connection has one.
    woken: Mutex<Vec<u32>>,
    /// Subscribers whose access was revoked. Each says so once.
    revoked: Mutex<Vec<u32>>,
}

/// In ticks.
#[derive(Debug, Default)]
struct Time {
    now: u32,
    seen: u32,
}

impl Remote {
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self {
            bell,
            time: Mutex::default(),
            seen: Condvar::new(),
            finish: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            returned: Mutex::default(),
            has_waiting: AtomicBool::new(false),
            woken: Mutex::default(),
            revoked: Mutex::default(),
        }
    }

    pub(super) fn give(&self, connection: HandOver) {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.bell.ring();
    }

    pub(super) fn returned(&self) -> Vec<HandOver> {
        std::mem::take(&mut self.returned.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn tell_time(&self, now: u32) {
        self.time.lock().unwrap_or_else(PoisonError::into_inner).now = now;
        self.bell.ring();
    }

    /// Waits until the shard has done what was due. Not for ever: one that works on many things is late, not lost.
    pub(super) fn wait_until_seen(&self) {
        let time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        let is_unseen = |time: &mut Time| time.seen < time.now && !self.is_stopped();
        drop(self.seen.wait_timeout_while(time, TICK_TIMEOUT, is_unseen));
    }

    /// The time, if the shard has not seen it.
    pub(super) fn new_time(&self) -> Option<u32> {
        let time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        (time.seen < time.now).then_some(time.now)
    }

    pub(super) fn has_seen(&self, now: u32) {
        self.time.lock().unwrap_or_else(PoisonError::into_inner).seen = now;
        self.seen.notify_all();
    }

    /// Has it end when no request is under way any more.
    pub(super) fn finish(&self) {
        self.finish.store(true, Ordering::Release);
        self.bell.ring();
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.finish.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.seen.notify_all();
        self.bell.ring();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// What an answer that a connection waits for wakes.
    pub(super) fn waker(self: &Arc<Self>, number: u32) -> Waker {
        Arc::new(Wakeup { remote: self.clone(), number, is_told: AtomicBool::new(false) }).into()
    }

    /// What the end of a subscriber's access wakes.
    pub(super) fn revoker(self: &Arc<Self>, number: u32) -> Waker {
        Arc::new(Revoker { remote: self.clone(), number }).into()
    }

    /// The subscribers whose access was revoked since the last call, by the numbers that they had then.
    pub(super) fn take_revoked(&self) -> Vec<u32> {
        std::mem::take(&mut *self.revoked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The connections that were woken since the last call.
    pub(super) fn take_woken(&self) -> Vec<u32> {
        std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Wakes one connection of a shard, once.
#[derive(Debug)]
struct Wakeup {
    remote: Arc<Remote>,
    number: u32,
    is_told: AtomicBool,
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_told.swap(true, Ordering::AcqRel) {
            self.remote.woken.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
            self.remote.bell.ring();
        }
    }
}

/// Tells a shard that the access of one of its subscribers was revoked.
#[derive(Debug)]
struct Revoker {
    remote: Arc<Remote>,
    number: u32,
}

impl Wake for Revoker {
    fn wake(self: Arc<Self>) {
        self.remote.revoked.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
        self.remote.bell.ring();
    }
}
