//! How much history is kept.

use std::time::Duration;

use crate::Timestamp;

/// Bounds on the history. An event leaves when it is past any of them; none set keeps everything.
///
/// Each is met with a slack: never less is kept than asked, and at most a tenth more, or 64 events, 1 MiB, 10 seconds
/// if that is more. A store that drops whole files needs it, and it keeps a short history from cutting off subscribers
/// who are only a burst behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Events.
    pub count: Option<u64>,
    /// Time since an event was published.
    pub age: Option<Duration>,
    /// Bytes, as [`Record::retained_bytes`](crate::Record::retained_bytes) counts them.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Whether a history of `count` events in `bytes`, of which the oldest is of time `oldest`, is past a bound.
    pub(crate) fn is_exceeded(&self, count: u64, bytes: u64, oldest: Timestamp, now: Timestamp) -> bool {
        let age = now.0.saturating_sub(oldest.0);
        self.count.is_some_and(|limit| count > with_slack(limit, 64))
            || self.bytes.is_some_and(|limit| bytes > with_slack(limit, 1 << 20))
            || self.age.is_some_and(|limit| age > with_slack(milliseconds(limit), 10_000))
    }
}

fn with_slack(limit: u64, least: u64) -> u64 {
    limit.saturating_add(least.max(limit / 10))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(retention: Retention, count: u64, bytes: u64, age_ms: u64, expected: bool) {
        assert_eq!(retention.is_exceeded(count, bytes, Timestamp(5), Timestamp(5 + age_ms)), expected);
    }

    #[test]
    fn without_bounds_everything_stays() {
        check(Retention::default(), u64::MAX, u64::MAX, u64::MAX - 5, false);
    }

    #[test]
    fn each_bound_is_met_with_its_slack() {
        let count = Retention { count: Some(1000), ..Retention::default() };
        check(count, 1100, 0, 0, false);
        check(count, 1101, 0, 0, true);
        check(Retention { count: Some(3), ..Retention::default() }, 67, 0, 0, false);
        check(Retention { count: Some(3), ..Retention::default() }, 68, 0, 0, true);
        let bytes = Retention { bytes: Some(0), ..Retention::default() };
        check(bytes, 1, 1 << 20, 0, false);
        check(bytes, 1, (1 << 20) + 1, 0, true);
        let age = Retention { age: Some(Duration::from_secs(1000)), ..Retention::default() };
        check(age, 1, 0, 1_100_000, false);
        check(age, 1, 0, 1_100_001, true);
    }

    #[test]
    fn a_clock_that_went_back_drops_nothing() {
        let age = Retention { age: Some(Duration::ZERO), ..Retention::default() };
        assert!(!age.is_exceeded(1, 0, Timestamp(1_000_000), Timestamp(0)));
    }
}
