//! When to connect again, and how long to wait before it.

use std::time::Duration;

use http::StatusCode;

use crate::limits::{HEALTHY_AFTER, RECONNECTION_TIME, RECONNECTION_TIME_MAX, RETRY_AFTER_MAX, WAIT_MAX, WAIT_MIN};

/// Whether and when to connect again. The default is what the standard asks for: always after network errors and the
/// end of a stream, never after a status or a content type that is wrong.
///
/// # How long
///
/// The first wait is the reconnection time: 3 s, or what the stream's `retry` field said. With each further failure in a
/// row the longest wait doubles, up to [`wait_max`](Self::wait_max), and the wait is a random point between the
/// reconnection time and the longest: the standard lets a client wait longer than it was told, never shorter (C21). An
/// event, or ten seconds of an open stream, end the row; [`healthy_after`](Self::healthy_after) makes it time alone.
///
/// [`full_jitter`](Self::full_jitter) also draws the first wait, and from below the reconnection time where only this
/// policy set it. What a server said, by `retry` or by `Retry-After`, is a floor under both.
///
/// No wait is shorter than 100 ms, whatever is configured, said or drawn: `retry: 0`, `Retry-After: 0` and streams that
/// end at once make ten requests a second at the most, and fewer with each failure in a row.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_client::RetryPolicy;
///
/// let patient = RetryPolicy::default().on_transient_statuses().retries_max(20);
/// let one_of_a_fleet = RetryPolicy::default().full_jitter().healthy_after(Duration::from_secs(60));
/// let one_shot = RetryPolicy::never();
/// # let _ = (patient, one_of_a_fleet, one_shot);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    reconnects: bool,
    retries_max: Option<u32>,
    reconnection_time: Duration,
    wait_max: Duration,
    has_full_jitter: bool,
    /// `None`: an event is health too.
    healthy_after: Option<Duration>,
    transient_statuses: bool,
    statuses: Vec<StatusCode>,
}

impl RetryPolicy {
    /// One connection, and never another. That the server ends the stream is then a success for
    /// [`Events`](crate::Events); everything else that ends it is an error. To try again until there was a whole stream,
    /// see [`stop_at_end`](crate::EventSourceBuilder::stop_at_end).
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

    /// Where growing waits stop growing. The default is 30 s. When the server asks for more, it gets more.
    pub fn wait_max(mut self, wait: Duration) -> Self {
        self.wait_max = wait;
        self
    }

    /// Draws every wait from the whole range, from 100 ms to the longest, as AWS describes it. Fleets return best spread
    /// that way after an outage. It departs from the standard, which asks every client to wait the reconnection time.
    ///
    /// What the server itself asked for, by `retry` or `Retry-After`, stays a floor, and the range begins there: below
    /// it a client would break the server's word, and exactly on it would return with all the others.
    pub fn full_jitter(mut self) -> Self {
        self.has_full_jitter = true;
        self
    }

    /// How long a stream must have been open for its end to be the first failure of a row, however many events came.
    ///
    /// Without it, ten seconds or one event do: a server that sends what it has and hangs up, again and again, is asked
    /// again after the reconnection time, as in a browser. With it, one that always fails soon after its first events
    /// is met with growing waits.
    pub fn healthy_after(mut self, time: Duration) -> Self {
        self.healthy_after = Some(time);
        self
    }

    /// Also connects again after 408, 429 and 5xx, where the standard gives up. `Retry-After` then takes the place of the
    /// reconnection time, within 100 ms and an hour.
    pub fn on_transient_statuses(mut self) -> Self {
        self.transient_statuses = true;
        self
    }

    /// Also connects again after `status`, in the same way. It can't be 200.
    pub fn on_status(mut self, status: StatusCode) -> Self {
        self.statuses.push(status);
        self
    }

    /// Whether it never connects again.
    #[must_use]
    pub fn is_never(&self) -> bool {
        !self.reconnects
    }

    /// The failures in a row, after an event.
    pub(crate) fn failures_after_event(&self, failures: u32) -> u32 {
        if self.healthy_after.is_some() { failures } else { 0 }
    }

    /// Whether a stream that was open this long ends the row.
    pub(crate) fn is_healthy_after(&self, time: Duration) -> bool {
        time >= self.healthy_after.unwrap_or(HEALTHY_AFTER)
    }

    pub(crate) fn covers(&self, status: StatusCode) -> bool {
        let is_transient = matches!(status.as_u16(), 408 | 429 | 500..=599);
        self.transient_statuses && is_transient || self.statuses.contains(&status)
    }

    /// Whether there is a retry left after this many failures in a row.
    pub(crate) fn allows(&self, failures: u32) -> bool {
        self.reconnects && self.retries_max.is_none_or(|retries_max| failures <= retries_max)
    }

