//! Bytes decoded a second.

use std::hint::black_box;
use std::time::Instant;

use crate::median;
use crate::parsers::{self, PARSERS, Parser};
use crate::workload::{self, Workload};

/// A candidate's share of a round, in seconds.
const SHARE_SECONDS: f64 = 0.03;

/// Prints a table: GB a second of each candidate, ours over the fastest of the others, and GB a second of reading twice.
pub fn report(bytes: usize, rounds: usize, name: &str) {
    let workloads: &'static [Workload] = Vec::leak(workload::all(bytes));
    println!("| workload | chunk | {} | ratio to the best | read twice |", PARSERS.map(|(name, _)| name).join(" | "));
    println!("|---|---|{}---:|---:|", "---:|".repeat(PARSERS.len()));
    for workload in workloads.iter().filter(|workload| workload.name.contains(name)) {
        for (chunk, label) in [(16, "16 B"), (1448, "1.4 KiB"), (64 << 10, "64 KiB")] {
            check(workload, chunk);
            row(workload, chunk, label, rounds);
        }
    }
}

/// A candidate that finds something else is not measured against us.
fn check(workload: &'static Workload, chunk: usize) {
    let prefix = workload.prefix(256 << 10);
    let [(_, ours), others @ ..] = PARSERS;
    let expected = ours(prefix, chunk);
    for (name, parse) in others {
        let found = parse(prefix, chunk);
        assert!(found == expected, "{name} finds {found:?} in {} and we {expected:?}", workload.name);
    }
    if prefix.len() == workload.bytes.len() {
        assert_eq!(expected, (workload.events, workload.data_bytes), "{}", workload.name);
    }
}

fn row(workload: &'static Workload, chunk: usize, label: &str, rounds: usize) {
    let candidates = PARSERS.map(|(_, parse)| parse).into_iter().chain([parsers::read_twice as Parser]);
    let runs: Vec<(Parser, &[u8], usize)> = candidates.map(|parse| calibrated(workload, chunk, parse)).collect();
    let mut speeds = vec![Vec::new(); runs.len()];
    let mut ratios = Vec::new();
    for round in 0..rounds {
        // Each is first in turn: the first finds the caches as the slowest left them.
        for turn in 0..runs.len() {
            let index = (round + turn) % runs.len();
            let (parse, prefix, times) = runs[index];
            let start = Instant::now();
            for _ in 0..times {
                black_box(parse(prefix, chunk));
            }
            speeds[index].push((prefix.len() * times) as f64 / start.elapsed().as_secs_f64() / 1e9);
        }
        let last = |speeds: &Vec<f64>| speeds.last().copied().unwrap_or_default();
        let best = speeds[1..PARSERS.len()].iter().map(last).fold(0.0, f64::max);
        ratios.push(last(&speeds[0]) / best);
    }
    let mut cells: Vec<String> = speeds.into_iter().map(|speeds| format!("{:.3}", median(speeds))).collect();
    cells.insert(PARSERS.len(), format!("{:.2}", median(ratios)));
    println!("| {} | {label} | {} |", workload.name, cells.join(" | "));
}

/// A prefix, and how often to decode it, that take about a candidate's share of a round.
fn calibrated(workload: &'static Workload, chunk: usize, parse: Parser) -> (Parser, &'static [u8], usize) {
    let mut bytes = 256 << 10;
    loop {
        let prefix = workload.prefix(bytes);
        let start = Instant::now();
        black_box(parse(prefix, chunk));
        let seconds = start.elapsed().as_secs_f64();
        if seconds > SHARE_SECONDS || prefix.len() == workload.bytes.len() {
            return (parse, prefix, (SHARE_SECONDS / seconds).ceil() as usize);
        }
        bytes *= 2;
    }
}
