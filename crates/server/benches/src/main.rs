//! A channel beside axum's own `Sse` with a tokio broadcast channel, over loopback, in one run.
//!
//! ```text
//! cargo run --release --manifest-path crates/server/benches/Cargo.toml -- [ROUNDS] [SUBSCRIBERS] [CANDIDATE] [SECONDS]
//! ```
//!
//! Every run starts the server as a process of its own on the first processor, and connects its subscribers from the
//! second. The server publishes by itself when it is told to: first 20,000 deliveries a second on a schedule, then the next event
//! as soon as fewer than eight are on their way, so that no candidate pays for requests. CPU time is all of the server
//! process's, from publishing to the kernel's part of the sends; memory is what is its alone, without pages of files.
//! Every event must come to each subscriber once and in order. The candidates take turns; a figure is the median of the
//! rounds, a ratio that of the rounds' ratios to the first candidate.

mod server;

mod process;

mod crowd;

mod run;

use crate::run::{Figures, run};
use crate::server::CANDIDATES;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    if argument(0) == "serve" {
        return server::serve(argument(1));
    }
    let number = |at: usize, default: usize| {
        Some(argument(at)).filter(|text| !text.is_empty()).map_or(default, |text| text.parse().expect("a number"))
    };
    let (rounds, subscribers, seconds) = (number(0, 5), number(1, 1000), number(3, 3));
    let candidates: Vec<&str> = CANDIDATES.into_iter().filter(|name| name.contains(argument(2))).collect();
    process::stay_on(1);
    let mut runs: Vec<Vec<Figures>> = Vec::new();
    for round in 0..rounds {
        let mut figures: Vec<_> = candidates.iter().map(|_| None).collect();
        for turn in 0..candidates.len() {
            // Nobody is always the first.
            let at = (turn + round) % candidates.len();
            figures[at] = Some(run(candidates[at], subscribers, seconds as u64));
        }
        runs.push(figures.into_iter().flatten().collect());
    }
    println!(
        "| {subscribers} subscribers | CPU µs a delivery, 20,000/s | ratio | at full speed | ratio | deliveries/s | ratio | bytes a subscriber | ratio |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (at, name) in candidates.iter().enumerate() {
        let of = |figure: fn(&Figures) -> f64| {
            let value = median(runs.iter().map(|round| figure(&round[at])));
            (value, median(runs.iter().map(|round| figure(&round[at]) / figure(&round[0]))))
        };
        let (rate, rate_ratio) = of(|run| run.cpu_us_at_rate);
        let (full, full_ratio) = of(|run| run.cpu_us_at_full_speed);
        let (speed, speed_ratio) = of(|run| run.deliveries_per_s);
        let (bytes, bytes_ratio) = of(|run| run.bytes_per_subscriber);
        println!(
            "| {name} | {rate:.2} | {rate_ratio:.2} | {full:.2} | {full_ratio:.2} | {speed:.0} | {speed_ratio:.2} | {bytes:.0} | {bytes_ratio:.3} |"
        );
    }
}

/// The middle of `values`.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
