//! What a run has shown: for people, and for machines.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::crowd::Connected;
use super::plan::{Pace, Plan};
use super::publisher::Published;
use super::tally::Tally;

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) plan: Arc<Plan>,
    pub(super) connected: Connected,
    pub(super) published: Published,
    pub(super) tally: Tally,
    /// Deliveries that never came.
    pub(super) lost: u64,
    /// How much of the measured time the reading thread worked, from 0 to 1.
    pub(super) busy: f64,
    pub(super) server: Option<ServerFigures>,
    pub(super) is_stopped: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ServerFigures {
    pub(super) cpu_us_per_delivery: Option<f64>,
    pub(super) memory_bytes_per_subscriber: Option<f64>,
}

/// The object that is promised to scripts.
#[derive(Serialize)]
struct Json {
    subscribers: usize,
    connect_per_s: f64,
    published: u64,
    delivered: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    deliveries_per_s: f64,
    latency_us: Option<LatencyJson>,
    server: Option<ServerJson>,
}

#[derive(Serialize)]
struct LatencyJson {
    p50: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

#[derive(Serialize)]
struct ServerJson {
    cpu_us_per_delivery: Option<f64>,
    pss_bytes_per_subscriber: Option<f64>,
}

impl Report {
    /// Whether each subscriber received each event of its topic once, in order, and no other.
    pub(super) fn is_clean(&self) -> bool {
        self.lost + self.tally.duplicated + self.tally.reordered + self.tally.misdirected == 0
    }

    /// How long the measured part took, in seconds: up to the last delivery, or to the end of publishing.
    pub(super) fn seconds(&self) -> f64 {
        let Some(window) = self.published.window else { return 0.0 };
        self.tally.last_arrival_ns.max(self.published.end_ns).saturating_sub(window.start_ns) as f64 / 1e9
    }

    fn per_second(&self, amount: u64) -> f64 {
        let seconds = self.seconds();
        if seconds > 0.0 { amount as f64 / seconds } else { 0.0 }
    }

    pub(super) fn deliveries_per_s(&self) -> f64 {
        self.per_second(self.tally.measured)
    }

    fn connect_per_s(&self) -> f64 {
        self.connected.subscribers as f64 / self.connected.elapsed.as_secs_f64().max(1e-9)
    }

    /// Events a second of the measured part, over the time of publishing alone.
    fn published_per_s(&self) -> f64 {
        let Some(window) = self.published.window else { return 0.0 };
        let seconds = self.published.end_ns.saturating_sub(window.start_ns) as f64 / 1e9;
        (self.published.events - window.first) as f64 / seconds.max(1e-9)
    }

    /// Latency by share of the deliveries, in microseconds.
    pub(super) fn quantile(&self, quantile: f64) -> u64 {
        self.tally.latency_us.value_at_quantile(quantile)
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        let tally = &self.tally;
        let round = |number: f64, digits: i32| (number * 10_f64.powi(digits)).round() / 10_f64.powi(digits);
        serde_json::to_string(&Json {
            subscribers: self.connected.subscribers,
            connect_per_s: round(self.connect_per_s(), 1),
            published: self.published.events,
            delivered: tally.delivered,
            lost: self.lost,
            duplicated: tally.duplicated,
            reordered: tally.reordered,
            deliveries_per_s: round(self.deliveries_per_s(), 1),
            latency_us: (tally.measured > 0).then(|| LatencyJson {
                p50: self.quantile(0.5),
                p99: self.quantile(0.99),
                p999: self.quantile(0.999),
                max: tally.latency_us.max(),
            }),
            server: self.server.map(|server| ServerJson {
                cpu_us_per_delivery: server.cpu_us_per_delivery.map(|us| round(us, 3)),
                pss_bytes_per_subscriber: server.memory_bytes_per_subscriber.map(|bytes| round(bytes, 1)),
            }),
        })
    }

    /// What the load was, in a line.
    pub(super) fn settings(&self) -> String {
        let plan = &self.plan;
        let slow = if plan.slow > 0 { format!(" ({} never read)", count(plan.slow as u64)) } else { String::new() };
        let pace = match plan.pace {
            Pace::Rate(rate) => format!("{rate} events/s"),
            Pace::InFlight(events) => format!("{events} events in flight"),
        };
        format!(
            "{} subscribers{slow}, {} topic{}, {pace} of {} bytes, {} s",
            count(plan.subscribers as u64),
            count(plan.topics as u64),
            if plan.topics == 1 { "" } else { "s" },
            count(plan.size as u64),
            plan.duration.as_secs_f64(),
        )
    }

