//! What stays when not all may, and what the files take.

use super::*;
use std::time::Duration;

#[test]
fn the_files_stay_within_the_limit_and_a_segment_and_a_quarter() {
    let disk = TestDisk::new(1);
    let limit = 1 << 20;
    let segment_bytes = 64 << 10;
    let retention = Retention { bytes: Some(limit), ..Retention::default() };
    let settings = DiskSettings { segment_bytes: Some(segment_bytes), ..small(retention) };
    let log = open(&disk, settings).unwrap();
    let text = "x".repeat(4000);
    for n in 0..150 {
        append(&log, (0..8).map(|_| draft(&["a"], None, n, &text)).collect()).unwrap();
        log.shared.work.settle();
        let usage = log.usage();
        // A record and its place in an index take less than forty bytes beside its text.
        let kept = usage.count * (text.len() as u64 + 40);
        assert!(disk.used() <= kept + segment_bytes * 5 / 4, "{} bytes for {kept}", disk.used());
        // The slack of the byte limit is 1 MiB at least.
        assert!(usage.bytes <= 2 * limit, "{usage:?}");
        assert!(n < 50 || usage.bytes > limit, "never less than was asked: {usage:?}");
    }
}

#[test]
fn who_falls_behind_the_history_is_told() {
    let disk = TestDisk::new(1);
    let log = open(&disk, small(Retention { count: Some(0), ..Retention::default() })).unwrap();
    append(&log, (0..500).map(|n| draft(&["a"], None, n, "some text")).collect()).unwrap();
    log.shared.work.settle();
    let at = |offset| Position { offset, ..log.span().tail };
    assert_eq!(log.usage().count, 64, "the slack");
    assert_eq!((log.span().start, log.span().oldest), (at(436), Some(at(437))));
    assert!(matches!(log.read(at(435), Topics::All, ALL), Err(ReadError::Expired)));
    assert_eq!(log.read(at(436), Topics::All, ALL).unwrap().records.len(), 64);
    assert_eq!((log.locate(at(435)), log.locate(at(436))), (Located::Expired, Located::Kept));
}

#[test]
fn age_is_kept_without_appends_and_the_files_go() {
    let disk = TestDisk::new(1);
    let retention = Retention { age: Some(Duration::from_secs(60)), ..Retention::default() };
    let log = open(&disk, small(retention)).unwrap();
    (0..300).for_each(|n| drop(append(&log, vec![draft(&["a"], None, n, &"x".repeat(100))]).unwrap()));
    log.shared.work.settle();
    let files = disk.names().len();
    log.trim(Timestamp(NOW.0 + 100_000));
    log.shared.work.settle();
    let tail = log.span().tail;
    assert_eq!((log.usage(), log.span()), (Usage { count: 0, bytes: 0 }, Span { start: tail, oldest: None, tail }));
    assert!(disk.names().len() < files / 2, "{:?}", disk.names());
    append(&log, vec![draft(&["a"], None, 100_000, "")]).unwrap();
    assert_eq!(offsets(&read_all(&log)), [301]);
}

/// What has aged while no process had the log is never shown again.
#[test]
fn what_was_too_old_at_the_start_is_gone_from_the_first_read_on() {
    let disk = TestDisk::new(1);
    let settings = small(Retention { age: Some(Duration::from_secs(60)), ..Retention::default() });
    let log = open(&disk, settings.clone()).unwrap();
    let times = (0..10_000).map(|n| if n < 9_000 { 0 } else { 100_000 });
    let drafts: Vec<_> = times.map(|time| draft(&["a"], None, time, "")).collect();
    drafts.chunks(1000).for_each(|drafts| drop(append(&log, drafts.to_vec()).unwrap()));
    drop(log);
    let settings = DiskSettings { now: Timestamp(NOW.0 + 100_000), ..settings };
    assert_eq!(open(&disk, settings).unwrap().usage().count, 1000);
}

#[test]
fn the_first_of_several_records_with_an_id_is_its_position_and_stays_so() {
    let disk = TestDisk::new(1);
    let settings = small(Retention { count: Some(1), ..Retention::default() });
    let log = open(&disk, settings.clone()).unwrap();
    let at = |offset| Position { offset, ..log.span().tail };
    append(
        &log,
        vec![draft(&["a"], Some("x"), 0, ""), draft(&["a"], Some("y"), 0, ""), draft(&["a"], Some("x"), 0, "")],
    )
    .unwrap();
    append(&log, vec![draft(&["a"], Some("x"), 0, "")]).unwrap();
    assert_eq!(log.position_of("x").unwrap(), Some(at(1)));
    append(&log, (0..63).map(|_| draft(&["a"], None, 0, "")).collect()).unwrap();
    log.shared.work.settle();
    assert_eq!(log.span().oldest, Some(at(3)));
    assert_eq!(log.position_of("x").unwrap().map(|position| log.locate(position)), Some(Located::Expired));
    assert_eq!(log.position_of("y").unwrap(), None);
    drop(log);
    let log = open(&disk, settings).unwrap();
    log.shared.work.settle();
    let at = |offset| Position { offset, ..log.span().tail };
    assert_eq!(log.position_of("x").unwrap(), Some(at(1)));
    append(&log, vec![draft(&["a"], None, 0, ""), draft(&["a"], None, 0, "")]).unwrap();
    log.shared.work.settle();
    assert_eq!(log.position_of("x").unwrap(), None);
}

/// A reader that stands in the middle of a segment which is trimmed away meanwhile is told, or reads on.
#[test]
fn trimming_while_readers_read_is_told_or_not_noticed() {
    let disk = TestDisk::new(1);
    let log = Arc::new(open(&disk, small(Retention { count: Some(100), ..Retention::default() })).unwrap());
    let last = 3000;
    thread::scope(|scope| {
        scope.spawn(|| (0..last).for_each(|n| drop(append(&log, vec![draft(&["a"], None, n, "some text")]).unwrap())));
        for _ in 0..4 {
            let log = log.clone();
            scope.spawn(move || {
                let mut cursor = log.span().start;
                let mut expected = cursor.offset + 1;
                while cursor.offset < last {
                    match log.read(cursor, Topics::All, ReadBudget { records: 7, ..ALL }) {
                        Ok(batch) => {
                            for record in &batch.records {
                                assert_eq!(record.position.offset, expected);
                                expected += 1;
                            }
                            cursor = batch.end;
                        }
                        Err(ReadError::Expired) => {
                            cursor = log.span().start;
                            expected = cursor.offset + 1;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                assert_eq!(expected, last + 1);
            });
        }
    });
}
