//! Power that goes out at any operation, again and again, on a disk that forgets and tears what was not synced.

use super::*;
use std::collections::HashMap;
use std::sync::Mutex;

/// What publishers and readers were told.
#[derive(Debug, Default)]
struct Told {
    /// Acknowledged events with their topic, their id and what is in their frame.
    acknowledged: Vec<(Position, Option<String>, String)>,
    /// Events that were not acknowledged, by frame: each belongs to a batch of so many.
    batches: HashMap<String, (u64, usize)>,
    /// The first position of each chosen id that was acknowledged.
    firsts: HashMap<String, Position>,
    next_batch: u64,
}

fn frame_text(record: &Record) -> String {
    let position = record.position.to_string();
    str::from_utf8(&record.frame).unwrap().strip_prefix(&position).unwrap().to_owned()
}

/// Publishes until the power goes out or enough was published; several batches wait at a time.
fn publish(log: &DiskLog, told: &mut Told, random: &mut fastrand::Rng, batches: u64) {
    for _ in 0..batches {
        let mut waiting = Vec::new();
        for _ in 0..random.usize(1..5) {
            told.next_batch += 1;
            let count = random.usize(1..5);
            let events: Vec<(Option<String>, String)> = (0..count)
                .map(|index| {
                    let id = random.bool().then(|| format!("id {}", random.u8(..40)));
                    (id, format!(" {} {index} {}", told.next_batch, "x".repeat(random.usize(..400))))
                })
                .collect();
            for (_, frame) in &events {
                told.batches.insert(frame.clone(), (told.next_batch, count));
            }
            let drafts = events.iter().map(|(id, frame)| draft(&["a"], id.as_deref(), 0, frame)).collect();
            waiting.push((log.store(drafts, Place::Next), events));
        }
        for (future, events) in waiting {
            let Ok(positions) = wait(future) else { continue };
            for (position, (id, frame)) in positions.into_iter().zip(events) {
                if let Some(id) = &id {
                    told.firsts.entry(id.clone()).or_insert(position);
                }
                told.acknowledged.push((position, id, frame));
            }
        }
    }
}

/// Every acknowledged event that was not trimmed is there, in order; every batch is whole; ids resolve.
fn check(log: &DiskLog, told: &Told, seen: &[Position], retained: u64) {
    log.shared.work.settle();
    let start = log.span().start;
    let records = read_all(log);
    assert!(records.len() as u64 >= retained.min(told.acknowledged.len() as u64), "never less than was asked");
    assert!(records.is_sorted_by(|one, next| one.position < next.position));
    let found: HashMap<Position, &Arc<Record>> = records.iter().map(|record| (record.position, record)).collect();
    for (position, _, frame) in told.acknowledged.iter().filter(|(position, _, _)| *position > start) {
        let record = found.get(position).unwrap_or_else(|| panic!("{position} was acknowledged and is lost"));
        assert_eq!(frame_text(record), *frame, "{position}");
    }
    for position in seen.iter().filter(|position| **position > start) {
        assert!(found.contains_key(position), "{position} was seen and is lost");
    }
    let mut sizes: HashMap<u64, (usize, usize)> = HashMap::new();
    for record in &records {
        let (batch, count) = told.batches[&frame_text(record)];
        sizes.entry(batch).or_insert((0, count)).0 += 1;
    }
    // Of the oldest batch a part may have been trimmed.
    let oldest = records.first().map(|record| told.batches[&frame_text(record)].0);
    let is_whole = |batch: &u64, (found, count): &(usize, usize)| found == count || Some(*batch) == oldest;
    assert!(sizes.iter().all(|(batch, sizes)| is_whole(batch, sizes)), "no batch is half there");
    for (id, first) in told.firsts.iter().filter(|(_, first)| **first > start) {
        let found = log.position_of(id).unwrap().unwrap();
        // One that was stored and not acknowledged may be before it.
        assert!(found <= *first, "{id} is at {first} and not at {found}");
    }
    let by_topic: TopicSet = std::iter::once(Arc::from("a")).collect();
    assert_eq!(read_from(log, log.span().start, Topics::Any(&by_topic), ALL).len(), records.len());
}