    pub(super) fn text(&self) -> String {
        let tally = &self.tally;
        let mut text = format!("{}\n{}\n\n", self.plan.target.url, self.settings());
        let mut line = |name: &str, value: String, words: String| {
            let _ = writeln!(text, "{}", format!("{name:<14}{value:>14}  {words}").trim_end());
        };
        let rate = |per_second: f64| format!("{} per second", count(per_second.round() as u64));
        line("connected", count(self.connected.subscribers as u64), rate(self.connect_per_s()));
        line("published", count(self.published.events), rate(self.published_per_s()));
        line("delivered", count(tally.delivered), rate(self.deliveries_per_s()));
        let due = tally.delivered + self.lost;
        for (name, number) in [("lost", self.lost), ("duplicated", tally.duplicated), ("reordered", tally.reordered)] {
            let words = if number == 0 { String::new() } else { one_in(due, number) };
            line(name, count(number), words);
        }
        if tally.measured > 0 {
            let p50 = self.quantile(0.5);
            let times = |us: u64| format!("{:.1} times p50", us as f64 / p50.max(1) as f64);
            line("latency p50", latency(p50), "half of the deliveries came within this".to_owned());
            for (name, quantile, more) in [("        p99", 0.99, "1 in 100"), ("        p99.9", 0.999, "1 in 1,000")] {
                let us = self.quantile(quantile);
                line(name, latency(us), format!("{}, {more} took longer", times(us)));
            }
            let max = tally.latency_us.max();
            line("        max", latency(max), format!("{}, the slowest", times(max)));
        }
        if let Some(server) = self.server {
            if let Some(us) = server.cpu_us_per_delivery {
                let filled = count((1e6 / us.max(1e-3)).round() as u64);
                line("server CPU", format!("{us:.2} µs"), format!("a delivery, {filled} a second would fill a core"));
            }
            if let Some(bytes) = server.memory_bytes_per_subscriber {
                line(
                    "server memory",
                    format!("{bytes:.0} B"),
                    "a subscriber, without what the kernel holds".to_owned(),
                );
            }
        }
        text
    }

    /// What else has to be known to judge the figures, and what can be done about it.
    pub(super) fn notes(&self) -> Vec<String> {
        let (plan, tally) = (&self.plan, &self.tally);
        let mut notes = Vec::new();
        let mut note = |applies: bool, text: &dyn Fn() -> String| {
            if applies {
                notes.push(text());
            }
        };
        note(self.is_stopped, &|| format!("stopped early, after {:.1} s of what is measured", self.seconds()));
        note(tally.gaps > 0, &|| {
            format!(
                "the hub told subscribers {} times that they fell behind its history (fanfare-gap): what they missed is \
                 counted as lost; give it more with --retain-bytes",
                count(tally.gaps)
            )
        });
        note(tally.ended > 0, &|| {
            format!(
                "{} streams ended early: what they missed is counted as lost; see what the hub logs",
                count(tally.ended)
            )
        });
        note(tally.slow_ended > 0, &|| {
            format!(
                "the hub reset the connections of {} of {} slow subscribers",
                count(tally.slow_ended),
                count(plan.slow as u64)
            )
        });
        note(tally.misdirected > 0, &|| {
            format!("{} events reached subscribers of another topic: that must never happen", count(tally.misdirected))
        });
        note(tally.foreign > 0, &|| {
            format!("{} events on bench/… were none of this run or damaged, and are not counted", count(tally.foreign))
        });
        if let Pace::Rate(rate) = plan.pace {
            note(!self.is_stopped && self.published.failure.is_none() && self.published_per_s() < 0.95 * rate, &|| {
                format!(
                    "the hub took {:.1} of {rate} events a second; an event waited up to {} for the answer to the one \
                     before",
                    self.published_per_s(),
                    latency(self.published.hub_delay_us)
                )
            });
            let own = self.published.own_delay_us.value_at_quantile(0.99);
            note(own > 1000 && own > self.quantile(0.99) / 10, &|| {
                format!(
                    "bench itself was up to {} late in publishing, which is in the latencies: give it a core of its own",
                    latency(own)
                )
            });
        }
        note(self.busy > 0.9, &|| {
            format!(
                "bench itself was busy for {:.0} % of the time: the hub may do better than this; use a faster machine, or \
                 several that share the --subscribers",
                self.busy * 100.0
            )
        });
        notes
    }
}

/// With commas between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds, in the unit that leaves few digits.
pub(super) fn latency(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

fn one_in(all: u64, some: u64) -> String {
    match all / some.max(1) {
        0..2 => format!("{} in {}", count(some), count(all)),
        each => format!("1 in {}", count(each)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(count), ["0", "12", "999", "1,000", "1,234,567"]);
        let latencies = [0, 999, 1_234, 12_345, 123_456, 1_234_567].map(latency);
        assert_eq!(latencies, ["0 µs", "999 µs", "1.23 ms", "12.3 ms", "123 ms", "1.23 s"]);
        assert_eq!([one_in(100, 1), one_in(1_000, 3), one_in(3, 2)], ["1 in 100", "1 in 333", "2 in 3"]);
    }
}
