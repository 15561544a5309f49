//! What all subscribers together received.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::limits::{LATENCY_US_MAX, POINTS_MAX};
use super::order::Arrival;
use super::plan::{Pace, Plan};

/// Counts of the whole run; latency, rate and course of its measured part, which begins after the warm-up.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    /// The hub said in the stream that events are missing.
    pub(super) gaps: u64,
    /// Streams that ended before they were closed here.
    pub(super) ended: u64,
    /// Connections of slow subscribers that the hub reset. A plain close waits, as TCP has it, behind what is not read.
    pub(super) slow_ended: u64,
    /// Events that are none of ours: another run's, or a damaged one.
    pub(super) foreign: u64,
    /// Ours, of another topic than was subscribed to.
    pub(super) misdirected: u64,
    pub(super) measured: u64,
    /// In microseconds, from the moment an event was due to the read that brought its end.
    pub(super) latency_us: Histogram<u64>,
    /// Nanoseconds since the run began.
    pub(super) last_arrival_ns: u64,
    pub(super) course: Course,
    window: Window,
}

/// Deliveries over time.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) interval: Duration,
    pub(super) deliveries: Vec<u64>,
}

/// Which events are measured: those from `first` on. The course begins at `start_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) first: u64,
    pub(super) start_ns: u64,
}

impl Tally {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            delivered: 0,
            duplicated: 0,
            reordered: 0,
            gaps: 0,
            ended: 0,
            slow_ended: 0,
            foreign: 0,
            misdirected: 0,
            measured: 0,
            latency_us: latencies(),
            last_arrival_ns: 0,
            course: Course { interval: interval(plan), deliveries: Vec::new() },
            window: Window { first: u64::MAX, start_ns: u64::MAX },
        }
    }

    /// Begins to measure, if that has begun.
    pub(super) fn measure(&mut self, window: Option<Window>) {
        self.window = window.unwrap_or(self.window);
    }

    pub(super) fn count(&mut self, sequence: u64, arrival: Arrival, due_ns: u64, now_ns: u64) {
        match arrival {
            Arrival::InOrder => {}
            Arrival::Late => self.reordered += 1,
            Arrival::Double => {
                self.duplicated += 1;
                return;
            }
        }
        self.delivered += 1;
        self.last_arrival_ns = now_ns;
        if sequence < self.window.first {
            return;
        }
        self.measured += 1;
        self.latency_us.saturating_record(now_ns.saturating_sub(due_ns) / 1000);
        let since_start = now_ns.saturating_sub(self.window.start_ns);
        let point = since_start / self.course.interval.as_nanos().max(1) as u64;
        let point = (point as usize).min(POINTS_MAX - 1);
        if point >= self.course.deliveries.len() {
            self.course.deliveries.resize(point + 1, 0);
        }
        self.course.deliveries[point] += 1;
    }
}

/// A histogram of microseconds with three digits, the precision that people read.
pub(super) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("bounds that are written down here")
}

/// Two hundred points, unless so few events fall into each that the line would show nothing but their rhythm. A whole
/// number of events, for the same reason.
fn interval(plan: &Plan) -> Duration {
    let (finest, coarsest) = (plan.duration / 200, plan.duration / 20);
    let interval = match plan.pace {
        Pace::Rate(rate) => {
            let seconds = (10.0 / rate).clamp(finest.as_secs_f64(), coarsest.as_secs_f64());
            Duration::from_secs_f64(((seconds * rate).ceil() / rate).min(1e6))
        }
        Pace::InFlight(_) => finest,
    };
    interval.max(Duration::from_millis(1))
}
