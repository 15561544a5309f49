//! What the thread that reads and the thread that publishes tell each other, and both are told from outside.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::tally::Window;

/// The state of a run.
#[derive(Debug)]
pub(super) struct Shared {
    origin: Instant,
    stop: AtomicBool,
    published: AtomicU64,
    delivered: AtomicU64,
    /// With so many deliveries the publisher may go on; `u64::MAX` if it does not wait.
    resume_at: AtomicU64,
    /// [`Window`], in two halves: the start is written first and read last.
    window_start_ns: AtomicU64,
    window_first: AtomicU64,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            origin: Instant::now(),
            stop: AtomicBool::new(false),
            published: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            resume_at: AtomicU64::new(u64::MAX),
            window_start_ns: AtomicU64::new(u64::MAX),
            window_first: AtomicU64::new(u64::MAX),
        }
    }

    /// Nanoseconds since the run began.
    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Asks for the end. Returns whether that was asked before.
    pub(super) fn stop(&self) -> bool {
        self.stop.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn set_published(&self, events: u64) {
        self.published.store(events, Ordering::Relaxed);
    }

    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self, window: Window) {
        self.window_start_ns.store(window.start_ns, Ordering::Relaxed);
        self.window_first.store(window.first, Ordering::Release);
    }

    /// What is measured, once that has begun.
    pub(super) fn window(&self) -> Option<Window> {
        let first = self.window_first.load(Ordering::Acquire);
        (first != u64::MAX).then(|| Window { first, start_ns: self.window_start_ns.load(Ordering::Relaxed) })
    }

    /// Says how many deliveries there were. Returns whether the publisher waits for no more than that.
    pub(super) fn set_delivered(&self, deliveries: u64) -> bool {
        self.delivered.store(deliveries, Ordering::SeqCst);
        deliveries >= self.resume_at.load(Ordering::SeqCst)
    }

    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::SeqCst)
    }

    /// Asks to be woken with so many deliveries. In one total order with their count, so that one side sees the other.
    pub(super) fn set_resume_at(&self, deliveries: u64) {
        self.resume_at.store(deliveries, Ordering::SeqCst);
    }
}
