//! What the hub counts, for operators and for the page.

mod labels;
mod process;

mod exposition;

pub(crate) use labels::{ConnectionKind, ConnectionRefusal, Path, StreamEnd};

use std::time::Instant;

use fanfare_log::Log;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use serde::Serialize;

use crate::compression::Coding;
use crate::cursor::GapReason;
use crate::figures::labels::{ByCoding, ByKind, ByPath, ByReason, ByStatus, rejection};

/// The hub's own figures at one moment: what the page shows and `fanfare demo` publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// Connections that are open.
    pub connections: u64,
    /// Subscriptions that are open.
    pub subscribers: u64,
    /// Those of them that have not been sent everything, now or when that was last looked at.
    pub slow: u64,
    /// Events published since the start.
    pub published: u64,
    /// Events handed to subscribers' connections since the start.
    pub delivered: u64,
    /// Gaps told to subscribers since the start.
    pub gaps: u64,
    /// Events in the history.
    pub log_events: u64,
    /// Bytes in the history.
    pub log_bytes: u64,
}

/// The counters behind [`Figures`] and `/metrics`. Labels have few values, all of them the hub's own words, so that nobody
/// can fill the metrics from outside.
#[derive(Debug)]
pub(crate) struct Counters {
    /// All of them, and how many of those no shard has.
    pub(crate) connections: Gauge,
    general_connections: Family<ByKind, Gauge>,
    refused_connections: Family<ByReason, Counter>,
    /// All of them, and how many of those no shard has.
    pub(crate) subscribers: Gauge,
    pub(crate) general_subscribers: Gauge,
    compressed: Family<ByCoding, Gauge>,
    slow: Family<ByPath, Gauge>,
    pub(crate) subscriptions: Counter,
    ended: Family<ByReason, Counter>,
    pub(crate) gaps: Family<ByReason, Counter>,
    pub(crate) published: Counter,
    pub(crate) published_batches: Counter,
    pub(crate) published_bytes: Counter,
    pub(crate) publish_duration: Histogram,
    sync_duration: Histogram,
    rejected: Family<ByReason, Counter>,
    refused: Family<ByStatus, Counter>,
    pub(crate) delivered: Counter,
    pub(crate) delivered_bytes: Counter,
    fanout_duration: Family<ByPath, Histogram, Latencies>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            connections: Gauge::default(),
            general_connections: Family::default(),
            refused_connections: Family::default(),
            subscribers: Gauge::default(),
            general_subscribers: Gauge::default(),
            compressed: Family::default(),
            slow: Family::default(),
            subscriptions: Counter::default(),
            ended: Family::default(),
            gaps: Family::default(),
            published: Counter::default(),
            published_batches: Counter::default(),
            published_bytes: Counter::default(),
            publish_duration: Latencies.new_metric(),
            sync_duration: Latencies.new_metric(),
            rejected: Family::default(),
            refused: Family::default(),
            delivered: Counter::default(),
            delivered_bytes: Counter::default(),
            fanout_duration: Family::new_with_constructor(Latencies),
        }
    }
}

/// The upper bounds of latencies, in seconds: 1, 2.5 and 5 of each power of ten, so that an estimate between two is within a
/// factor of 2.5. A log in memory answers, and an event reaches a few subscribers, in tens of microseconds; a sync takes 0.1
/// to 30 ms as the disk is, a hundred thousand sends some 200 ms; what takes over ten seconds is trouble, however much more.
const LATENCY_BUCKETS: [f64; 17] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0, 2.5, 5.0, 10.0,
];

/// Makes histograms of latencies.
#[derive(Debug, Clone, Copy)]
struct Latencies;

impl MetricConstructor<Histogram> for Latencies {
    fn new_metric(&self) -> Histogram {
        Histogram::new(LATENCY_BUCKETS)
    }
}

impl Counters {
    pub(crate) fn count_gap(&self, reason: GapReason) {
        self.gaps.get_or_create(&ByReason { reason: reason.as_str() }).inc();
    }

    fn gaps(&self) -> u64 {
        GAP_REASONS.map(|reason| self.gaps.get_or_create(&ByReason { reason: reason.as_str() }).get()).iter().sum()
    }

    /// Counts a stream that has ended.
    pub(crate) fn count_end(&self, end: StreamEnd) {
        self.ended.get_or_create(&end.label()).inc();
    }

    pub(crate) fn count_refused_connection(&self, refusal: ConnectionRefusal) {
        self.refused_connections.get_or_create(&refusal.label()).inc();
    }

    /// Counts a request that was answered with an error, and whether it was a publish.
    pub(crate) fn count_refusal(&self, status: http::StatusCode, is_publish: bool, is_draining: bool) {
        self.refused.get_or_create(&ByStatus { status: status.as_u16() }).inc();
        if is_publish && let Some(label) = rejection(status, is_draining) {
            self.rejected.get_or_create(&label).inc();
        }
    }

    /// Counts a connection that no shard has, as long as what this gives is held.
    pub(crate) fn general_connection(&self, kind: ConnectionKind) -> Held {
        let gauge = self.general_connections.get_or_create_owned(&kind.label());
        gauge.inc();
        Held(gauge)
    }

    /// Counts a subscriber that is sent its events in `coding`, as long as what this gives is held.
    pub(crate) fn compressed(&self, coding: Coding) -> Held {
        let gauge = self.compressed.get_or_create_owned(&ByCoding { coding: coding.name() });
        gauge.inc();
        Held(gauge)
    }

    /// So many more subscribers of shards have not been sent everything.
    pub(crate) fn add_slow(&self, change: i64) {
        self.slow.get_or_create(&Path::Shard.label()).inc_by(change);
    }

    pub(crate) fn set_general_slow(&self, count: usize) {
        self.slow.get_or_create(&Path::General.label()).set(level(count as u64));
    }

    /// Notes how long it took until subscribers had what the log had for them.
    pub(crate) fn observe_fanout(&self, path: Path, duration: std::time::Duration) {
        self.fanout_duration.get_or_create(&path.label()).observe(duration.as_secs_f64());
    }

    /// Notes from now on how long the log's syncs take.
    pub(crate) fn time_syncs(&self, log: &dyn Log) {
        let syncs = self.sync_duration.clone();
        log.on_sync(Box::new(move || {
            let (syncs, begun) = (syncs.clone(), Instant::now());
            Box::new(move || syncs.observe(begun.elapsed().as_secs_f64()))
        }));
    }

    /// The figures, with what only the log knows.
    pub(crate) fn figures(&self, usage: fanfare_log::Usage) -> Figures {
        let slow = |path: Path| self.slow.get_or_create(&path.label()).get();
        Figures {
            connections: count(self.connections.get()),
            subscribers: count(self.subscribers.get()),
            slow: count(slow(Path::Shard) + slow(Path::General)),
            published: self.published.get(),
            delivered: self.delivered.get(),
            gaps: self.gaps(),
            log_events: usage.count,
            log_bytes: usage.bytes,
        }
    }
}

const GAP_REASONS: [GapReason; 3] = [GapReason::Expired, GapReason::Unknown, GapReason::Lagged];

/// Counts something while it is held.
#[derive(Debug)]
pub(crate) struct Held(Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn count(level: i64) -> u64 {
    u64::try_from(level).unwrap_or(0)
}

fn level(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
