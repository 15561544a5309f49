//! `/metrics`: the metrics in the OpenMetrics text format, which Prometheus reads. docs/reference.md lists them, and a test
//! holds the two together.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::Hub;
use crate::compression::Coding;
use crate::figures::labels::{ByCoding, ByKind, ByReason, REJECTIONS};
use crate::figures::process::Process;
use crate::figures::{ConnectionKind, ConnectionRefusal, Counters, GAP_REASONS, Path, StreamEnd, level};

impl Hub {
    /// The metrics now.
    pub(crate) fn exposition(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry());
        text
    }

    /// The registry shares the metrics; making it costs less than keeping it in step.
    fn registry(&self) -> Registry {
        let counters = &self.shared.counters;
        counters.show_all_from_the_start();
        let mut root = Registry::default();
        let hub = root.sub_registry_with_prefix("fanfare");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        hub.register("build", "The version of the hub", version);
        counters.register_connections(hub);
        hub.register(
            "connections_limit",
            "Connections that may be open, and subscribers, of whom HTTP/2 has many on one connection",
            gauge(self.shared.settings.connections_max as u64),
        );
        counters.register_subscribers(hub);
        counters.register_publishes(hub);
        counters.register_deliveries(hub);
        self.register_log(hub);
        let keys = gauge(self.shared.answers.len() as u64);
        hub.register("idempotency_keys", "Idempotency keys that are remembered", keys);
        register_process(&mut root);
        root
    }

    fn register_log(&self, hub: &mut Registry) {
        let (usage, span) = (self.shared.log.usage(), self.shared.log.span());
        hub.register("log_events", "Events in the history", gauge(usage.count));
        hub.register_with_unit("log", "Bytes in the history", Unit::Bytes, gauge(usage.bytes));
        hub.register(
            "log_start_offset",
            "The offset before the oldest event in the history: whoever is behind it gets a gap",
            gauge(span.start.offset),
        );
        hub.register("log_tail_offset", "The offset of the newest event", gauge(span.tail.offset));
        hub.register(
            "log_epoch",
            "The epoch of the newest event: a change means that offsets began anew",
            gauge(span.tail.epoch.0),
        );
        hub.register(
            "engine_ready",
            "1 if the engine takes events, 0 if not: the log says why",
            gauge(u64::from(self.shared.engine.unready().is_none())),
        );
        let unreadable = Counter::<u64>::default();
        unreadable.inc_by(self.shared.engine.unreadable());
        hub.register(
            "engine_unreadable_messages",
            "Messages of the engine that are no events and were passed over: the log says why",
            unreadable,
        );
    }
}

impl Counters {
    /// A counter that appears with its first count has no rate until the second.
    fn show_all_from_the_start(&self) {
        ConnectionKind::ALL.iter().for_each(|kind| drop(self.general_connections.get_or_create(&kind.label())));
        ConnectionRefusal::ALL.iter().for_each(|one| drop(self.refused_connections.get_or_create(&one.label())));
        StreamEnd::ALL.iter().for_each(|end| drop(self.ended.get_or_create(&end.label())));
        GAP_REASONS.iter().for_each(|gap| drop(self.gaps.get_or_create(&ByReason { reason: gap.as_str() })));
        REJECTIONS.iter().for_each(|reason| drop(self.rejected.get_or_create(&ByReason { reason })));
        Coding::ALL.iter().for_each(|one| drop(self.compressed.get_or_create(&ByCoding { coding: one.name() })));
        for path in Path::ALL {
            drop(self.slow.get_or_create(&path.label()));
            drop(self.fanout_duration.get_or_create(&path.label()));
        }
    }

    fn register_connections(&self, hub: &mut Registry) {
        let connections = Family::<ByKind, Gauge>::default();
        let mut general = 0;
        for kind in ConnectionKind::ALL {
            let label = kind.label();
            let count = self.general_connections.get_or_create(&label).get();
            connections.get_or_create(&label).set(count);
            general += count;
        }
        connections.get_or_create(&ByKind { kind: "shard" }).set((self.connections.get() - general).max(0));
        hub.register("connections", "Connections that are open, by who serves them and what they speak", connections);
        let refused = self.refused_connections.clone();
        hub.register("refused_connections", "Connections that were not served, by reason", refused);
        hub.register("refused_requests", "Requests answered with an error, by status", self.refused.clone());
    }