    /// The wait after this many `failures` in a row (at least 1), if the server `asked` for one. `jitter` is from 0 up to
    /// 1.
    pub(crate) fn wait(&self, asked: Option<Duration>, failures: u32, jitter: f64) -> Duration {
        let first = asked.unwrap_or(self.reconnection_time).clamp(WAIT_MIN, RECONNECTION_TIME_MAX);
        let doublings = failures.saturating_sub(1).min(31);
        let longest = first.saturating_mul(1 << doublings).min(self.wait_max);
        let (shortest, range) = match (self.has_full_jitter, asked) {
            (false, _) => (first, longest.saturating_sub(first)),
            (true, None) => (WAIT_MIN, longest.saturating_sub(WAIT_MIN)),
            // On top of what was asked for: so there is a range also where that is more than the policy's longest.
            (true, Some(_)) => (first, longest),
        };
        (shortest + range.mul_f64(jitter.clamp(0.0, 1.0))).min(first.max(longest).max(RETRY_AFTER_MAX))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            reconnects: true,
            retries_max: None,
            reconnection_time: RECONNECTION_TIME,
            wait_max: WAIT_MAX,
            has_full_jitter: false,
            healthy_after: None,
            transient_statuses: false,
            statuses: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shortest and the longest wait after 1, 2, 3, … failures in a row, in milliseconds.
    fn ranges(policy: &RetryPolicy, asked_ms: Option<u64>) -> [(u128, u128); 6] {
        let asked = asked_ms.map(Duration::from_millis);
        [1, 2, 3, 4, 5, u32::MAX].map(|failures| {
            let wait = |jitter| policy.wait(asked, failures, jitter).as_millis();
            assert!((wait(0.0)..=wait(1.0)).contains(&wait(0.5)));
            (wait(0.0), wait(1.0))
        })
    }

    #[test]
    fn waits_start_with_the_reconnection_time_and_reach_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let doubling = [(3_000, 3_000), (3_000, 6_000), (3_000, 12_000), (3_000, 24_000), (3_000, 30_000)];
        assert_eq!(ranges(&policy, None)[..5], doubling);
        assert_eq!(ranges(&policy, Some(3_000))[..5], doubling);
        assert_eq!(ranges(&policy, Some(60_000)), [(60_000, 60_000); 6], "what the server asks for has no cap");
        assert_eq!(ranges(&policy, None)[5], (3_000, 30_000));
    }

    #[test]
    fn full_jitter_draws_from_everything_but_what_the_server_ruled_out() {
        let policy = RetryPolicy::default().reconnection_time(Duration::from_secs(1)).full_jitter();
        let growing = [(100, 1_000), (100, 2_000), (100, 4_000), (100, 8_000), (100, 16_000), (100, 30_000)];
        assert_eq!(ranges(&policy, None), growing);
        assert_eq!(ranges(&policy, Some(2_000))[..3], [(2_000, 4_000), (2_000, 6_000), (2_000, 10_000)]);
        assert_eq!(ranges(&policy, Some(60_000)), [(60_000, 90_000); 6]);
    }

    #[test]
    fn no_wait_is_a_hot_loop_and_none_is_shorter_than_the_server_asked_for() {
        let impatient = RetryPolicy::default().reconnection_time(Duration::ZERO).wait_max(Duration::ZERO);
        for policy in [impatient.clone(), impatient.full_jitter()] {
            assert_eq!(ranges(&policy, None), [(100, 100); 6]);
            assert_eq!(ranges(&policy, Some(0)), [(100, 100); 6]);
            assert_eq!(ranges(&policy, Some(u64::MAX)), [(RECONNECTION_TIME_MAX.as_millis(), 86_400_000); 6]);
        }
        let patient = RetryPolicy::default().wait_max(Duration::MAX).full_jitter();
        assert!(ranges(&patient, None)[5].1 > 1 << 31, "and none is too long to be computed");
        assert_eq!(ranges(&RetryPolicy::default(), Some(0))[4], (100, 1_600), "and rows of failures slow down");
    }

    #[test]
    fn health_is_time_or_an_event_or_time_alone() {
        let (nine, ten) = (Duration::from_secs(9), Duration::from_secs(10));
        let policy = RetryPolicy::default();
        assert_eq!([nine, ten].map(|time| policy.is_healthy_after(time)), [false, true]);
        assert_eq!(policy.failures_after_event(3), 0);
        let policy = policy.healthy_after(Duration::from_secs(60));
        assert_eq!([ten, ten * 6].map(|time| policy.is_healthy_after(time)), [false, true]);
        assert_eq!(policy.failures_after_event(3), 3);
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
