//! The hub's general path beside axum's own `Sse` with a tokio broadcast channel, over loopback.
//!
//! ```text
//! cargo run --release --manifest-path crates/hub/benches/Cargo.toml -- [ROUNDS] [PROTOCOL] [SUBSCRIBERS] [OTHER]
//! ```
//!
//! Every run starts a server as a process of its own, on the first processor, connects its subscribers from the
//! second, looks at the server's memory, sends 20,000 deliveries a second for three seconds, then for two seconds the
//! next event as soon as fewer than 32 are on their way, and ends it. CPU time is all of the server process's, memory
//! what is its alone, without pages of files. Every event must come to each subscriber once and in order. The candidates
//! take turns; a figure is the median of the rounds.
//!
//! `PROTOCOL` is a part of a name, `SUBSCRIBERS` a number in place of 1000 and 4000, `OTHER` the path of this program
//! built from another commit, whose hub then takes its turn too.
//!
//! ```text
//! cargo run --release --manifest-path crates/hub/benches/Cargo.toml -- matching [ROUNDS]
//! ```
//!
//! measures how the cost of an update to one subscriber grows with the subscribers that do not get it, on both paths,
//! and URI Templates alone.

mod protocol;

mod server;

mod process;

mod subscriber;

mod run;

mod matching;

mod sockets;

mod templates;

// The hub's own, which are no part of what it offers.
#[path = "../../src/limits.rs"]
#[allow(dead_code, reason = "it has the limits of all modules")]
mod limits;

#[path = "../../src/topic.rs"]
#[allow(dead_code, reason = "templates name its error")]
mod topic;

#[path = "../../src/uri_template.rs"]
#[allow(dead_code, reason = "the index is not measured here")]
mod uri_template;

use crate::protocol::{PROTOCOLS, Protocol};
use crate::run::{Figures, run};
use crate::server::Candidate;

/// How many subscribers, unless one number is given.
const SUBSCRIBERS: [usize; 2] = [1000, 4000];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    if argument(0) == "serve" {
        return server::serve(argument(1), argument(2) == "tls");
    }
    if argument(0) == "matching" {
        let rounds = argument(1).parse().unwrap_or(5);
        return matching::matching(rounds);
    }
    let rounds: usize = if argument(0).is_empty() { 3 } else { argument(0).parse().expect("how many rounds") };
    let own = std::env::current_exe().expect("a program has a path");
    let mut candidates = vec![
        Candidate { name: "hub", program: own.clone(), server: "hub" },
        Candidate { name: "axum", program: own, server: "axum" },
    ];
    if !argument(3).is_empty() {
        candidates.insert(1, Candidate { name: "hub of OTHER", program: argument(3).into(), server: "hub" });
    }
    process::stay_on(1);
    println!(
        "| protocol | subscribers | server | CPU µs a delivery, 20,000/s | at full speed | deliveries/s | bytes a subscriber |"
    );
    println!("|---|---:|---|---:|---:|---:|---:|");
    for protocol in PROTOCOLS.iter().filter(|protocol| protocol.name.contains(argument(1))) {
        for subscribers in SUBSCRIBERS {
            let subscribers = argument(2).parse().unwrap_or(subscribers);
            compare(protocol, subscribers, rounds, &candidates);
            if !argument(2).is_empty() {
                break;
            }
        }
    }
}

fn compare(protocol: &'static Protocol, subscribers: usize, rounds: usize, candidates: &[Candidate]) {
    let mut runs: Vec<Vec<Figures>> = vec![Vec::new(); candidates.len()];
    for round in 0..rounds {
        for turn in 0..candidates.len() {
            // Nobody is always the first.
            let at = (turn + round) % candidates.len();
            runs[at].push(run(&candidates[at], protocol, subscribers));
        }
    }
    for (candidate, runs) in candidates.iter().zip(&runs) {
        let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
        println!(
            "| {} | {subscribers} | {} | {:.2} | {:.2} | {:.0} | {:.0} |",
            protocol.name,
            candidate.name,
            of(|run| run.cpu_us_at_rate),
            of(|run| run.cpu_us_at_full_speed),
            of(|run| run.deliveries_per_s),
            of(|run| run.bytes_per_subscriber),
        );
    }
}

/// The middle of `values`.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
