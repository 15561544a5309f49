//! How long events take from the log to the sockets of those who are live.

use std::time::{Duration, Instant};

/// One measurement: of what one read of the log brought, from its first advance until everybody was visited. While it lasts,
/// no other begins: under load it is a sample, and never more than one reading of the clock a pass.
#[derive(Debug)]
pub(super) struct Probe {
    since: Instant,
    /// Groups for which there is something.
    groups: u32,
    /// Those of them of whom some are still to be visited.
    waiting: u32,
    /// All that was read is in the buffers of its groups.
    is_taken_in: bool,
}

impl Probe {
    pub(super) fn new(since: Instant) -> Self {
        Self { since, groups: 0, waiting: 0, is_taken_in: false }
    }

    /// Whether what is appended to groups belongs to it.
    pub(super) fn is_open(&self) -> bool {
        !self.is_taken_in
    }

    /// There is something for one more group.
    pub(super) fn add(&mut self) {
        self.groups += 1;
        self.waiting += 1;
    }

    /// Everybody of one group was visited.
    pub(super) fn served(&mut self) {
        self.waiting -= 1;
    }

    pub(super) fn close(&mut self) {
        self.is_taken_in = true;
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_taken_in && self.waiting == 0
    }

    /// How long it took. `None` if it was for nobody.
    pub(super) fn duration(&self) -> Option<Duration> {
        (self.groups > 0).then(|| self.since.elapsed())
    }
}
