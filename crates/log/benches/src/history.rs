//! A history of many events: replay, look-ups, opening.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fanfare_log::{DiskLog, Log, Place, Position, ReadBudget, RecordRef, TopicSet, Topics};

use crate::append::settings;
use crate::measure::{Better, Table, forget, memory, percentile};
use crate::trim::size_of;
use crate::workload::{CONTENT_BYTES, Workload, chosen_id};

/// Events of a topic that next to none have.
const RARE: u64 = 10;

pub fn run(folder: &Path, events: u64, rounds: u64, table: &mut Table) {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let folder = folder.path();
    eprintln!("making {events} events");
    build(folder, events);
    let indexed = size_of(folder) as f64 / events as f64;
    table.add("bytes on disk an event", "≤ 304", "", Better::Less, indexed);
    table.add("the same past the content", "≤ 32", "", Better::Less, indexed - CONTENT_BYTES);
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        table.add("memory of an open log, an event", "≤ 8", "bytes", Better::Less, memory_of(folder) / events as f64);
        let log = opened("open with side files, warm", "≤ 100", folder, table);
        replay(&log, events, "replay, warm", "≥ 10", table);
        look_up(&log, events, folder, table);
        drop(log);
        forget(folder);
        let log = opened("open with side files, cold", "≤ 100", folder, table);
        forget(folder);
        replay(&log, events, "replay, cold", "≥ 2", table);
        rare(&log, Some(folder), ("rare topic, first event, cold", "≤ 0.5"), table);
        drop(log);
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "index") {
                std::fs::remove_file(path).expect("an index");
            }
        }
        opened("open by scan", "≤ 3,000", folder, table);
    }
}

/// The argument with which the program measures the memory of an open log: in a process of its own, which has not freed
/// anything that a log could use again.
pub const MEMORY: &str = "memory";

fn memory_of(folder: &Path) -> f64 {
    let program = std::env::current_exe().expect("the program");
    let output = std::process::Command::new(program).arg(MEMORY).arg(folder).output().expect("the program runs");
    str::from_utf8(&output.stdout).expect("text").trim().parse().expect("a number")
}

/// Prints what opening the log in a folder and reading a little of it takes of memory, in bytes.
pub fn print_memory(folder: &Path) {
    let before = memory();
    let log = DiskLog::open(folder, settings()).expect("a log");
    log.read(log.span().start, Topics::All, FEW).expect("a read");
    println!("{}", memory() - before);
}

fn build(folder: &Path, events: u64) {
    let log = DiskLog::open(folder, settings()).expect("a log");
    let mut workload = Workload::new(1);
    let rare: Arc<str> = "rare".into();
    let mut n = 0;
    while n < events {
        let count = (events - n).min(1000);
        let drafts = (n..n + count)
            .map(|n| if n % (events / RARE) == 7 { workload.draft_of(rare.clone()) } else { workload.draft() })
            .collect();
        pollster::block_on(log.store(drafts, Place::Next)).expect("an append");
        n += count;
    }
}

fn opened(name: &str, bar: &'static str, folder: &Path, table: &mut Table) -> DiskLog {
    let start = Instant::now();
    let log = DiskLog::open(folder, settings()).expect("a log");
    table.add(name, bar, "ms", Better::Less, start.elapsed().as_secs_f64() * 1e3);
    log
}

fn replay(log: &DiskLog, events: u64, name: &str, bar: &'static str, table: &mut Table) {
    // What the hub gives one subscriber at a time.
    let budget = ReadBudget { records: 1024, bytes: 64 << 10, examined: 4096 };
    let start = Instant::now();
    let (mut cursor, mut count, mut bytes) = (log.span().start, 0, 0);
    while cursor < log.span().tail {
        let mut see = |record: RecordRef<'_>| (count, bytes) = (count + 1, bytes + record.frame.len());
        cursor = log.visit(cursor, Topics::All, budget, &mut see).expect("a read");
    }
    assert_eq!((count, bytes as u64), (events, events * 256));
    let rate = events as f64 / start.elapsed().as_secs_f64() / 1e6;
    table.add(name, bar, "M events/s", Better::More, rate);
    if name.contains("cold") {
        return;
    }
    for (label, budget) in [
        (", a record each", ReadBudget { records: 1024, bytes: 64 << 10, examined: 4096 }),
        (", a record each, 1 MiB a read", ReadBudget { records: 4096, bytes: 1 << 20, examined: 4096 }),
    ] {
        let start = Instant::now();
        let (mut cursor, mut count, mut bytes) = (log.span().start, 0, 0);
        while cursor < log.span().tail {
            let batch = log.read(cursor, Topics::All, budget).expect("a read");
            cursor = batch.end;
            count += batch.records.len() as u64;
            bytes += batch.records.iter().map(|record| record.frame.len()).sum::<usize>();
        }
        assert_eq!((count, bytes as u64), (events, events * 256));
        let rate = events as f64 / start.elapsed().as_secs_f64() / 1e6;
        table.add(&format!("{name}{label}"), "", "M events/s", Better::More, rate);
    }
}

const FEW: ReadBudget = ReadBudget { records: 1, bytes: 64 << 10, examined: 4096 };

fn look_up(log: &DiskLog, events: u64, folder: &Path, table: &mut Table) {
    let _ = folder;
    rare(log, None, ("rare topic, first event, warm, p99", "≤ 10"), table);
    let mut random = fastrand::Rng::with_seed(1);
    let mut times = Vec::new();
    for _ in 0..3000 {
        let n = random.u64(1..=events / 10) * 10;
        let id = chosen_id(n);
        let start = Instant::now();
        let found = log.position_of(&id).expect("a read");
        times.push(start.elapsed().as_secs_f64() * 1e6);
        assert_eq!(found.map(|position| position.offset), Some(n));
    }
    table.add("chosen id to position, warm, p99", "≤ 20", "µs", Better::Less, percentile(&mut times, 99.0));
    let mut times = Vec::new();
    let tail = log.span().tail;
    for _ in 0..3000 {
        let after = Position { offset: random.u64(0..events), ..tail };
        let start = Instant::now();
        let batch = log.read(after, Topics::All, ReadBudget { bytes: 0, ..FEW }).expect("a read");
        times.push(start.elapsed().as_secs_f64() * 1e6);
        assert_eq!(batch.records[0].position.offset, after.offset + 1);
    }
    table.add("position to its event, warm, p99", "", "µs", Better::Less, percentile(&mut times, 99.0));
}

/// Reads the first event of the rare topic past random positions. Cold, the system forgets the files before each.
fn rare(log: &DiskLog, cold: Option<&Path>, (name, bar): (&str, &'static str), table: &mut Table) {
    let set: TopicSet = std::iter::once(Arc::from("rare")).collect();
    let mut random = fastrand::Rng::with_seed(2);
    let (start, tail) = (log.span().start, log.span().tail);
    let (mut times, mut seeks) = (Vec::new(), 0);
    while seeks < if cold.is_some() { 12 } else { 3000 } {
        let after = Position { offset: random.u64(0..tail.offset * 9 / 10), ..start };
        if let Some(folder) = cold {
            forget(folder);
        }
        let begun = Instant::now();
        let batch = log.read(after, Topics::Any(&set), FEW).expect("a read");
        times.push(begun.elapsed().as_secs_f64() * if cold.is_some() { 1e3 } else { 1e6 });
        assert_eq!(batch.records.len(), 1);
        seeks += 1;
    }
    let unit = if cold.is_some() { "ms" } else { "µs" };
    table.add(name, bar, unit, Better::Less, percentile(&mut times, if cold.is_some() { 50.0 } else { 99.0 }));
}
