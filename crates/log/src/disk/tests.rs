use super::*;
use crate::{AppendErrorKind, Epoch, Frame, Id, MemoryLog, Record, Retention, TopicSet, Visibility};
use pollster::block_on as wait;
use proptest::prelude::*;
use test_disk::{Fault, TestDisk};

/// A disk that forgets, tears and fails.
mod test_disk;

/// The log in memory as the oracle.
mod oracle;

/// Power that goes out at any operation.
mod power;

/// Somebody else's order.
mod followed;

/// The Nth operation that fails, and a disk that is full.
mod faults;

/// Files that are not what was written.
mod damage_found;

/// What stays when not all may.
mod retained;

const NOW: Timestamp = Timestamp(0x19a_0000_0000);
const ALL: ReadBudget = ReadBudget { records: usize::MAX, bytes: usize::MAX, examined: usize::MAX };

/// Small enough that a short test goes through many segments, and reads the files.
fn small(retention: Retention) -> DiskSettings {
    DiskSettings {
        index_bytes: 4096,
        recent_bytes: 4096,
        segment_bytes: Some(8192),
        ..DiskSettings::new(retention, NOW)
    }
}

fn open(disk: &TestDisk, settings: DiskSettings) -> Result<DiskLog, OpenError> {
    DiskLog::open_in(Arc::new(disk.clone()), settings)
}

fn draft(topics: &[&str], id: Option<&str>, time: u64, frame: &str) -> Draft {
    Draft {
        topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
        id: id.map_or(Id::Position, |id| Id::Chosen(id.into())),
        visibility: Visibility::Public,
        time: Timestamp(NOW.0 + time),
        frame: Frame::with_slot(frame.to_owned(), 0),
    }
}

fn append(log: &DiskLog, batch: Vec<Draft>) -> Result<Vec<Position>, AppendError> {
    wait(log.store(batch, Place::Next))
}

fn read_from(log: &dyn Log, after: Position, topics: Topics<'_>, budget: ReadBudget) -> Vec<Arc<Record>> {
    let (mut cursor, mut records) = (after, Vec::new());
    while cursor < log.span().tail {
        let batch = log.read(cursor, topics, budget).unwrap();
        assert!(batch.end > cursor, "a read moves on");
        cursor = batch.end;
        records.extend(batch.records);
    }
    records
}

fn read_all(log: &dyn Log) -> Vec<Arc<Record>> {
    read_from(log, log.span().start, Topics::All, ALL)
}

fn offsets(records: &[Arc<Record>]) -> Vec<u64> {
    records.iter().map(|record| record.position.offset).collect()
}

#[test]
fn what_was_acknowledged_is_there_after_a_start_and_the_positions_go_on() {
    let disk = TestDisk::new(1);
    let log = open(&disk, small(Retention::default())).unwrap();
    let epoch = log.span().tail.epoch;
    assert_eq!((epoch, log.span().tail.offset, log.span().oldest), (Epoch(NOW.0), 0, None));
    let positions: Vec<_> = (0..500)
        .flat_map(|n| append(&log, vec![draft(&["a"], None, n, " first"), draft(&["b"], None, n, " second")]).unwrap())
        .collect();
    assert_eq!(positions.iter().map(|position| position.offset).collect::<Vec<_>>(), (1..=1000).collect::<Vec<_>>());
    drop(log);

    let log = open(&disk, small(Retention::default())).unwrap();
    let records = read_all(&log);
    assert_eq!(offsets(&records), (1..=1000).collect::<Vec<_>>());
    assert_eq!(records[999].frame, format!("{} second", positions[999]));
    assert_eq!(append(&log, vec![draft(&["a"], None, 0, "")]).unwrap(), [Position { epoch, offset: 1001 }]);
    assert_eq!(log.torn_tail(), None);
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = DiskSettings::new(Retention::default(), NOW);
    let log = DiskLog::open(folder.path(), settings.clone()).unwrap();
    let refused = DiskLog::open(folder.path(), settings.clone()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
    assert!(matches!(DiskLog::inspect(folder.path()), Err(OpenError::InUse(_))));
    drop(log);
    DiskLog::open(folder.path(), settings).unwrap();
}

#[test]
fn a_new_folder_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new");
    let _log = DiskLog::open(&folder, DiskSettings::new(Retention::default(), NOW)).unwrap();
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700, "private events are in it");
}

