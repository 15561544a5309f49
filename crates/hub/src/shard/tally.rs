//! What a shard delivered since it last told the hub's counters, which all threads share.

use crate::figures::Counters;

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, (events, bytes): (u64, u64)) {
        self.events += events;
        self.bytes += bytes;
    }

    pub(super) fn count(&mut self, counters: &Counters) {
        if self.events > 0 {
            counters.delivered.inc_by(self.events);
            counters.delivered_bytes.inc_by(self.bytes);
            *self = Self::default();
        }
    }
}
