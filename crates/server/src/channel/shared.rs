//! What all of a channel's handles and subscribers share.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fanfare_log::{Epoch, Log, MemoryLog, Retention, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::channel::audience::{Phase, Seats};
use crate::limits::{TICK_MAX, TICK_MIN};

/// The parts of a channel.
pub(crate) struct Shared {
    pub(crate) log: MemoryLog,
    pub(crate) clock: Clock,
    /// In milliseconds.
    pub(crate) keep_alive: u64,
    pub(crate) tick: Duration,
    seats: Mutex<Seats>,
    /// Rung when something was published, or the channel ends.
    pub(crate) bell: Notify,
    /// Rung when a topic has got its first subscriber or lost its last.
    changed: Notify,
    /// No more events are taken.
    pub(crate) closing: watch::Sender<bool>,
    /// What streams end with.
    pub(crate) farewell: OnceLock<Bytes>,
    random: Mutex<fastrand::Rng>,
}

impl Shared {
    pub(crate) fn new(retention: Retention, keep_alive: Duration, random: fastrand::Rng) -> Self {
        let clock = Clock::start();
        let log = MemoryLog::new(Epoch(clock.epoch), retention);
        let seats = Mutex::new(Seats::new(log.span().tail));
        Self {
            log,
            clock,
            keep_alive: if keep_alive.is_zero() { u64::MAX } else { milliseconds(keep_alive) },
            tick: if keep_alive.is_zero() { TICK_MAX } else { (keep_alive / 8).clamp(TICK_MIN, TICK_MAX) },
            seats,
            bell: Notify::new(),
            changed: Notify::new(),
            closing: watch::Sender::new(false),
            farewell: OnceLock::new(),
            random: Mutex::new(random),
        }
    }

    pub(crate) fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes over what is new, and wakes those for whom it is.
    pub(crate) fn spread(&self) {
        let wakers = self.seats().spread(&self.log);
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// Tells those who wait for somebody to come or go.
    pub(crate) fn tell_change(&self) {
        self.changed.notify_waiters();
    }

    pub(crate) fn leave(&self, number: usize) {
        if self.seats().leave(number) {
            self.changed.notify_waiters();
        }
    }

    /// Waits until `is_so`, which the first subscriber of a topic or the leaving of the last can bring about.
    pub(crate) async fn until_changed(&self, is_so: impl Fn(&Seats) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so(&self.seats()) {
                return;
            }
            changed.await;
        }
    }

    /// Takes no more events, and ends the streams, spread over `window`.
    pub(crate) fn end(&self, phase: Phase, window: Duration) {
        self.closing.send_replace(true);
        // What was taken before is spread before anybody leaves.
        self.spread();
        {
            let mut seats = self.seats();
            if seats.phase != Phase::Stopping {
                seats.phase = phase;
            }
            let now = self.clock.milliseconds();
            for (_, seat) in &mut seats.table {
                seat.leaves_at = seat.leaves_at.min(now + milliseconds(window.mul_f64(self.random())));
            }
        }
        self.bell.notify_one();
    }

    /// A number from 0 to 1.
    pub(crate) fn random(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("log", &self.log).field("seats", &self.seats()).finish_non_exhaustive()
    }
}

/// The time since the channel began, by tokio's clock, which tests can pause.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// When that was, in milliseconds since 1970.
    epoch: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the one look at the time of day: it names the channel's epoch")]
    fn start() -> Self {
        let epoch = milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        Self { start: Instant::now(), epoch }
    }

    pub(crate) fn milliseconds(&self) -> u64 {
        milliseconds(self.start.elapsed())
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp(self.epoch + self.milliseconds())
    }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