#[test]
fn a_batch_larger_than_a_segment_is_stored_and_one_over_the_limit_is_not() {
    let disk = TestDisk::new(1);
    let log = open(&disk, small(Retention::default())).unwrap();
    let large = "x".repeat(100_000);
    for _ in 0..3 {
        append(&log, vec![draft(&["a"], None, 0, "small")]).unwrap();
        append(&log, vec![draft(&["a"], None, 0, &large), draft(&["a"], None, 0, &large)]).unwrap();
    }
    let too_many = vec![draft(&["a"], None, 0, ""); BATCH_EVENTS_MAX + 1];
    assert_eq!(append(&log, too_many).unwrap_err().kind(), AppendErrorKind::NotStored);
    assert_eq!(read_all(&log).len(), 9);
    drop(log);
    assert_eq!(read_all(&open(&disk, small(Retention::default())).unwrap()).len(), 9);
}

#[test]
fn positions_can_be_given_and_must_grow() {
    let disk = TestDisk::new(1);
    let log = open(&disk, small(Retention::default())).unwrap();
    let place = |epoch, offset| Place::At(Position { epoch: Epoch(epoch), offset });
    let one = || vec![draft(&["a"], Some("x"), 0, "")];
    let epoch = NOW.0;
    for given in [place(epoch, 4096), place(epoch, 8192), place(epoch + 1, 3), place(epoch + 1, 1 << 60)] {
        wait(log.store(one(), given)).unwrap();
    }
    for stale in [place(epoch + 1, 3), place(epoch, 9999), place(epoch + 1, u64::MAX)] {
        assert_eq!(wait(log.store(one(), stale)).unwrap_err().kind(), AppendErrorKind::NotStored);
    }
    drop(log);
    let log = open(&disk, small(Retention::default())).unwrap();
    assert_eq!(offsets(&read_all(&log)), [4096, 8192, 3, 1 << 60]);
    assert_eq!(log.position_of("x").unwrap(), Some(Position { epoch: Epoch(epoch), offset: 4096 }));
    assert_eq!(log.locate(Position { epoch: Epoch(epoch), offset: 8193 }), Located::Unknown);
    assert_eq!(log.locate(Position { epoch: Epoch(epoch), offset: 5000 }), Located::Kept);
}

#[test]
fn readers_are_told_when_the_tail_moves_and_can_read_it_then() {
    let disk = TestDisk::new(1);
    let log = Arc::new(open(&disk, small(Retention::default())).unwrap());
    let (told, telling) = std::sync::mpsc::channel();
    let reader = Arc::downgrade(&log);
    log.on_advance(Box::new(move |tail| {
        let seen = reader.upgrade().map(|log| log.span().tail >= tail);
        told.send((tail.offset, seen)).unwrap();
    }));
    append(&log, vec![draft(&["a"], None, 0, ""), draft(&["a"], None, 0, "")]).unwrap();
    append(&log, vec![draft(&["a"], None, 0, "")]).unwrap();
    assert_eq!(telling.iter().take(2).collect::<Vec<_>>(), [(2, Some(true)), (3, Some(true))]);
}

