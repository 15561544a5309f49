//! `fanfare-client` beside `eventsource-client` and `reqwest-eventsource`, over loopback, in one run.
//!
//! ```text
//! cargo run --release --manifest-path crates/client/benches/Cargo.toml -- [EVENTS] [ROUNDS] [WORKLOAD] [CLIENT]
//! ```
//!
//! The server is another process, and writes what was made beforehand, so that the clients are what is slow; CPU time
//! is that of this process alone, which reads on one thread, the kernel's part of reading included. Every round runs
//! each candidate once, so that a machine that slows down slows all of them. A ratio is the median of the rounds'
//! ratios to the first client. `WORKLOAD` and `CLIENT` are parts of names, for those who look at one alone.

mod workload;

mod server;

mod clients;

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::clients::{BYTES_ALONE, CLIENTS, Client, Found};
use crate::server::Server;
use crate::workload::{UNIT_EVENTS, WORKLOADS, Workload, unit_data_bytes};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    let number = |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    if argument(0) == "serve" {
        return server::serve(number(1, 1));
    }
    let (events, rounds) = (number(0, 1_000_000_usize), number(1, 11_usize));
    let units = events.div_ceil(UNIT_EVENTS);
    let server = Server::start(units);
    let clients: Vec<_> = CLIENTS.iter().filter(|client| format!("{}.", client.name).contains(argument(3))).collect();
    println!("| framing | client | events a second | ratio | CPU time an event | ratio |");
    println!("|---|---|---:|---:|---:|---:|");
    for workload in WORKLOADS.iter().filter(|workload| workload.name.contains(argument(2))) {
        let url = format!("{}{}", server.origin, workload.path);
        let runs: Vec<Vec<Run>> = (0..rounds).map(|_| round(&clients, &url, units)).collect();
        report(workload, &clients, &runs);
    }
}

/// One run of one candidate.
#[derive(Clone, Copy)]
struct Run {
    events_per_s: f64,
    cpu_ns_per_event: f64,
}

fn round(clients: &[&Client], url: &str, units: usize) -> Vec<Run> {
    let expected = Found { events: units * UNIT_EVENTS, data_bytes: units * unit_data_bytes() };
    let run = |client: &&Client| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        // A task like any other. The future of `block_on` itself costs a system call each time it is woken.
        let reading = async { tokio::spawn((client.read)(url.to_owned())).await.expect("it does not panic") };
        let (clock, found) = runtime.block_on(reading);
        let run = clock.stop(expected.events);
        assert!(found == expected || client.name == BYTES_ALONE, "{}: {found:?} and not {expected:?}", client.name);
        run
    };
    clients.iter().map(run).collect()
}

fn report(workload: &Workload, clients: &[&Client], runs: &[Vec<Run>]) {
    let of = |at: usize, figure: fn(Run) -> f64| median(runs.iter().map(|round| figure(round[at])));
    let ratio = |at: usize, figure: fn(Run, Run) -> f64| median(runs.iter().map(|round| figure(round[0], round[at])));
    for (at, client) in clients.iter().enumerate() {
        println!(
            "| {} | {} | {:.0} | {:.2} | {:.0} ns | {:.2} |",
            workload.name,
            client.name,
            of(at, |run| run.events_per_s),
            ratio(at, |first, run| first.events_per_s / run.events_per_s),
            of(at, |run| run.cpu_ns_per_event),
            ratio(at, |first, run| run.cpu_ns_per_event / first.cpu_ns_per_event),
        );
    }
}

/// The time that a candidate takes, and the CPU time of all threads of this process.
pub struct Clock {
    started: Instant,
    cpu: Duration,
}

impl Clock {
    pub fn start() -> Self {
        Self { started: Instant::now(), cpu: cpu_time() }
    }

    fn stop(&self, events: usize) -> Run {
        let (wall, cpu) = (self.started.elapsed(), cpu_time() - self.cpu);
        Run {
            events_per_s: events as f64 / wall.as_secs_f64(),
            cpu_ns_per_event: cpu.as_nanos() as f64 / events as f64,
        }
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
}

/// The middle of `values`.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
