//! What a shard counted since it last told the hub's counters, which all threads share.

use crate::figures::Counters;

#[derive(Debug, Default)]
pub(super) struct Tally {
    events: u64,
    bytes: u64,
    /// How many are behind, and what the counters know of that.
    behind: i64,
    behind_told: i64,
}

impl Tally {
    pub(super) fn add(&mut self, (events, bytes): (u64, u64)) {
        self.events += events;
        self.bytes += bytes;
    }

    pub(super) fn fell_behind(&mut self) {
        self.behind += 1;
    }

    /// Somebody who was behind is so no more, or has left.
    pub(super) fn caught_up(&mut self) {
        self.behind -= 1;
    }

    pub(super) fn count(&mut self, counters: &Counters) {
        if self.events > 0 {
            counters.delivered.inc_by(self.events);
            counters.delivered_bytes.inc_by(self.bytes);
            (self.events, self.bytes) = (0, 0);
        }
        if self.behind != self.behind_told {
            counters.add_slow(self.behind - self.behind_told);
            self.behind_told = self.behind;
        }
    }

    /// Nobody is left.
    pub(super) fn end(&mut self, counters: &Counters) {
        self.behind = 0;
        self.count(counters);
    }
}
