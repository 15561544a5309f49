//! Trimming while appending: the newest fifth of the events stays.

use std::path::Path;
use std::time::Instant;

use fanfare_log::{DiskLog, Log, Place, Retention};

use crate::append::settings;
use crate::measure::{Better, Table, percentile};
use crate::workload::Workload;

const BATCH: usize = 256;

pub fn round(folder: &Path, events: u64, table: &mut Table) {
    let kept = (events / 5).max(10_000);
    let without = run(folder, kept, Retention { bytes: Some(64 << 30), ..Retention::default() }, None);
    let retention = Retention { count: Some(kept), ..Retention::default() };
    let mut largest = 0;
    let with = run(folder, kept, retention, Some(&mut largest));
    let rate = |times: &[f64]| (times.len() * BATCH) as f64 * 1e3 / times.iter().sum::<f64>();
    table.add("appending without trimming", "", "events/s", Better::More, rate(&without));
    table.add("trimming while appending", "", "events/s", Better::More, rate(&with));
    table.add("the same in percent", "≥ 80", "%", Better::More, 100.0 * rate(&with) / rate(&without));
    let mut with = with;
    table.add("trimming, longest append", "≤ 20", "ms", Better::Less, percentile(&mut with, 100.0));
    table.add(
        "trimming, appends over 20 ms",
        "0",
        "",
        Better::Less,
        with.iter().filter(|time| **time > 20.0).count() as f64,
    );
    // Ten percent are the slack of the count. The study's segments have 64 MiB.
    let retained = kept as f64 * 1.1 * 300.0;
    let over = (largest as f64 - retained) / f64::from(1 << 20);
    table.add("trimming, files past the retained", "≤ 64", "MiB", Better::Less, over);
}

/// Appends as many again as are kept, to a log that is full, and gives the time of each batch in milliseconds.
fn run(folder: &Path, kept: u64, retention: Retention, mut largest: Option<&mut u64>) -> Vec<f64> {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let mut settings = settings();
    settings.retention = retention;
    let log = DiskLog::open(folder.path(), settings).expect("a log");
    let mut workload = Workload::new(1);
    for _ in 0..kept * 11 / 10 / 4096 + 1 {
        pollster::block_on(log.store(workload.batch(4096), Place::Next)).expect("an append");
    }
    let mut times = Vec::new();
    for n in 0..kept / BATCH as u64 {
        let drafts = workload.batch(BATCH);
        let start = Instant::now();
        pollster::block_on(log.store(drafts, Place::Next)).expect("an append");
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if let Some(largest) = &mut largest
            && n.is_multiple_of(64)
        {
            **largest = (**largest).max(size_of(folder.path()));
        }
    }
    times
}

/// Bytes of a folder's files. One that was just removed has none.
pub fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").metadata().map_or(0, |metadata| metadata.len())).sum()
}
