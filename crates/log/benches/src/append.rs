//! Durable appends.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use fanfare_log::{DiskLog, DiskSettings, Log, Place, Retention, Timestamp};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::measure::{Better, Table, percentile, processor_time, sync_time};
use crate::workload::Workload;

const PUBLISHERS: u64 = 256;

pub fn settings() -> DiskSettings {
    DiskSettings::new(Retention { bytes: Some(64 << 30), ..Retention::default() }, Timestamp(1_750_000_000_000))
}

pub fn round(folder: &Path, events: u64, table: &mut Table) {
    let total = (events / 10).max(1000);
    for (name, publishers) in [
        ("as threads", as_threads as fn(&DiskLog, u64) -> Vec<f64>),
        ("as tasks on 2 threads", as_tasks),
        ("from one thread", from_one_thread),
    ] {
        table.add("4 KiB append and sync, before it", "", "ms", Better::Less, sync_time(folder));
        let folder = tempfile::tempdir_in(folder).expect("a folder");
        let log = DiskLog::open(folder.path(), settings()).expect("a log");
        let (start, used) = (Instant::now(), processor_time());
        let mut times = publishers(&log, total);
        let seconds = start.elapsed().as_secs_f64();
        let used = (processor_time() - used).as_secs_f64();
        let name = format!("256 publishers {name}");
        table.add(&name, "≥ 150,000", "events/s", Better::More, total as f64 / seconds);
        table.add(&format!("{name}, p99"), "≤ 5", "ms", Better::Less, percentile(&mut times, 99.0));
        table.add(&format!("{name}, CPU"), "", "µs/event", Better::Less, used * 1e6 / total as f64);
    }
    for batch in [1, 16, 256, 4096] {
        batches(folder, batch, events.min(batch as u64 * 3000), table);
    }
}

fn batches(folder: &Path, batch: usize, total: u64, table: &mut Table) {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let log = DiskLog::open(folder.path(), settings()).expect("a log");
    let mut workload = Workload::new(1);
    let (mut seconds, mut used) = (0.0, 0.0);
    let mut times = Vec::new();
    for _ in 0..total / batch as u64 {
        // Making the events is not measured.
        let drafts = workload.batch(batch);
        let (start, before) = (Instant::now(), processor_time());
        pollster::block_on(log.store(drafts, Place::Next)).expect("an append");
        times.push(start.elapsed().as_secs_f64() * 1e3);
        seconds += start.elapsed().as_secs_f64();
        used += (processor_time() - before).as_secs_f64();
    }
    let bars = if batch == 256 { ("≥ 500,000", "≤ 1") } else { ("", "") };
    table.add(&format!("batches of {batch}"), bars.0, "events/s", Better::More, total as f64 / seconds);
    table.add(&format!("batches of {batch}, CPU"), bars.1, "µs/event", Better::Less, used * 1e6 / total as f64);
    table.add(&format!("batches of {batch}, p99"), "", "ms", Better::Less, percentile(&mut times, 99.0));
}

/// One event at a time, each waiting for its answer. Gives the times in milliseconds.
fn as_threads(log: &DiskLog, total: u64) -> Vec<f64> {
    let times = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let times = &times;
            scope.spawn(move || {
                let mut workload = Workload::new(publisher);
                let own: Vec<f64> = (0..total / PUBLISHERS)
                    .map(|_| {
                        let start = Instant::now();
                        pollster::block_on(log.store(vec![workload.draft()], Place::Next)).expect("an append");
                        start.elapsed().as_secs_f64() * 1e3
                    })
                    .collect();
                times.lock().expect("times").extend(own);
            });
        }
    });
    times.into_inner().expect("times")
}

fn as_tasks(log: &DiskLog, total: u64) -> Vec<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let left = AtomicU64::new(total);
    let times = Mutex::new(Vec::new());
    // The tasks borrow the log, so they run within two that poll many each.
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (left, times, runtime) = (&left, &times, &runtime);
            scope.spawn(move || {
                runtime.block_on(async {
                    let publishers: FuturesUnordered<_> = (0..PUBLISHERS / 2)
                        .map(|publisher| async move {
                            let mut workload = Workload::new(half * PUBLISHERS + publisher);
                            let mut own = Vec::new();
                            while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                                let start = Instant::now();
                                log.store(vec![workload.draft()], Place::Next).await.expect("an append");
                                own.push(start.elapsed().as_secs_f64() * 1e3);
                            }
                            own
                        })
                        .collect();
                    let own: Vec<Vec<f64>> = publishers.collect().await;
                    times.lock().expect("times").extend(own.into_iter().flatten());
                });
            });
        }
    });
    times.into_inner().expect("times")
}

fn from_one_thread(log: &DiskLog, total: u64) -> Vec<f64> {
    let mut workload = Workload::new(1);
    let mut waiting = FuturesUnordered::new();
    let mut times = Vec::with_capacity(total as usize);
    let mut publish = || {
        let start = Instant::now();
        let stored = log.store(vec![workload.draft()], Place::Next);
        async move {
            stored.await.expect("an append");
            start.elapsed().as_secs_f64() * 1e3
        }
    };
    pollster::block_on(async {
        for _ in 0..PUBLISHERS.min(total) {
            waiting.push(publish());
        }
        for _ in PUBLISHERS..total {
            times.extend(waiting.next().await);
            waiting.push(publish());
        }
        while let Some(time) = waiting.next().await {
            times.push(time);
        }
    });
    times
}
