//! What the hub counts, for operators and for the page.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use serde::Serialize;

use crate::cursor::GapReason;

/// The hub's own figures at one moment: what `fanfare demo` publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// Subscriptions that are open.
    pub subscribers: u64,
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

/// The counters behind [`Figures`] and `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: Gauge,
    pub(crate) subscribers: Gauge,
    pub(crate) subscriptions: Counter,
    pub(crate) published: Counter,
    pub(crate) refused: Family<Refusal, Counter>,
    pub(crate) delivered: Counter,
    pub(crate) delivered_bytes: Counter,
    pub(crate) gaps: Family<GapLabel, Counter>,
    log_events: Gauge,
    log_bytes: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct GapLabel {
    reason: &'static str,
}

/// The status of a request that was refused: few values, so that nobody can fill the metrics from outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
}

impl Counters {
    pub(crate) fn count_gap(&self, reason: GapReason) {
        self.gaps.get_or_create(&GapLabel { reason: reason.as_str() }).inc();
    }

    pub(crate) fn gaps(&self) -> u64 {
        [GapReason::Expired, GapReason::Unknown, GapReason::Lagged]
            .map(|reason| self.gaps.get_or_create(&GapLabel { reason: reason.as_str() }).get())
            .iter()
            .sum()
    }

    /// The metrics in the OpenMetrics text format, which Prometheus reads.
    pub(crate) fn exposition(&self, figures: &Figures) -> String {
        let level = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.log_events.set(level(figures.log_events));
        self.log_bytes.set(level(figures.log_bytes));
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry());
        text
    }

    /// The registry shares the metrics; making it costs less than keeping it in step.
    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("fanfare");
        registry.register("connections", "Connections that are open", self.connections.clone());
        registry.register("subscribers", "Subscriptions that are open", self.subscribers.clone());
        registry.register("subscriptions", "Subscriptions since the start", self.subscriptions.clone());
        registry.register("published_events", "Events published since the start", self.published.clone());
        registry.register("refused_requests", "Requests answered with an error, by status", self.refused.clone());
        registry.register("delivered_events", "Events handed to subscribers' connections", self.delivered.clone());
        let bytes = self.delivered_bytes.clone();
        registry.register_with_unit(
            "delivered",
            "Bytes of events handed to subscribers' connections",
            Unit::Bytes,
            bytes,
        );
        registry.register("gaps", "Gaps told to subscribers, by reason", self.gaps.clone());
        registry.register("log_events", "Events in the history", self.log_events.clone());
        registry.register_with_unit("log", "Bytes in the history", Unit::Bytes, self.log_bytes.clone());
        registry
    }
}
