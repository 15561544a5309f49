//! One run, from the first connection to the report.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::crowd::{Counted, Crowd};
use super::limits::{DRAIN_LOOK_INTERVAL, LINGER, POLL_INTERVAL, SETTLE};
use super::plan::Plan;
use super::progress::ProgressLine;
use super::publisher::{Published, Publisher};
use super::report::{Report, ServerFigures, count, latency};
use super::server::Server;
use super::shared::Shared;

/// Connects, publishes, waits for the rest, on the calling thread and one more.
pub(super) fn run(plan: Arc<Plan>, server: Option<Server>, shared: &Arc<Shared>) -> anyhow::Result<Report> {
    let mut progress = ProgressLine::new();
    let memory = |server: &Option<Server>| server.as_ref().and_then(|server| server.memory_bytes().ok());
    let memory_before = memory(&server);
    let mut crowd = Crowd::new(Arc::clone(&plan), Arc::clone(shared))?;
    let connected = crowd.connect(&mut progress).inspect_err(|_| progress.clear())?;
    crowd.linger(SETTLE)?;
    let memory_after = memory(&server);

    let publisher = Publisher::new(Arc::clone(&plan), Arc::clone(shared))?;
    let published = std::thread::Builder::new().name("publisher".to_owned()).spawn({
        let server = server.clone();
        move || publisher.run(server.as_ref())
    })?;
    let (published, busy) = read_while(published, &mut crowd, &plan, shared, &mut progress)?;
    drain(&mut crowd, &published, &plan, &mut progress)?;
    let cpu_after = server.as_ref().and_then(|server| server.cpu().ok());
    crowd.linger(LINGER)?;
    progress.clear();

    let lost = crowd.missing(published.events, Counted::Everyone);
    let tally = crowd.into_tally();
    let per_subscriber =
        |(before, after): (u64, u64)| (after as f64 - before as f64) / connected.subscribers.max(1) as f64;
    let cpu = published.cpu_before.as_ref().zip(cpu_after).map(|(before, after)| after.since(before));
    let server = server.map(|_| ServerFigures {
        cpu_us_per_delivery: cpu
            .filter(|_| tally.measured > 0)
            .map(|cpu| cpu.as_secs_f64() * 1e6 / tally.measured as f64),
        memory_bytes_per_subscriber: memory_before.zip(memory_after).map(per_subscriber),
    });
    let is_stopped = shared.is_stopped();
    Ok(Report { plan, connected, published, tally, lost, busy, server, is_stopped })
}

/// Reads while the other thread publishes. Gives what that has done, and how much of the measured time reading took.
fn read_while(
    publisher: JoinHandle<Published>,
    crowd: &mut Crowd,
    plan: &Plan,
    shared: &Shared,
    progress: &mut ProgressLine,
) -> anyhow::Result<(Published, f64)> {
    let mut measured_since = None;
    while !publisher.is_finished() {
        crowd.turn(POLL_INTERVAL)?;
        let tally = crowd.tally();
        if shared.set_delivered(tally.delivered) {
            publisher.thread().unpark();
        }
        if measured_since.is_none() && shared.window().is_some() {
            measured_since = Some((Instant::now(), own_cpu()));
        }
        progress.show(|| {
            let so_far = format!("{} published, {} delivered", count(shared.published()), count(tally.delivered));
            let Some((start, _)) = measured_since else { return format!("warming up: {so_far}") };
            let (elapsed, of) = (start.elapsed().as_secs_f64(), plan.duration.as_secs_f64());
            let p99 = latency(tally.latency_us.value_at_quantile(0.99));
            format!("{elapsed:.1} s of {of} s: {so_far}, p99 {p99}")
        });
    }
    let busy = measured_since.map(|(start, cpu)| (own_cpu() - cpu).as_secs_f64() / start.elapsed().as_secs_f64());
    let published = publisher.join().map_err(|_| anyhow::anyhow!("the publishing thread has panicked"))?;
    Ok((published, busy.unwrap_or_default()))
}

/// Waits until all has come that still can, with the patience that was asked for.
fn drain(crowd: &mut Crowd, published: &Published, plan: &Plan, progress: &mut ProgressLine) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let missing = crowd.missing(published.events, Counted::Open);
        if missing == 0 || start.elapsed() >= plan.drain {
            return Ok(());
        }
        progress.show(|| format!("waiting for {} deliveries", count(missing)));
        crowd.linger(DRAIN_LOOK_INTERVAL)?;
    }
}

/// Processor time of the calling thread.
fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
