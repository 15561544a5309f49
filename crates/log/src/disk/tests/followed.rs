//! A log that follows somebody else's order, on a disk whose power goes out at any operation.

use super::*;

fn followed(retention: Retention, durability: Durability) -> DiskSettings {
    DiskSettings { order: Order::Followed, durability, ..small(retention) }
}

fn at(epoch: u64, offset: u64) -> Position {
    Position { epoch: Epoch(epoch), offset }
}

fn event(position: Position) -> Draft {
    draft(&["a"], None, 0, &format!(" {position} {}", "x".repeat(position.offset as usize % 300)))
}

fn positions(log: &DiskLog) -> Vec<Position> {
    read_all(log).iter().map(|record| record.position).collect()
}

#[test]
fn it_begins_where_it_is_told_and_opens_no_epoch() {
    let disk = TestDisk::new(1);
    let settings = followed(Retention::default(), Durability::Fsync);
    let log = open(&disk, settings.clone()).unwrap();
    assert_eq!(log.span().tail, at(0, 0));
    wait(log.begin_at(at(7, 4095))).unwrap();
    let first = wait(log.store(vec![event(at(7, 4096)); 2], Place::Onto { tail: at(7, 4095), first: at(7, 4096) }));
    assert_eq!(first.unwrap(), [at(7, 4096), at(7, 4097)]);
    drop(log);
    disk.crash();
    let log = open(&disk, settings).unwrap();
    assert_eq!((log.span().start, log.span().tail), (at(7, 4095), at(7, 4097)));
    assert_eq!(positions(&log), [at(7, 4096), at(7, 4097)]);
}

#[test]
fn what_is_on_its_way_is_not_stored_past_what_failed() {
    let disk = TestDisk::new(1);
    let log = open(&disk, followed(Retention::default(), Durability::Fsync)).unwrap();
    wait(log.begin_at(at(7, 4095))).unwrap();
    let store = |tail, first| wait(log.store(vec![event(first)], Place::Onto { tail, first }));
    store(at(7, 4095), at(7, 4096)).unwrap();
    assert_eq!(store(at(7, 8192), at(7, 12288)).unwrap_err().kind(), AppendErrorKind::NotStored);
    assert_eq!(wait(log.begin_at(at(7, 4096))).unwrap_err().kind(), AppendErrorKind::NotStored);
    assert_eq!(positions(&log), [at(7, 4096)]);
}

#[test]
fn whoever_stood_before_a_hole_is_told_and_the_files_go() {
    let disk = TestDisk::new(1);
    let settings = followed(Retention::default(), Durability::Fsync);
    let log = open(&disk, settings.clone()).unwrap();
    wait(log.begin_at(at(7, 0))).unwrap();
    for offset in 1..100 {
        wait(log.store(vec![event(at(7, offset))], Place::At(at(7, offset)))).unwrap();
    }
    let check = |log: &DiskLog, start: Position| {
        assert_eq!((log.span().start, log.usage().count), (start, 0));
        assert!(matches!(log.read(at(7, 50), Topics::All, ALL), Err(ReadError::Expired)));
        assert_eq!(log.locate(start), Located::Kept);
        assert_eq!(log.locate(Position { offset: start.offset + 1, ..start }), Located::Unknown);
    };
    wait(log.begin_at(at(7, 500))).unwrap();
    check(&log, at(7, 500));
    assert_eq!(log.locate(at(7, 50)), Located::Expired);
    wait(log.begin_at(at(8, 3))).unwrap();
    check(&log, at(8, 3));
    assert_eq!(log.locate(at(7, 50)), Located::Unknown);
    wait(log.store(vec![event(at(8, 4))], Place::At(at(8, 4)))).unwrap();
    log.shared.work.settle();
    assert_eq!(log.shared.folder.names().unwrap().iter().filter(|name| name.ends_with(".events")).count(), 2);
    drop(log);
    assert_eq!(positions(&open(&disk, settings).unwrap()), [at(8, 4)]);
}

#[test]
fn a_log_of_its_own_order_does_not_follow_and_the_other_way_round_opens_an_epoch() {
    let disk = TestDisk::new(1);
    let follows = || followed(Retention::default(), Durability::Fsync);
    drop(open(&disk, small(Retention::default())).unwrap());
    // One without an event has no order yet.
    let log = open(&disk, follows()).unwrap();
    assert_eq!(log.span().tail, at(0, 0));
    wait(log.begin_at(at(7, 0))).unwrap();
    wait(log.store(vec![event(at(7, 1))], Place::At(at(7, 1)))).unwrap();
    drop(log);
    let log = open(&disk, small(Retention::default())).unwrap();
    let own = append(&log, vec![event(at(0, 0))]).unwrap();
    assert_eq!((own[0].epoch > Epoch(7), log.usage().count), (true, 2));
    drop(log);
    assert!(matches!(open(&disk, follows()), Err(OpenError::OwnOrder(_))));
}

fn run(seed: u64, settings: &DiskSettings) {
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = TestDisk::new(seed);
    // What was acknowledged: where the history begins at least, and where it ends at least.
    let (mut begun, mut stored) = (at(0, 0), at(0, 0));
    for _ in 0..8 {
        let log = power::reopen(&disk, settings, &mut random);
        let (span, found) = (log.span(), positions(&log));
        if settings.durability == Durability::Fsync {
            assert!(span.start >= begun && span.tail >= stored, "{span:?} {begun} {stored}");
        }
        // Without a hole, whatever was lost.
        let expected = (span.start.offset + 1)..=span.tail.offset;
        let is_whole = found.iter().all(|position| position.epoch == span.tail.epoch)
            && found.iter().map(|position| position.offset).eq(expected);
        assert!(is_whole, "{span:?} {found:?}");
        let mut tail = span.tail;
        disk.set_fault(random.bool().then(|| Fault::Power(random.u64(1..60))));
        for _ in 0..random.usize(1..40) {
            if tail == at(0, 0) || random.u8(..20) == 0 {
                tail = Position { epoch: Epoch(tail.epoch.0 + random.u64(..2)), offset: tail.offset + 100 };
                if wait(log.begin_at(tail)).is_err() {
                    break;
                }
                // Until an event follows, a crash may leave either history or none.
                (begun, stored) = (at(0, 0), at(0, 0));
            }
            let start = log.span().start;
            let mut waiting = Vec::new();
            for _ in 0..random.usize(1..6) {
                let first = Position { offset: tail.offset + 1, ..tail };
                let batch: Vec<Draft> =
                    (0..random.u64(1..4)).map(|n| event(Position { offset: first.offset + n, ..first })).collect();
                let count = batch.len() as u64;
                waiting.push(log.store(batch, Place::Onto { tail, first }));
                tail.offset += count;
            }
            let outcomes: Vec<_> = waiting.into_iter().map(wait).collect();
            let held = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
            assert!(outcomes.iter().skip(held).all(Result::is_err), "nothing is stored past what failed");
            if let Some(Ok(positions)) = outcomes.iter().take(held).next_back() {
                (begun, stored) = (start, positions.last().copied().unwrap());
            }
            if held < outcomes.len() {
                break;
            }
        }
        drop(log);
        disk.set_fault(None);
        disk.crash();
    }
}

#[test]
fn power_leaves_no_hole_and_no_epoch_of_its_own() {
    for seed in 0..150 {
        run(seed, &followed(Retention::default(), Durability::Fsync));
        run(seed, &followed(Retention::default(), Durability::Os));
        run(seed, &followed(Retention { count: Some(5), ..Retention::default() }, Durability::Fsync));
    }
}
