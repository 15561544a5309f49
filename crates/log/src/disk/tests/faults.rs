//! One operation that fails, whichever it is, and a disk that is full.

use super::*;

/// Publishes until it works again, at most so many times.
fn append_at_last(log: &DiskLog, text: &str) -> Position {
    for _ in 0..20 {
        if let Ok(positions) = append(log, vec![draft(&["a"], None, 0, text)]) {
            return positions[0];
        }
    }
    panic!("the log does not work again: {:?}", log.trouble());
}

/// Does the same work with the Nth operation of a kind failing, for each N, until none fails any more.
fn each(kind: fn(u64) -> Fault) {
    for nth in 1.. {
        let disk = TestDisk::new(nth);
        let log = open(&disk, small(Retention { count: Some(0), ..Retention::default() })).unwrap();
        disk.set_fault(Some(kind(nth)));
        let (mut stored, mut unknown) = (Vec::new(), Vec::new());
        for n in 0..120 {
            let text = format!(" {n} {}", "x".repeat(300));
            match append(&log, vec![draft(&["a"], Some(&format!("id {n}")), 0, &text), draft(&["b"], None, 0, &text)]) {
                Ok(positions) => stored.extend(positions.into_iter().map(|position| (position, text.clone()))),
                Err(error) if error.kind() == AppendErrorKind::MaybeStored => unknown.push(text),
                Err(_) => {}
            }
        }
        let has_failed = disk.has_failed();
        disk.set_fault(None);
        let last = append_at_last(&log, " last");
        assert_eq!(log.trouble(), None);
        log.shared.work.settle();
        let kept = read_all(&log);
        assert_eq!(kept.last().map(|record| record.position), Some(last));
        drop(log);
        disk.crash();
        let log = open(&disk, small(Retention { count: Some(0), ..Retention::default() })).unwrap();
        log.shared.work.settle();
        for records in [kept, read_all(&log)] {
            let oldest = records[0].position;
            for (position, text) in stored.iter().filter(|(position, _)| *position >= oldest) {
                let found = records.iter().find(|record| record.position == *position).unwrap();
                assert_eq!(found.frame, format!("{position}{text}"));
            }
            // What was not acknowledged is there whole if it may be, and else not at all.
            let others: Vec<_> = records
                .iter()
                .filter(|record| record.position != last && !stored.iter().any(|(found, _)| *found == record.position))
                .collect();
            assert!(others.len().is_multiple_of(2) || oldest.offset > 1);
            for record in others {
                assert!(unknown.iter().any(|text| record.frame == format!("{}{text}", record.position)), "{record:?}");
            }
        }
        if !has_failed {
            assert!(nth > 8, "only {} operations failed", nth - 1);
            return;
        }
    }
}

#[test]
fn a_write_that_fails_loses_nothing_and_the_next_works() {
    each(Fault::Write);
}

#[test]
fn a_sync_that_fails_loses_nothing_and_the_log_is_repaired() {
    each(Fault::Sync);
}

#[test]
fn room_that_is_not_there_loses_nothing() {
    each(Fault::Allocate);
}

#[test]
fn a_folder_that_fails_loses_nothing() {
    each(Fault::Name);
}

/// A write that failed half way has whole batches on the disk already: who was told that they were not stored must not
/// find them after a crash.
#[test]
fn what_was_not_stored_does_not_come_back() {
    let mut refused = 0;
    for seed in 0..120 {
        let disk = TestDisk::new(seed);
        let settings = DiskSettings { segment_bytes: Some(1 << 20), ..small(Retention::default()) };
        let log = open(&disk, settings.clone()).unwrap();
        log.shared.work.settle();
        disk.hold_syncs(true);
        let first = log.store(vec![draft(&["a"], None, 0, "first")], Place::Next);
        disk.wait_for_held_sync();
        let group: Vec<_> = (0..20).map(|n| log.store(vec![draft(&["b"], None, n, "")], Place::Next)).collect();
        // The group's first write may be a part of it, and then the second is the one that fails.
        disk.set_fault(Some(Fault::Write(2)));
        disk.hold_syncs(false);
        wait(first).unwrap();
        let stored = group.into_iter().filter_map(|stored| wait(stored).ok()).count();
        disk.set_fault(Some(Fault::Power(1)));
        drop(log);
        disk.crash();
        let log = open(&disk, settings).unwrap();
        assert_eq!(read_all(&log).len(), 1 + stored, "seed {seed}");
        refused += usize::from(stored == 0);
    }
    assert!(refused > 10, "only {refused} groups failed");
}

