//! `fanfare bench`: load against a running hub, and what came of it.
//!
//! It runs on two threads: one publishes on schedule, the other reads for all subscribers.

mod limits;

mod plan;

mod stamp;

mod order;

mod tally;

mod coding;

mod subscriber;

mod shared;

mod crowd;

mod publisher;

mod server;

mod session;

mod progress;

mod report;

mod plot;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::sync::oneshot;

use crate::Failure;
use crate::units::{parse_duration, parse_size};

use limits::{DURATION_MAX, RATE_MAX, SIZE_MAX, SUBSCRIBERS_MAX};
use plan::{Pace, Plan, Target, make_room};
use report::Report;
use server::Server;
use shared::Shared;
use stamp::Stamp;

/// Put a load on a running hub and report what came of it
///
/// Subscribers 0, 1, 2, … read /events/bench/N, with N their number modulo --topics. Events are published to these topics in
/// turn, by POST /events. Each event says which one it is and when it was due: so each subscriber's losses, doubles and
/// reorderings are found, and a latency is the time from when the event was due, not from when it could be sent, to the
/// read of its end. Subscribers do not reconnect. Use it on hubs that are yours.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// The hub, such as http://127.0.0.1:3000; plain http only. A path is where the hub is nested
    url: String,

    /// How many subscribe
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=i64::from(SUBSCRIBERS_MAX)))]
    subscribers: u32,

    /// Over how many topics they are spread
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SUBSCRIBERS_MAX)))]
    topics: u32,

    /// Events published a second, over all topics
    #[arg(long, value_name = "EVENTS_PER_S", default_value = "10", value_parser = parse_rate)]
    rate: f64,

    /// In place of a rate, publish as soon as fewer than N events are on their way; latency then counts from sending
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u64).range(1..=4096))]
    in_flight: Option<u64>,

    /// The data of each event, in bytes, at least 36
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = parse_event_size)]
    size: u64,

    /// How long events are published for what is measured
    #[arg(long, value_name = "D", default_value = "10s", value_parser = parse_span)]
    duration: Duration,

    /// How long events are published before that: counted and checked, but not in the rates and latencies
    #[arg(long, value_name = "D", default_value = "1s", value_parser = parse_span)]
    warm_up: Duration,

    /// How long to wait for the last events; what has not come then is lost
    #[arg(long, value_name = "D", default_value = "10s", value_parser = parse_span)]
    drain: Duration,

    /// How many percent of the subscribers never read
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = parse_percent)]
    slow: f64,

    /// The hub's process on this machine: adds its CPU per delivery and memory per subscriber
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,

    /// A token that allows subscribing to bench/…, and publishing too unless there is another one for that
    #[arg(long, env = "FANFARE_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// A file of tokens, one a line, which the subscribers take in turn
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,

    /// How many percent of the events are private
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = parse_percent)]
    private: f64,

    /// A token that allows publishing to bench/… [default: the other one]
    #[arg(long, env = "FANFARE_PUBLISH_TOKEN", hide_env_values = true)]
    publish_token: Option<String>,

    /// Draw latency by percentile, and deliveries over time
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Print one JSON object in place of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  fanfare bench http://127.0.0.1:3000
  fanfare bench http://127.0.0.1:3000 --subscribers 10000 --rate 2 --duration 30s --server-pid $(pidof fanfare)
  fanfare bench http://127.0.0.1:3000 --in-flight 2 --plot saturation.svg

Exit codes: 0 each event came once and in order, 5 some were lost, doubled, reordered or came to the wrong topic, 2 wrong usage, 3 the
hub refused, 4 it could not be reached. Ctrl-C ends the load with the report so far; a second one at once, with 130.";

/// Something was lost, doubled or out of order.
const FAULTY: u8 = 5;

pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let server = args.server_pid.map(Server::find).transpose()?;
    // Before the load and not after it: nobody wants to hear of a missing folder then.
    let plot = args.plot.as_deref().map(PlotFile::open).transpose()?;
    let plan = Arc::new(args.plan().await?);
    make_room(plan.subscribers)?;
    let shared = Arc::new(Shared::new());
    let (sender, mut ended) = oneshot::channel();
    // A thread of its own and none of the runtime's, which would wait for it when a second Ctrl-C ends the program.
    std::thread::Builder::new().name("bench".to_owned()).spawn({
        let shared = Arc::clone(&shared);
        // Nobody is left to be told only when the program is at its end.
        move || drop(sender.send(session::run(plan, server, &shared).map(Box::new)))
    })?;
    let report = loop {
        tokio::select! {
            ended = &mut ended => break ended.context("the run has panicked")??,
            Ok(()) = tokio::signal::ctrl_c() => if shared.stop() {
                return Ok(ExitCode::from(130));
            }
        }
    };
    if let Some(plot) = plot {
        plot.write(&plot::svg(&report))?;
    }
    print(*report, args.json)
}

fn print(report: Report, is_json: bool) -> anyhow::Result<ExitCode> {
    let text = if is_json { report.json()? + "\n" } else { report.text() };
    io::stdout().write_all(text.as_bytes())?;
    for note in report.notes() {
        // Nobody is left to read it if this fails.
        let _ = writeln!(io::stderr(), "note: {note}");
    }
    let is_clean = report.is_clean();
    match report.published.failure {
        Some(failure) => Err(failure.into()),
        None if is_clean => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::from(FAULTY)),
    }
}

/// Where the plot goes. What it held stays until there is a new one.
struct PlotFile<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> PlotFile<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let unusable = |error| Failure::usage(format!("can't write the plot to {}: {error}", path.display()));
        Ok(Self { path, file: file.map_err(unusable)? })
    }

    fn write(mut self, svg: &str) -> anyhow::Result<()> {
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(svg.as_bytes()));
        written.with_context(|| format!("can't write the plot to {}", self.path.display()))
    }
}

impl BenchArgs {
    async fn plan(&self) -> Result<Plan, Failure> {
        let subscribers = self.subscribers as usize;
        let publish_token = self.publish_token.as_deref().or(self.token.as_deref());
        let file = self.token_file.as_deref().map(read_tokens).transpose()?.unwrap_or_default();
        let tokens: Vec<&str> = file.lines().chain(self.token.as_deref()).collect();
        Ok(Plan {
            target: Target::find(&self.url, &tokens, publish_token).await?,
            subscribers,
            slow: (subscribers as f64 * self.slow / 100.0).round() as usize,
            topics: self.topics as usize,
            pace: self.in_flight.map_or(Pace::Rate(self.rate), Pace::InFlight),
            size: usize::try_from(self.size).unwrap_or(usize::MAX),
            private: self.private / 100.0,
            warm_up: self.warm_up,
            duration: self.duration,
            drain: self.drain,
            run: fastrand::u32(..),
        })
    }
}

fn read_tokens(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::usage(format!("can't read the tokens in {}: {error}", path.display())))?;
    if text.lines().any(|line| line.trim().is_empty()) || text.is_empty() {
        return Err(Failure::usage(format!("{} must hold a token on each line", path.display())));
    }
    Ok(text)
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= RATE_MAX);
    rate.ok_or_else(|| format!("write a number of events a second, above 0 and up to {RATE_MAX}"))
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse().ok();
    percent.filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| "write a number from 0 to 100".to_owned())
}

fn parse_event_size(text: &str) -> Result<u64, String> {
    let size = parse_size(text)?;
    let range = Stamp::BYTES as u64..=SIZE_MAX;
    let reason = || format!("write a size from {} (an event's number and time) to {SIZE_MAX} bytes", range.start());
    if range.contains(&size) { Ok(size) } else { Err(reason()) }
}

fn parse_span(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    let reason = || format!("write at most {} days", DURATION_MAX.as_secs() / (24 * 60 * 60));
    if duration <= DURATION_MAX { Ok(duration) } else { Err(reason()) }
}