    fn register_subscribers(&self, hub: &mut Registry) {
        let subscribers = Family::default();
        let general = self.general_subscribers.get();
        for (path, count) in [(Path::Shard, self.subscribers.get() - general), (Path::General, general)] {
            let gauge: Gauge = subscribers.get_or_create_owned(&path.label());
            gauge.set(count.max(0));
        }
        hub.register("subscribers", "Subscriptions that are open, by who serves them", subscribers);
        let compressed = self.compressed.clone();
        hub.register("compressed_subscribers", "Those whose events are compressed, by coding", compressed);
        hub.register(
            "slow_subscribers",
            "Subscribers that have not been sent everything yet: they read history, or their sockets are full. On the \
             general path as of the last tick, a second ago at most",
            self.slow.clone(),
        );
        hub.register("subscriptions", "Subscriptions since the start", self.subscriptions.clone());
        hub.register("ended_streams", "Streams that have ended, by reason", self.ended.clone());
        hub.register("gaps", "Gaps told to subscribers, by reason", self.gaps.clone());
    }

    fn register_publishes(&self, hub: &mut Registry) {
        hub.register("published_events", "Events published since the start", self.published.clone());
        let batches = self.published_batches.clone();
        hub.register("published_batches", "Publishes that were acknowledged, of one event or many", batches);
        hub.register_with_unit(
            "published",
            "Bytes of events published, without the ids that the hub gives",
            Unit::Bytes,
            self.published_bytes.clone(),
        );
        hub.register("rejected_publishes", "Publishes that were refused, by reason", self.rejected.clone());
        hub.register_with_unit(
            "publish_duration",
            "From the parsed request to the acknowledgement: nearly all of it is the wait for the log, on disk for its sync",
            Unit::Seconds,
            self.publish_duration.clone(),
        );
        hub.register_with_unit(
            "log_sync_duration",
            "How long the disk takes for the syncs that publishers wait for: one for all that came during the one before",
            Unit::Seconds,
            self.sync_duration.clone(),
        );
    }

    fn register_deliveries(&self, hub: &mut Registry) {
        hub.register("delivered_events", "Events handed to subscribers' connections", self.delivered.clone());
        let bytes = self.delivered_bytes.clone();
        hub.register_with_unit("delivered", "Bytes of events handed to subscribers' connections", Unit::Bytes, bytes);
        hub.register_with_unit(
            "fanout_duration",
            "From the moment at which the log shows an event until the last live subscriber of a shard has been sent it (on \
             the general path: until those that it woke have taken it). Measured once a pass and not for each subscriber, one \
             pass at a time; slow subscribers are not waited for",
            Unit::Seconds,
            self.fanout_duration.clone(),
        );
    }
}

/// The names are Prometheus' own for any process.
fn register_process(root: &mut Registry) {
    let Process { resident_bytes, cpu_seconds, start_seconds, open_files, open_files_max } = Process::now();
    let process = root.sub_registry_with_prefix("process");
    if let Some(bytes) = resident_bytes {
        process.register_with_unit("resident_memory", "Memory of the process in use", Unit::Bytes, gauge(bytes));
    }
    if let Some(seconds) = cpu_seconds {
        let counter = Counter::<f64, AtomicU64>::default();
        counter.inc_by(seconds);
        process.register_with_unit("cpu", "Processor time of the process", Unit::Seconds, counter);
    }
    if let Some(seconds) = start_seconds {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(seconds);
        process.register_with_unit("start_time", "When the process started, since 1970", Unit::Seconds, gauge);
    }
    if let Some(count) = open_files {
        process.register("open_fds", "Files that are open: each connection is one", gauge(count));
    }
    if let Some(count) = open_files_max {
        process.register("max_fds", "Files that may be open", gauge(count));
    }
}

fn gauge(count: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(level(count));
    gauge
}