#[test]
fn after_a_failed_sync_nothing_is_stored_until_the_log_is_repaired_and_reads_go_on() {
    let disk = TestDisk::new(1);
    let settings = DiskSettings { segment_bytes: Some(1 << 20), ..small(Retention::default()) };
    let log = open(&disk, settings).unwrap();
    log.shared.work.settle();
    append(&log, vec![draft(&["a"], None, 0, "before")]).unwrap();
    disk.set_fault(Some(Fault::Sync(1)));
    let failed = append(&log, vec![draft(&["a"], None, 0, "lost")]).unwrap_err();
    assert_eq!(failed.kind(), AppendErrorKind::MaybeStored, "{failed}");
    assert!(log.trouble().unwrap().contains("sync"), "{:?}", log.trouble());
    assert_eq!(crate::Engine::unready(&log), log.trouble());
    assert_eq!(read_all(&log).len(), 1, "readers never see it");
    // The repair fails as long as the disk does.
    disk.set_fault(Some(Fault::Write(1)));
    let refused = append(&log, vec![draft(&["a"], None, 0, "refused")]).unwrap_err();
    assert_eq!(refused.kind(), AppendErrorKind::NotStored);
    assert!(log.trouble().unwrap().contains("not repaired"), "{:?}", log.trouble());
    assert_eq!(append_at_last(&log, "after").offset, 2);
    assert_eq!(log.trouble(), None);
    assert_eq!(read_all(&log).len(), 2);
}

/// Without another publish the log repairs itself.
#[test]
fn the_log_is_repaired_without_being_asked() {
    let disk = TestDisk::new(1);
    let log = open(&disk, small(Retention::default())).unwrap();
    log.shared.work.settle();
    disk.set_fault(Some(Fault::Sync(1)));
    append(&log, vec![draft(&["a"], None, 0, "")]).unwrap_err();
    while log.trouble().is_some() {
        thread::yield_now();
    }
    append(&log, vec![draft(&["a"], None, 0, "")]).unwrap();
}

#[test]
fn a_full_disk_refuses_before_it_stores_and_works_again_when_there_is_room() {
    let disk = TestDisk::new(1);
    let settings = small(Retention::default());
    let log = open(&disk, settings.clone()).unwrap();
    disk.set_room(60_000);
    let text = "x".repeat(500);
    let mut stored = 0;
    let refused = loop {
        match append(&log, vec![draft(&["a"], None, 0, &text)]) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), AppendErrorKind::NotStored);
    assert!(refused.to_string().contains("the disk is full"), "{refused}");
    assert!(log.trouble().unwrap().contains("full"));
    assert!(stored > 20 && disk.used() <= 60_000);
    assert_eq!(read_all(&log).len(), stored);
    assert!(append(&log, vec![draft(&["a"], None, 0, &text)]).is_err());
    disk.set_room(120_000);
    append(&log, vec![draft(&["a"], None, 0, &text)]).unwrap();
    assert_eq!(log.trouble(), None);
    drop(log);
    assert_eq!(read_all(&open(&disk, settings).unwrap()).len(), stored + 1);
}

/// A disk that stays full keeps nobody from starting, and reading.
#[test]
fn a_log_on_a_full_disk_opens() {
    let disk = TestDisk::new(1);
    let settings = small(Retention::default());
    let log = open(&disk, settings.clone()).unwrap();
    (0..100).for_each(|n| drop(append(&log, vec![draft(&["a"], None, n, &"x".repeat(200))]).unwrap()));
    drop(log);
    disk.set_room(0);
    // The state is a small file; its room counts as there, as that of a page of the folder does.
    disk.set_room(disk.used() + 4096);
    let log = open(&disk, settings).unwrap();
    assert_eq!(read_all(&log).len(), 100);
}