pub(super) fn reopen(disk: &TestDisk, settings: &DiskSettings, random: &mut fastrand::Rng) -> DiskLog {
    loop {
        // The power may go out while the log recovers, too.
        let is_failing = random.u8(..3) == 0;
        disk.set_fault(is_failing.then(|| Fault::Power(random.u64(1..20))));
        match open(disk, settings.clone()) {
            Ok(log) => {
                disk.set_fault(None);
                if !disk.is_off() {
                    return log;
                }
                drop(log);
                disk.crash();
            }
            Err(error) if is_failing => {
                assert!(matches!(error, OpenError::Io(..)), "{error}");
                disk.crash();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn run(seed: u64, settings: &DiskSettings) {
    let retained = settings.retention.count.unwrap_or(u64::MAX);
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = TestDisk::new(seed);
    let mut told = Told::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for round in 0..6 {
        let settings = DiskSettings { now: Timestamp(NOW.0 + round), ..settings.clone() };
        let log = reopen(&disk, &settings, &mut random);
        check(&log, &told, &seen.lock().unwrap(), retained);
        let seeing = seen.clone();
        log.on_advance(Box::new(move |tail| seeing.lock().unwrap().push(tail)));
        if random.bool() {
            disk.set_fault(Some(Fault::Power(random.u64(1..120))));
        }
        publish(&log, &mut told, &mut random, 12);
        drop(log);
        disk.crash();
    }
    let log = open(&disk, settings.clone()).unwrap();
    check(&log, &told, &seen.lock().unwrap(), retained);
    append(&log, vec![draft(&["b"], None, 0, " last")]).unwrap();
}

#[test]
fn what_was_acknowledged_or_seen_outlasts_any_crash() {
    for seed in 0..150 {
        run(seed, &small(Retention::default()));
    }
}

/// Segments are removed while the power goes out: never so that one is missing between others.
#[test]
fn the_same_while_the_history_is_trimmed() {
    for seed in 2000..2080 {
        let retention = Retention { count: Some(30), ..Retention::default() };
        run(seed, &DiskSettings { segment_bytes: Some(4096), ..small(retention) });
    }
}

/// One large segment: the crash is always in the middle of it.
#[test]
fn the_same_in_one_segment() {
    for seed in 1000..1060 {
        run(seed, &DiskSettings { segment_bytes: Some(1 << 20), ..small(Retention::default()) });
    }
}

/// Without syncs a machine that stops may lose the newest events: what is left is their beginning, and no position is
/// used twice.
#[test]
fn without_syncs_a_crash_of_the_machine_loses_an_end_and_opens_an_epoch() {
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let disk = TestDisk::new(seed);
        let settings = |boot: &str, now| DiskSettings {
            durability: Durability::Os,
            boot: Some(boot.into()),
            now: Timestamp(now),
            ..small(Retention::default())
        };
        let mut told = Told::default();
        let log = open(&disk, settings("first", 1000)).unwrap();
        publish(&log, &mut told, &mut random, 30);
        disk.set_fault(Some(Fault::Power(1)));
        drop(log);
        disk.crash();
        let log = open(&disk, settings("second", 1000)).unwrap();
        let kept = read_all(&log);
        let acknowledged: Vec<_> = told.acknowledged.iter().map(|(position, _, _)| *position).collect();
        let positions: Vec<_> = kept.iter().map(|record| record.position).collect();
        assert!(acknowledged.starts_with(&positions));
        let [next] = append(&log, vec![draft(&["b"], None, 0, "")]).unwrap()[..] else { panic!("one position") };
        assert_eq!(next, Position { epoch: Epoch(1001), offset: 1 });
        if let Some(lost) = acknowledged.get(positions.len()) {
            assert_eq!(log.locate(*lost), Located::Unknown);
        }
        if let Some(last) = positions.last() {
            assert_eq!(log.locate(*last), Located::Kept);
            assert_eq!(log.read(*last, Topics::All, ALL).unwrap().records[0].position, next);
        }
    }
}

/// When the process alone dies the system still has all of it: nothing is lost, and the epoch goes on.
#[test]
fn without_syncs_a_crash_of_the_process_loses_nothing() {
    let disk = TestDisk::new(1);
    let settings = DiskSettings { durability: Durability::Os, boot: Some("one".into()), ..small(Retention::default()) };
    let log = open(&disk, settings.clone()).unwrap();
    let last = (0..300).flat_map(|n| append(&log, vec![draft(&["a"], None, n, "x")]).unwrap()).last().unwrap();
    let left_behind = disk.copy();
    drop(log);
    let log = open(&left_behind, settings).unwrap();
    assert_eq!((log.span().tail, read_all(&log).len()), (last, 300));
}

/// What a process wrote and did not sync may be read after it died, and must not be lost once somebody has read it.
#[test]
fn what_a_start_finds_is_synced_before_anybody_reads_it() {
    let mut found = 0;
    for seed in 0..60 {
        let disk = TestDisk::new(seed);
        let settings = small(Retention::default());
        let log = open(&disk, settings.clone()).unwrap();
        log.shared.work.settle();
        disk.hold_syncs(true);
        let stored = log.store(vec![draft(&["a"], None, 0, "text")], Place::Next);
        disk.wait_for_held_sync();
        let left_behind = disk.left_behind();
        disk.hold_syncs(false);
        drop(stored);
        let log = open(&left_behind, settings.clone()).unwrap();
        let seen = read_all(&log);
        left_behind.set_fault(Some(Fault::Power(1)));
        drop(log);
        left_behind.crash();
        assert_eq!(read_all(&open(&left_behind, settings).unwrap()), seen, "seed {seed}");
        found += seen.len();
    }
    assert_eq!(found, 60);
}
