//! When to connect again, and how long to wait before it.

use std::time::Duration;

use http::StatusCode;

use crate::limits::{RECONNECTION_TIME, RECONNECTION_TIME_MAX, WAIT_MAX, WAIT_MIN};

/// Whether and when to connect again. The default is what the standard asks for: always after network errors and the
/// end of a stream, never after a status or a content type that is wrong.
///
/// The first wait is the reconnection time: 3 s, or what the stream said. Each further failure in a row doubles it, up
/// to [`wait_max`](Self::wait_max), and takes a random point of its upper half, so that the clients of a server that
/// fell over do not return in step. An event, or ten seconds of an open stream, end the row. No wait is shorter than
/// 100 ms.
///
/// ```
/// use fanfare_client::RetryPolicy;
///
/// let patient = RetryPolicy::default().on_transient_statuses().retries_max(20);
/// let one_shot = RetryPolicy::never();
/// # let _ = (patient, one_shot);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    reconnects: bool,
    retries_max: Option<u32>,
    reconnection_time: Duration,
    wait_max: Duration,
    transient_statuses: bool,
    statuses: Vec<StatusCode>,
}

impl RetryPolicy {
    /// One connection, and never another: the end of the stream is the end.
    pub fn never() -> Self {
        Self { reconnects: false, ..Self::default() }
    }

    /// Gives up when this many retries in a row have failed. Without it there is no end.
    pub fn retries_max(mut self, retries: u32) -> Self {
        self.retries_max = Some(retries);
        self
    }

    /// The first wait, until the stream sets another. The default is 3 s.
    pub fn reconnection_time(mut self, time: Duration) -> Self {
        self.reconnection_time = time;
        self
    }

    /// Where growing waits stop growing. The default is 30 s. A longer reconnection time from the stream is respected.
    pub fn wait_max(mut self, wait: Duration) -> Self {
        self.wait_max = wait;
        self
    }

    /// Also connects again after 408, 429 and 5xx, where the standard gives up, and waits as `Retry-After` asks,
    /// within 100 ms and an hour.
    pub fn on_transient_statuses(mut self) -> Self {
        self.transient_statuses = true;
        self
    }

    /// Also connects again after `status`, and waits as `Retry-After` asks. It can't be 200.
    pub fn on_status(mut self, status: StatusCode) -> Self {
        self.statuses.push(status);
        self
    }

    /// Whether it never connects again.
    #[must_use]
    pub fn is_never(&self) -> bool {
        !self.reconnects
    }

    pub(crate) fn initial_wait(&self) -> Duration {
        self.reconnection_time.min(RECONNECTION_TIME_MAX)
    }

    pub(crate) fn covers(&self, status: StatusCode) -> bool {
        let is_transient = matches!(status.as_u16(), 408 | 429 | 500..=599);
        self.transient_statuses && is_transient || self.statuses.contains(&status)
    }

    /// Whether there is a retry left after this many failures in a row.
    pub(crate) fn allows(&self, failures: u32) -> bool {
        self.reconnects && self.retries_max.is_none_or(|retries_max| failures <= retries_max)
    }

    /// The wait after this many `failures` in a row (at least 1). `jitter` is from 0 up to 1.
    pub(crate) fn wait(&self, reconnection_time: Duration, failures: u32, jitter: f64) -> Duration {
        let first = reconnection_time.max(WAIT_MIN);
        if failures <= 1 {
            return first;
        }
        let doublings = failures.saturating_sub(1).min(31);
        let longest = first.saturating_mul(1 << doublings).min(self.wait_max.max(first));
        let shortest = (longest / 2).max(first);
        shortest + (longest - shortest).mul_f64(jitter.clamp(0.0, 1.0))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            reconnects: true,
            retries_max: None,
            reconnection_time: RECONNECTION_TIME,
            wait_max: WAIT_MAX,
            transient_statuses: false,
            statuses: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_start_with_the_reconnection_time_and_double_up_to_the_cap() {
        let policy = RetryPolicy::default();
        for (failures, shortest, longest) in
            [(1, 3_000, 3_000), (2, 3_000, 6_000), (3, 6_000, 12_000), (4, 12_000, 24_000), (5, 15_000, 30_000)]
        {
            let wait = |jitter| policy.wait(RECONNECTION_TIME, failures, jitter).as_millis();
            assert_eq!((wait(0.0), wait(1.0)), (shortest, longest), "after {failures} failures");
        }
        assert_eq!(policy.wait(RECONNECTION_TIME, u32::MAX, 1.0), WAIT_MAX);
    }

    #[test]
    fn no_wait_is_a_hot_loop_and_none_is_shorter_than_the_server_asked_for() {
        let policy = RetryPolicy::default().wait_max(Duration::ZERO);
        for failures in [1, 2, 3, 100] {
            for jitter in [0.0, 0.5, 1.0] {
                assert_eq!(policy.wait(Duration::ZERO, failures, jitter), WAIT_MIN);
                assert_eq!(policy.wait(RECONNECTION_TIME_MAX, failures, jitter), RECONNECTION_TIME_MAX);
            }
        }
    }

    #[test]
    fn statuses_are_final_unless_chosen() {
        let status = |code| StatusCode::from_u16(code).unwrap();
        for code in [204, 404, 408, 429, 500, 503, 599] {
            assert!(!RetryPolicy::default().covers(status(code)), "{code}");
        }
        let patient = RetryPolicy::default().on_transient_statuses().on_status(status(404));
        for (code, covered) in [(204, false), (400, false), (404, true), (408, true), (429, true), (503, true)] {
            assert_eq!(patient.covers(status(code)), covered, "{code}");
        }
    }

    #[test]
    fn retries_run_out() {
        assert!(!RetryPolicy::never().allows(1));
        let policy = RetryPolicy::default().retries_max(2);
        assert_eq!([1, 2, 3].map(|failures| policy.allows(failures)), [true, true, false]);
        assert!(RetryPolicy::default().allows(u32::MAX));
    }
}