/// Publishers at full speed, readers with cursors that come and go: each sees the exact sequence of its topic.
#[test]
fn no_reader_misses_doubles_or_reorders_an_event_while_publishers_run() {
    let disk = TestDisk::new(1);
    let log = Arc::new(open(&disk, small(Retention::default())).unwrap());
    let (publishers, each) = (4, 300_u64);
    let total = publishers * each;
    thread::scope(|scope| {
        for publisher in 0..publishers {
            let log = log.clone();
            scope.spawn(move || {
                let topic = format!("topic {publisher}");
                for n in 0..each {
                    append(&log, vec![draft(&[&topic, "all"], None, n, &format!(" {n}"))]).unwrap();
                }
            });
        }
        for reader in 0..8_u64 {
            let log = log.clone();
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(reader);
                let names: Vec<Arc<str>> = vec![format!("topic {}", reader % publishers).into()];
                let set: TopicSet = names.into_iter().collect();
                let topics = if reader < 4 { Topics::Any(&set) } else { Topics::All };
                let wanted = if reader < 4 { each } else { total };
                let mut seen: Vec<Arc<Record>> = Vec::new();
                let mut cursor = log.span().start;
                while (seen.len() as u64) < wanted {
                    let budget = ReadBudget {
                        records: random.usize(1..100),
                        bytes: random.usize(0..5000),
                        examined: random.usize(1..200),
                    };
                    let batch = log.read(cursor, topics, budget).unwrap();
                    cursor = batch.end;
                    seen.extend(batch.records);
                    thread::yield_now();
                }
                assert!(seen.is_sorted_by(|one, next| one.position < next.position));
                for publisher in 0..publishers {
                    let topic = format!("topic {publisher}");
                    let frames = seen.iter().filter(|record| *record.topics[0] == *topic);
                    let numbers: Vec<u64> = frames
                        .map(|record| {
                            str::from_utf8(&record.frame).unwrap().split(' ').nth(1).unwrap().parse().unwrap()
                        })
                        .collect();
                    assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
                }
            });
        }
    });
}

#[test]
fn a_read_by_topic_gives_each_record_once_and_moves_past_the_others() {
    let disk = TestDisk::new(1);
    let settings = DiskSettings { recent_bytes: 0, ..small(Retention::default()) };
    let log = open(&disk, settings).unwrap();
    for n in 0..400 {
        let batch = vec![draft(&["a", "b", "a"], None, n, ""), draft(&["b"], None, n, ""), draft(&["c"], None, n, "")];
        append(&log, batch).unwrap();
    }
    append(&log, vec![draft(&["rare"], None, 0, "")]).unwrap();
    let set = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect::<TopicSet>();
    let start = log.span().start;
    let both = read_from(&log, start, Topics::Any(&set(&["a", "b", "none"])), ReadBudget { examined: 20, ..ALL });
    assert_eq!(offsets(&both), (1..=1200).filter(|offset| offset % 3 != 0).collect::<Vec<_>>());
    let one_look = ReadBudget { examined: 1, ..ALL };
    let rare = log.read(start, Topics::Any(&set(&["rare"])), one_look).unwrap();
    assert_eq!((offsets(&rare.records), rare.end.offset), (vec![1201], 1201), "a seek looks at what is wanted alone");
    let none = log.read(start, Topics::Any(&set(&["none"])), one_look).unwrap();
    assert_eq!((none.records.len(), none.end.offset), (0, 1201));
}

#[test]
fn a_budget_is_kept_and_a_large_record_still_comes() {
    let disk = TestDisk::new(1);
    let log = open(&disk, small(Retention::default())).unwrap();
    let frame = "x".repeat(1000);
    append(&log, (0..200).map(|n| draft(&["a"], None, n, &frame)).collect()).unwrap();
    let epoch = log.span().tail.epoch;
    let read = |offset, budget| log.read(Position { epoch, offset }, Topics::All, budget).unwrap();
    assert_eq!(offsets(&read(0, ReadBudget { records: 3, ..ALL }).records), [1, 2, 3]);
    assert_eq!(offsets(&read(3, ReadBudget { bytes: 2100, ..ALL }).records), [4, 5]);
    assert_eq!(offsets(&read(3, ReadBudget { bytes: 0, ..ALL }).records), [4]);
    assert_eq!(read(3, ReadBudget { examined: 5, ..ALL }).end.offset, 8);
}

