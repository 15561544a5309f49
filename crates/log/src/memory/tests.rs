use super::*;
use crate::{Frame, TopicSet, Visibility};
use proptest::prelude::*;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const EPOCH: Epoch = Epoch(0x19a);
const ALL: ReadBudget = ReadBudget { records: usize::MAX, bytes: usize::MAX, examined: usize::MAX };

fn at(offset: u64) -> Position {
    Position { epoch: EPOCH, offset }
}

fn draft(topics: &[&str], id: Option<&str>, time: u64) -> Draft {
    Draft {
        topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
        id: id.map_or(Id::Position, |id| Id::Chosen(id.into())),
        visibility: Visibility::Public,
        time: Timestamp(time),
        frame: Frame::with_slot("[]", 1),
    }
}

fn append_at(log: &MemoryLog, batch: Vec<Draft>, place: Place) -> Result<Vec<Position>, AppendError> {
    match log.store(batch, place).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(positions) => positions,
        Poll::Pending => panic!("a log in memory never waits"),
    }
}

fn append(log: &MemoryLog, batch: Vec<Draft>) -> Vec<Position> {
    append_at(log, batch, Place::Next).unwrap()
}

fn with_count(count: u64) -> MemoryLog {
    MemoryLog::new(EPOCH, Retention { count: Some(count), ..Retention::default() })
}

