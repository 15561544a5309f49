//! Files that are cut, altered or anything at all: never a panic, never a wrong event, never one lost in silence.

use super::*;
use crate::disk::side::Side;
use crate::disk::stored::HEADER_BYTES;

const FIRST: &str = "0000000001.events";

/// A log of one segment, with its events; closed or left behind by a process that died.
fn one_segment(is_closed: bool) -> (TestDisk, Vec<Arc<Record>>, DiskSettings) {
    let settings = DiskSettings { segment_bytes: Some(8192), ..small(Retention::default()) };
    let disk = TestDisk::new(1);
    let log = open(&disk, settings.clone()).unwrap();
    for n in 0..12 {
        append(&log, vec![draft(&["topic"], Some(&format!("id {}", n % 5)), n, " text")]).unwrap();
    }
    append(&log, vec![draft(&["topic"], None, 12, " one"), draft(&["topic"], None, 12, " two")]).unwrap();
    let records = read_all(&log);
    log.shared.work.settle();
    let left_behind = disk.copy();
    drop(log);
    (if is_closed { disk } else { left_behind }, records, settings)
}

fn with_file(disk: &TestDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> TestDisk {
    let copy = disk.copy();
    let mut bytes = copy.content(name);
    change(&mut bytes);
    copy.put(name, bytes);
    copy
}

/// Where the records of a segment begin, and where the last one ends.
fn places(disk: &TestDisk, name: &str) -> Vec<usize> {
    let bytes = disk.content(name);
    let mut places = vec![segment::HEAD_BYTES as usize];
    let is_record =
        |at: &usize| bytes[*at..].first_chunk::<HEADER_BYTES>().is_some_and(|header| *header != [0; HEADER_BYTES]);
    while let Some(at) = places.last().copied().filter(is_record) {
        let len = u32::from_le_bytes(*bytes[at + 4..].first_chunk().unwrap());
        places.push(at + HEADER_BYTES + len as usize);
    }
    places
}

/// Opens and reads. Gives how many of the events are there, or the damage; anything else fails.
fn outcome(disk: &TestDisk, settings: &DiskSettings, records: &[Arc<Record>]) -> Result<usize, Damage> {
    let log = match open(disk, settings.clone()) {
        Ok(log) => log,
        Err(OpenError::Damaged(damage)) => return Err(damage),
        Err(error) => panic!("{error}"),
    };
    let mut cursor = log.span().start;
    let mut found = Vec::new();
    while cursor < log.span().tail {
        match log.read(cursor, Topics::All, ALL) {
            Ok(batch) => {
                cursor = batch.end;
                found.extend(batch.records);
            }
            Err(ReadError::Failed(error)) => return Err(error.downcast_ref::<Unreadable>().map(damage_of).unwrap()),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(records.starts_with(&found), "what is there is what was written");
    let [next] = append(&log, vec![draft(&["new"], None, 0, "")]).unwrap()[..] else { panic!("one position") };
    if found.len() < records.len() {
        assert!(next.epoch > records[0].position.epoch, "no position is given twice");
    }
    let settle = &log.shared.work;
    settle.settle();
    assert_eq!(read_all(&log).len(), found.len() + 1);
    Ok(found.len())
}

fn damage_of(error: &Unreadable) -> Damage {
    match error {
        Unreadable::Damaged(damage) => damage.clone(),
        _ => panic!("{error}"),
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_no_batch_is_half_there() {
    let (disk, records, settings) = one_segment(false);
    let places = places(&disk, FIRST);
    assert_eq!(places.len(), 15);
    let (batch, end) = (places[12], places[14]);
    for cut in batch + 1..end {
        for filler in [0, 0xFF] {
            let torn = with_file(&disk, FIRST, |bytes| bytes[cut..end].fill(filler));
            assert_eq!(outcome(&torn, &settings, &records), Ok(12), "torn at {cut}");
        }
    }
}

#[test]
fn a_file_cut_at_any_byte_opens_or_is_damaged() {
    let (disk, records, settings) = one_segment(false);
    let places = places(&disk, FIRST);
    for cut in 0..=places[14] {
        let copy = with_file(&disk, FIRST, |bytes| bytes.truncate(cut));
        let whole = places.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        // The last two records are one batch.
        let expected = if whole == 13 { 12 } else { whole };
        assert_eq!(outcome(&copy, &settings, &records), Ok(expected), "cut at {cut}");
    }
}

#[test]
fn what_a_closed_log_is_missing_is_never_lost_in_silence() {
    let (disk, records, settings) = one_segment(true);
    let places = places(&disk, FIRST);
    for cut in 0..places[14] {
        let copy = with_file(&disk, FIRST, |bytes| bytes.truncate(cut));
        let damage = outcome(&copy, &settings, &records).unwrap_err();
        assert_eq!(damage.file, Path::new("disk").join(FIRST), "cut at {cut}");
    }
    disk.delete(FIRST);
    assert!(outcome(&disk, &settings, &records).is_err());
}

#[test]
fn a_bit_that_flips_before_the_tail_is_damage_with_its_place() {
    for is_closed in [true, false] {
        let (disk, records, settings) = one_segment(is_closed);
        let places = places(&disk, FIRST);
        for byte in 0..places[14] {
            let copy = with_file(&disk, FIRST, |bytes| bytes[byte] ^= 1 << (byte % 8));
            let outcome = outcome(&copy, &settings, &records);
            // Of what was written last nobody can tell a torn write, unless the log was closed.
            if is_closed || byte < places[12] {
                let damage = outcome.unwrap_err();
                let at = places.iter().rposition(|place| *place <= byte).map_or(0, |index| places[index]);
                assert_eq!(damage.byte, at as u64, "byte {byte}: {damage}");
            } else {
                assert_eq!(outcome, Ok(12), "byte {byte}");
            }
        }
    }
}

/// Several segments with side files.
fn segments() -> (TestDisk, Vec<Arc<Record>>, DiskSettings) {
    let settings = DiskSettings { segment_bytes: Some(4096), ..small(Retention::default()) };
    let disk = TestDisk::new(1);
    let log = open(&disk, settings.clone()).unwrap();
    for n in 0..120 {
        let topic = format!("topic {}", n % 7);
        let text = "x".repeat(100);
        append(&log, vec![draft(&[&topic, "all"], Some(&format!("id {}", n % 50)), n, &text)]).unwrap();
    }
    log.shared.work.settle();
    let records = read_all(&log);
    drop(log);
    (disk, records, settings)
}

#[test]
fn a_segment_that_is_missing_cut_or_replaced_is_damage() {
    let (disk, records, settings) = segments();
    let names: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".events")).collect();
    assert!(names.len() > 4, "{names:?}");
    let missing = disk.copy();
    missing.delete(&names[2]);
    assert_eq!(outcome(&missing, &settings, &records).unwrap_err().kind, DamageKind::Order);
    let replaced = disk.copy();
    replaced.put(&names[2], disk.content(&names[1]));
    assert_eq!(outcome(&replaced, &settings, &records).unwrap_err().kind, DamageKind::Order);
    let ends = places(&disk, &names[1]);
    let cut = with_file(&disk, &names[1], |bytes| bytes.truncate(ends[ends.len() - 2]));
    assert_eq!(outcome(&cut, &settings, &records).unwrap_err().kind, DamageKind::Missing);
    let newer = with_file(&disk, &names[1], |bytes| bytes[8] = 9);
    assert_eq!(outcome(&newer, &settings, &records).unwrap_err().kind, DamageKind::Version);
    // The oldest may go: that is how a log is trimmed. Its side file follows.
    disk.delete(&names[0]);
    assert!(disk.names().contains(&"0000000001.index".to_owned()));
    let log = open(&disk, settings).unwrap();
    assert!(!disk.names().contains(&"0000000001.index".to_owned()));
    let start = log.span().start.offset as usize;
    assert!(start > 0 && read_all(&log) == records[start..]);
}

#[test]
fn a_damaged_record_of_a_sealed_segment_is_an_error_for_who_reads_it_and_the_rest_can_be_read() {
    let (disk, records, settings) = segments();
    let name = "0000000002.events";
    let at = places(&disk, name)[3];
    let copy = with_file(&disk, name, |bytes| bytes[at + 20] ^= 1);
    let damage = outcome(&copy, &settings, &records).unwrap_err();
    assert_eq!((damage.file.ends_with(name), damage.byte), (true, at as u64), "{damage}");
    // Its side file is whole, so the start did not read it.
    let log = open(&copy, settings).unwrap();
    let set: TopicSet = std::iter::once(Arc::from("topic 3")).collect();
    let after = Position { offset: 60, ..log.span().start };
    let by_topic = read_from(&log, after, Topics::Any(&set), ALL);
    assert_eq!(by_topic.len(), (60..120).filter(|n| n % 7 == 3).count());
}

#[test]
fn side_files_are_made_again() {
    let (disk, records, settings) = segments();
    let sides: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".index")).collect();
    let check = |disk: &TestDisk| {
        let log = open(disk, settings.clone()).unwrap();
        assert_eq!(read_all(&log), records);
        let set: TopicSet = std::iter::once(Arc::from("topic 3")).collect();
        let by_topic = read_from(&log, log.span().start, Topics::Any(&set), ReadBudget { examined: 4, ..ALL });
        assert_eq!(offsets(&by_topic), (1..=120).filter(|offset| offset % 7 == 4).collect::<Vec<_>>());
        for n in 0..50 {
            assert_eq!(log.position_of(&format!("id {n}")).unwrap().unwrap().offset, n + 1);
        }
    };
    check(&disk.copy());
    let without = disk.copy();
    sides.iter().for_each(|name| without.delete(name));
    check(&without);
    assert!(sides.iter().all(|name| without.names().contains(name)));
    let side = &sides[1];
    for byte in 0..disk.content(side).len() {
        check(&with_file(&disk, side, |bytes| bytes[byte] ^= 1 << (byte % 8)));
    }
    check(&with_file(&disk, side, |bytes| bytes.truncate(40)));
    let swapped = disk.copy();
    swapped.put(side, disk.content(&sides[0]));
    check(&swapped);
    // Without the state the key of the indexes is unknown.
    let without_state = disk.copy();
    without_state.delete("state");
    check(&without_state);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_files_never_panic(
        events: Vec<u8>, side: Vec<u8>, state: Vec<u8>, keeps_head: bool, keeps_state: bool, at in 0_usize..400,
    ) {
        let (disk, records, settings) = one_segment(true);
        let copy = with_file(&disk, FIRST, |bytes| {
            let from = if keeps_head { segment::HEAD_BYTES as usize + at } else { 0 };
            bytes.splice(from.., events);
        });
        if !keeps_state {
            copy.put("state", state);
        }
        copy.put("0000000001.index", side.clone());
        if let Ok(log) = open(&copy, settings) {
            assert!(records.starts_with(&read_all(&log)));
        }
        let inspected = Inspection::of(Arc::new(copy.copy())).unwrap();
        inspected.info().unwrap();
        let head = segment::Head::decode(&disk.content(FIRST)).unwrap();
        copy.put("0000000009.index", side);
        Side::open(copy.open("0000000009.index").unwrap(), &head, &terms::Key([1, 2]), 8192).unwrap();
    }
}

#[test]
fn an_inspection_tells_what_is_there_and_what_is_wrong_and_changes_nothing() {
    let (disk, records, _) = segments();
    let inspect = |disk: &TestDisk| Inspection::of(Arc::new(disk.copy())).unwrap();
    let info = inspect(&disk).info().unwrap();
    assert_eq!((info.events, info.is_closed, info.damage.as_slice()), (120, true, &[][..]));
    assert_eq!(info.oldest.map(|(position, _)| position), records.first().map(|record| record.position));
    assert_eq!(info.newest, records.last().map(|last| (last.position, last.time)));
    assert_eq!(
        (info.epochs.as_slice(), info.bytes),
        (&[Epoch(NOW.0)][..], records.iter().map(|r| r.retained_bytes()).sum())
    );
    let exported: Vec<Record> = inspect(&disk).records().map(Result::unwrap).collect();
    assert!(exported.iter().eq(records.iter().map(|record| &**record)));

    let name = "0000000002.events";
    let at = places(&disk, name)[3];
    let damaged = with_file(&disk, name, |bytes| bytes[at] ^= 1);
    let found = inspect(&damaged).info().unwrap().damage;
    assert!(found.iter().any(|damage| (damage.kind, damage.byte) == (DamageKind::Record, at as u64)), "{found:?}");
    let exported: Vec<_> = inspect(&damaged).records().collect();
    assert_eq!(exported.iter().filter(|record| record.is_err()).count(), 1);
    assert!(exported.len() > 80, "the segments after it are read");

    let (torn, _, _) = one_segment(false);
    let torn = with_file(&torn, FIRST, |bytes| bytes[places(&torn, FIRST)[13] + 3] ^= 1);
    let info = inspect(&torn).info().unwrap();
    assert_eq!((info.events, info.is_closed), (12, false));
    assert_eq!(info.damage.iter().map(|damage| damage.kind).collect::<Vec<_>>(), [DamageKind::TornTail]);
    let side = with_file(&disk, "0000000001.index", |bytes| bytes[50] ^= 1);
    let kinds: Vec<_> = inspect(&side).info().unwrap().damage.iter().map(|damage| damage.kind).collect();
    assert_eq!(kinds, [DamageKind::Index]);
    let before: Vec<_> = damaged.names().iter().map(|name| damaged.content(name)).collect();
    let inspected = damaged.clone();
    Inspection::of(Arc::new(inspected)).unwrap().info().unwrap();
    assert_eq!(damaged.names().iter().map(|name| damaged.content(name)).collect::<Vec<_>>(), before);
}