#[test]
fn each_sync_that_publishers_wait_for_is_watched_and_no_other() {
    for (durability, expected) in [(Durability::Fsync, [3, 3]), (Durability::Os, [0, 0])] {
        let disk = TestDisk::new(1);
        let log = open(&disk, DiskSettings { durability, ..small(Retention::default()) }).unwrap();
        let calls = Arc::new(std::sync::Mutex::new([0, 0]));
        let counted = calls.clone();
        log.on_sync(Box::new(move || {
            counted.lock().unwrap()[0] += 1;
            let counted = counted.clone();
            Box::new(move || counted.lock().unwrap()[1] += 1)
        }));
        for n in 0..3 {
            append(&log, vec![draft(&["a"], None, n, "")]).unwrap();
        }
        assert_eq!(*calls.lock().unwrap(), expected, "{durability:?}");
    }
}

#[test]
fn what_arrives_while_a_sync_runs_shares_the_next_and_nobody_sees_it_before() {
    let disk = TestDisk::new(1);
    // Nothing but the writer syncs: it all fits in a segment.
    let settings = DiskSettings { index_bytes: 64 << 20, segment_bytes: Some(64 << 20), ..small(Retention::default()) };
    let log = open(&disk, settings).unwrap();
    log.shared.work.settle();
    let before = disk.syncs();
    disk.hold_syncs(true);
    let first = log.store(vec![draft(&["a"], None, 0, "")], Place::Next);
    disk.wait_for_held_sync();
    let next: Vec<_> = (0..300).map(|n| log.store(vec![draft(&["a"], None, n, "")], Place::Next)).collect();
    assert_eq!((log.span().oldest, read_all(&log).len()), (None, 0), "an event that is not durable is nobody's");
    disk.hold_syncs(false);
    assert_eq!(wait(first).unwrap()[0].offset, 1);
    let last = next.into_iter().map(|stored| wait(stored).unwrap()[0].offset).last();
    assert_eq!((last, disk.syncs() - before), (Some(301), 2));

    // A group is bounded: each of these is one.
    let full = || vec![draft(&["a"], None, 0, ""); BATCH_EVENTS_MAX];
    disk.hold_syncs(true);
    let first = log.store(full(), Place::Next);
    disk.wait_for_held_sync();
    let next: Vec<_> = (0..3).map(|_| log.store(full(), Place::Next)).collect();
    disk.hold_syncs(false);
    wait(first).unwrap();
    next.into_iter().for_each(|stored| drop(wait(stored).unwrap()));
    assert_eq!(disk.syncs() - before, 6);
}

/// The index holds hashes, and two terms may have the same: only the records tell.
#[test]
fn a_hash_that_collides_finds_nothing_wrong() {
    let disk = TestDisk::new(1);
    let log = open(&disk, DiskSettings { recent_bytes: 0, ..small(Retention::default()) }).unwrap();
    append(&log, vec![draft(&["a"], Some("x"), 0, "")]).unwrap();
    let segment = log.shared.history().entries().next().unwrap().segment.clone();
    let key = log.shared.key;
    if let segment::Index::Memory(terms) = &mut *segment.index_mut() {
        let ghosts = [key.id("y"), key.topic("b")];
        terms.add(log.span().tail, segment::HEAD_BYTES, ghosts.into_iter());
    }
    let set: TopicSet = std::iter::once(Arc::from("b")).collect();
    let batch = log.read(log.span().start, Topics::Any(&set), ALL).unwrap();
    assert_eq!((batch.records.len(), batch.end), (0, log.span().tail));
    assert_eq!(log.position_of("y").unwrap(), None);
    assert_eq!(log.position_of("x").unwrap(), Some(log.span().tail));
}
