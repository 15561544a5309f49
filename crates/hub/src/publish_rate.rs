//! How many events somebody may publish.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{RATE_BUCKETS_MAX, RATE_SWEEP_INTERVAL};
use crate::party::Party;

/// A bucket for each party, with a second's worth of events in it when it is full.
///
/// The generic cell rate algorithm: of each bucket only the time is kept at which it will be full again. A batch is let
/// in whole as long as the bucket is not empty, and what it takes beyond that has to come back first: so a batch may be
/// larger than a bucket, and over any time no more is published than the rate allows, but for one bucket and one batch.
#[derive(Debug)]
pub(crate) struct PublishRate {
    /// The time that one event takes.
    interval: Duration,
    burst: Duration,
    start: Instant,
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    /// When each is full again, since the start. One that is full is as none.
    full_at: HashMap<Party, Duration>,
    /// When it is looked for those that are full, at the earliest.
    sweep_at: Duration,
}

impl PublishRate {
    /// Lets each party publish so many events a second.
    pub(crate) fn new(events_per_second: NonZeroU32) -> Self {
        let interval = Duration::from_secs(1) / events_per_second.get();
        let (start, buckets) = (Instant::now(), Mutex::default());
        Self { interval, burst: Duration::from_secs(1).max(interval), start, buckets }
    }

    /// Takes `events` out of the bucket of `party` at `now`, or says when to come back.
    pub(crate) fn take(&self, party: Party, events: usize, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.start);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let party = buckets.admit(party, now);
        let full_at = buckets.full_at.entry(party).or_insert(now);
        // It has an event in it still if less than a burst is missing.
        let empty_until = (*full_at + self.interval).saturating_sub(self.burst);
        if empty_until > now {
            return Err(empty_until - now);
        }
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        *full_at = (*full_at).max(now) + self.interval.saturating_mul(events);
        Ok(())
    }
}

impl Buckets {
    /// Whose bucket `party` is to use: its own, unless there are as many as there may be.
    fn admit(&mut self, party: Party, now: Duration) -> Party {
        if self.full_at.len() < RATE_BUCKETS_MAX || self.full_at.contains_key(&party) {
            return party;
        }
        if now >= self.sweep_at {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_at = now + RATE_SWEEP_INTERVAL;
        }
        // A flood of addresses shares one, and takes nothing from those who were there.
        if self.full_at.len() < RATE_BUCKETS_MAX { party } else { Party::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Party = Party::V4([192, 0, 2, 1]);

    fn rate(events: u32) -> (PublishRate, Instant) {
        let rate = PublishRate::new(NonZeroU32::new(events).unwrap());
        let start = rate.start;
        (rate, start)
    }

    #[test]
    fn a_burst_then_the_rate() {
        let (rate, start) = rate(10);
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        for _ in 0..10 {
            assert_eq!(rate.take(ONE, 1, at(0)), Ok(()));
        }
        assert_eq!(rate.take(ONE, 1, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(rate.take(ONE, 1, at(40)), Err(Duration::from_millis(60)));
        assert_eq!(rate.take(ONE, 1, at(100)), Ok(()));
        assert!(rate.take(ONE, 1, at(100)).is_err());
        assert_eq!(rate.take(Party::V4([192, 0, 2, 2]), 1, at(100)), Ok(()), "another is not concerned");
        for _ in 0..10 {
            assert_eq!(rate.take(ONE, 1, at(60_000)), Ok(()));
        }
        assert!(rate.take(ONE, 1, at(60_000)).is_err(), "what was not used does not add up");
    }

    #[test]
    fn a_batch_larger_than_the_bucket_is_let_in_and_paid_for() {
        let (rate, start) = rate(10);
        assert_eq!(rate.take(ONE, 100, start), Ok(()));
        // 100 events take 10 s, of which a second's worth was there.
        assert_eq!(rate.take(ONE, 1, start), Err(Duration::from_millis(9100)));
        assert_eq!(rate.take(ONE, 1, start + Duration::from_millis(9100)), Ok(()));
    }

    #[test]
    fn rates_below_and_far_above_one_event_a_burst_hold() {
        let (slow, start) = rate(1);
        assert_eq!(slow.take(ONE, 1, start), Ok(()));
        assert_eq!(slow.take(ONE, 1, start), Err(Duration::from_secs(1)));
        let (fast, start) = rate(u32::MAX);
        assert_eq!(fast.take(ONE, usize::MAX, start), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_room_and_nothing_from_others() {
        let (rate, start) = rate(1);
        assert_eq!(rate.take(ONE, 1, start), Ok(()));
        let flood = |from: u32| (from..from + 2 * RATE_BUCKETS_MAX as u32).map(|n| Party::V4(n.to_be_bytes()));
        for party in flood(0) {
            let _ = rate.take(party, 1, start);
        }
        let held = || rate.buckets.lock().unwrap().full_at.len();
        assert!(held() <= RATE_BUCKETS_MAX + 1);
        assert!(rate.take(Party::V4([9, 9, 9, 9]), 1, start).is_err(), "those who share one share its limit");
        // Once they are full they are let go of.
        let later = start + Duration::from_secs(60);
        assert_eq!(rate.take(ONE, 1, later), Ok(()));
        assert_eq!(rate.take(Party::V4([9, 9, 9, 9]), 1, later), Ok(()));
        assert!(held() < 10, "{}", held());
    }
}