fn topics(names: &[&str]) -> TopicSet {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn offsets(batch: &Batch) -> Vec<u64> {
    batch.records.iter().map(|record| record.position.offset).collect()
}

#[test]
fn offsets_start_at_one_and_the_position_is_written_into_the_frame() {
    let log = with_count(10);
    assert_eq!(append(&log, vec![draft(&["a"], None, 0), draft(&["b"], None, 0)]), [at(1), at(2)]);
    let batch = log.read(at(0), Topics::All, ALL).unwrap();
    assert_eq!(batch.records[1].frame, "[e19a-2]");
    assert_eq!((batch.end, log.span().tail, log.span().oldest), (at(2), at(2), Some(at(1))));
}

#[test]
fn a_read_by_topic_gives_each_record_once_and_moves_past_the_others() {
    let log = with_count(1000);
    for _ in 0..30 {
        append(&log, vec![draft(&["a", "b", "a"], None, 0), draft(&["b"], None, 0), draft(&["c"], None, 0)]);
    }
    let set = topics(&["a", "b", "none"]);
    let batch = log.read(at(0), Topics::Any(&set), ALL).unwrap();
    assert_eq!(offsets(&batch), (1..=90).filter(|offset| offset % 3 != 0).collect::<Vec<_>>());
    assert_eq!(batch.end, at(90));
    let none = topics(&["none"]);
    assert_eq!(log.read(at(0), Topics::Any(&none), ALL).unwrap(), Batch { records: vec![], end: at(90) });
}

#[test]
fn a_budget_is_kept_and_a_large_record_still_comes() {
    let log = with_count(1000);
    append(&log, (0..10).map(|_| draft(&["a"], None, 0)).collect());
    let read = |after, budget| log.read(at(after), Topics::All, budget).unwrap();
    assert_eq!(offsets(&read(0, ReadBudget { records: 3, ..ALL })), [1, 2, 3]);
    assert_eq!(offsets(&read(3, ReadBudget { bytes: 16, ..ALL })), [4, 5]);
    assert_eq!(offsets(&read(3, ReadBudget { bytes: 0, ..ALL })), [4]);
    let nothing_of_it = topics(&["b"]);
    let batch = log.read(at(0), Topics::Any(&nothing_of_it), ReadBudget { examined: 4, ..ALL }).unwrap();
    assert_eq!(batch.end, at(10), "a seek looks at nothing that is not wanted");
}

#[test]
fn who_falls_behind_the_history_is_told() {
    let log = with_count(0);
    append(&log, (0..200).map(|_| draft(&["a"], None, 0)).collect());
    assert_eq!(log.usage().count, 64, "the slack");
    assert_eq!(log.span().start, at(136));
    assert!(matches!(log.read(at(135), Topics::All, ALL), Err(ReadError::Expired)));
    assert_eq!(log.read(at(136), Topics::All, ALL).unwrap().records.len(), 64);
    assert_eq!(log.locate(at(135)), Located::Expired);
    assert_eq!(log.locate(at(136)), Located::Kept);
    assert_eq!(log.locate(at(200)), Located::Kept);
    assert_eq!(log.locate(at(201)), Located::Unknown);
    assert_eq!(log.locate(Position { epoch: Epoch(1), offset: 1 }), Located::Unknown);
}

#[test]
fn age_is_kept_without_appends() {
    let log = MemoryLog::new(EPOCH, Retention { age: Some(Duration::from_secs(60)), ..Retention::default() });
    append(&log, vec![draft(&["a"], None, 1_000), draft(&["a"], None, 2_000), draft(&["a"], None, 90_000)]);
    assert_eq!(log.span().oldest, Some(at(3)));
    append(&log, vec![draft(&["a"], None, 90_001)]);
    log.trim(Timestamp(170_000));
    assert_eq!(log.span(), Span { start: at(4), oldest: None, tail: at(4) });
    append(&log, vec![draft(&["a"], None, 170_000)]);
    assert_eq!(offsets(&log.read(at(4), Topics::All, ALL).unwrap()), [5]);
}

#[test]
fn the_first_of_several_records_with_an_id_is_its_position_and_stays_so() {
    let log = with_count(1);
    append(&log, vec![draft(&["a"], Some("x"), 0), draft(&["a"], Some("y"), 0), draft(&["a"], Some("x"), 0)]);
    assert_eq!(log.position_of("x").unwrap(), Some(at(1)));
    append(&log, (0..64).map(|_| draft(&["a"], None, 0)).collect());
    assert_eq!(log.span().oldest, Some(at(3)));
    assert_eq!(log.position_of("x").unwrap().map(|position| log.locate(position)), Some(Located::Expired));
    assert_eq!(log.position_of("y").unwrap(), None);
    append(&log, vec![draft(&["a"], None, 0)]);
    assert_eq!(log.position_of("x").unwrap(), None);
}

#[test]
fn positions_can_be_given_and_must_grow() {
    let log = with_count(10);
    let place = |epoch, offset| Place::At(Position { epoch: Epoch(epoch), offset });
    let one = || vec![draft(&["a"], None, 0)];
    append_at(&log, one(), place(0x19a, 4096)).unwrap();
    append_at(&log, one(), place(0x19a, 8192)).unwrap();
    append_at(&log, one(), place(0x19b, 3)).unwrap();
    for stale in [place(0x19b, 3), place(0x19a, 9999), place(0x19b, u64::MAX)] {
        assert_eq!(append_at(&log, one(), stale).unwrap_err().kind(), crate::AppendErrorKind::NotStored);
    }
    assert_eq!(offsets(&log.read(at(5000), Topics::All, ALL).unwrap()), [8192, 3]);
    assert_eq!(log.locate(at(8192)), Located::Kept);
    assert_eq!(log.locate(at(8193)), Located::Unknown, "past the end of its epoch");
}

#[test]
fn a_batch_over_the_limit_stores_nothing() {
    let log = with_count(10);
    let batch = vec![draft(&["a"], None, 0); BATCH_EVENTS_MAX + 1];
    assert!(append_at(&log, batch, Place::Next).is_err());
    assert_eq!(log.usage().count, 0);
}

#[test]
fn readers_are_told_when_the_tail_moves() {
    let log = with_count(10);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    log.on_advance(Box::new(move |tail| tell.lock().unwrap().push(tail)));
    append(&log, vec![draft(&["a"], None, 0), draft(&["a"], None, 0)]);
    append(&log, vec![draft(&["a"], None, 0)]);
    assert_eq!(*told.lock().unwrap(), [at(2), at(3)]);
}

proptest! {
    /// A reader that goes on from `end` sees every wanted record once and in order, whatever the budget, or is told
    /// that it expired: against a plain list of all that was ever appended.
    #[test]
    fn a_cursor_sees_everything_once_or_is_told(
        appends in prop::collection::vec(prop::collection::vec(0_u8..6, 1..4), 1..300),
        retain in 0_u64..100,
        wanted in prop::collection::vec(0_u8..6, 0..4),
        records in 1_usize..20,
        examined in 1_usize..20,
        reads_per_append in 0_usize..3,
    ) {
        let log = with_count(retain);
        let name = |topic: &u8| Arc::<str>::from(format!("topic {topic}"));
        let set: TopicSet = wanted.iter().map(name).collect();
        let wants = if set.is_empty() { Topics::All } else { Topics::Any(&set) };
        let budget = ReadBudget { records, bytes: usize::MAX, examined };
        let (mut cursor, mut seen, mut expected) = (at(0), Vec::new(), Vec::new());
        let mut read = |seen: &mut Vec<u64>, expected: &mut Vec<u64>| match log.read(cursor, wants, budget) {
            Ok(batch) => {
                assert!(batch.end >= cursor);
                seen.extend(offsets(&batch));
                cursor = batch.end;
                cursor == log.span().tail
            }
            Err(_) => {
                assert!(cursor < log.span().start);
                cursor = log.span().start;
                // What was passed over was told; forget it on both sides.
                expected.retain(|offset| *offset > cursor.offset);
                seen.clear();
                false
            }
        };
        for (index, topics) in appends.iter().enumerate() {
            let names: Vec<Arc<str>> = topics.iter().map(name).collect();
            if wants.admit(&names) {
                expected.push(index as u64 + 1);
            }
            append(&log, vec![Draft { topics: names, ..draft(&[], None, 0) }]);
            for _ in 0..reads_per_append {
                read(&mut seen, &mut expected);
            }
        }
        while !read(&mut seen, &mut expected) {}
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn a_history_that_begins_anew_has_expired_before_that() {
    let log = with_count(10);
    append(&log, vec![draft(&["a"], Some("x"), 0), draft(&["a"], None, 0)]);
    log.begin_now(at(99)).unwrap();
    assert_eq!((log.span().start, log.span().tail, log.usage().count), (at(99), at(99), 0));
    assert_eq!([0, 2, 99, 100].map(|offset| log.locate(at(offset))), {
        use Located::{Expired, Kept, Unknown};
        [Expired, Expired, Kept, Unknown]
    });
    assert_eq!(log.position_of("x").unwrap(), None);
    let onto = |tail, first| append_at(&log, vec![draft(&["a"], None, 0)], Place::Onto { tail, first });
    assert_eq!(onto(at(98), at(120)).unwrap_err().kind(), crate::AppendErrorKind::NotStored);
    assert_eq!(onto(at(99), at(120)).unwrap(), [at(120)]);
    let by_topic = log.read(at(99), Topics::Any(&topics(&["a"])), ALL).unwrap();
    assert_eq!(offsets(&by_topic), [120]);
    assert!(log.begin_now(at(120)).is_err());
    log.begin_now(Position::start_of(Epoch(EPOCH.0 + 1))).unwrap();
    assert_eq!(log.locate(at(120)), Located::Unknown);
}
