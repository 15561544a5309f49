//! Random operations on a disk log and on a log in memory: every answer is the same.

use super::*;
use std::time::Duration;

#[derive(Debug, Clone)]
enum Operation {
    /// Events, each with its topics, its id, the size of its frame; and the time that has passed.
    Append(Vec<(Vec<u8>, Option<u8>, u16)>, u64),
    Read {
        after: u64,
        topics: Vec<u8>,
        records: usize,
        bytes: usize,
        examined: usize,
    },
    Trim(u64),
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let event = (prop::collection::vec(0_u8..6, 1..4), prop::option::weighted(0.3, 0_u8..20), 0_u16..600);
    let read = (0_u64..400, prop::collection::vec(0_u8..8, 0..4), 1_usize..50, 0_usize..5000, 1_usize..50);
    prop_oneof![
        8 => (prop::collection::vec(event, 0..12), 0_u64..3000).prop_map(|(events, time)| Operation::Append(events, time)),
        4 => read.prop_map(|(after, topics, records, bytes, examined)| {
            Operation::Read { after, topics, records, bytes, examined }
        }),
        1 => (0_u64..30_000).prop_map(Operation::Trim),
        1 => Just(Operation::Reopen),
    ]
}

fn name(topic: u8) -> String {
    format!("topic {topic}")
}

struct Pair {
    disk: TestDisk,
    settings: DiskSettings,
    log: Option<DiskLog>,
    oracle: MemoryLog,
    time: u64,
    /// Every id with the offsets that it had.
    ids: Vec<(String, u64)>,
}

impl Pair {
    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Append(events, passed) => {
                self.time += passed;
                let batch: Vec<Draft> = events
                    .iter()
                    .map(|(topics, id, size)| {
                        let names: Vec<String> = topics.iter().map(|topic| name(*topic)).collect();
                        let names: Vec<&str> = names.iter().map(String::as_str).collect();
                        let id = id.map(|id| format!("id {id}"));
                        draft(&names, id.as_deref(), self.time, &"x".repeat((*size).into()))
                    })
                    .collect();
                let log = self.log.as_ref().unwrap();
                let positions = append(log, batch.clone()).unwrap();
                assert_eq!(positions, wait(self.oracle.store(batch.clone(), Place::Next)).unwrap());
                for (draft, position) in batch.iter().zip(positions) {
                    if let Id::Chosen(id) = &draft.id {
                        self.ids.push((id.to_string(), position.offset));
                    }
                }
            }
            Operation::Read { after, topics, records, bytes, examined } => {
                let names: TopicSet = topics.iter().map(|topic| Arc::from(name(*topic))).collect();
                let topics = if names.is_empty() { Topics::All } else { Topics::Any(&names) };
                self.compare_reads(after, topics, ReadBudget { records, bytes, examined });
            }
            Operation::Trim(passed) => {
                self.time += passed;
                self.trim();
            }
            Operation::Reopen => {
                self.log = None;
                let settings = DiskSettings { now: Timestamp(NOW.0 + self.time), ..self.settings.clone() };
                self.log = Some(open(&self.disk, settings).unwrap());
                // A start leaves the newest, as an append does, however old it is.
                self.trim();
            }
        }
        self.compare();
    }

    fn trim(&self) {
        let now = Timestamp(NOW.0 + self.time);
        self.oracle.trim(now);
        self.log.as_ref().unwrap().trim(now);
    }

    fn compare(&self) {
        let log = self.log.as_ref().unwrap();
        log.shared.work.settle();
        assert_eq!(log.usage(), self.oracle.usage());
        assert_eq!(log.span(), self.oracle.span());
        let tail = log.span().tail;
        for offset in [0, 1, tail.offset / 2, tail.offset, tail.offset + 1] {
            for epoch in [tail.epoch, Epoch(1), Epoch(u64::MAX)] {
                let position = Position { epoch, offset };
                assert_eq!(log.locate(position), self.oracle.locate(position), "{position}");
            }
        }
        for id in (0..20).map(|id| format!("id {id}")) {
            let (found, expected) = (log.position_of(&id).unwrap(), self.oracle.position_of(&id).unwrap());
            if found != expected {
                // The oracle trims between the events of a batch and may forget an id that the batch has again.
                let (found, expected) = (found.unwrap(), expected.unwrap());
                assert!(found < expected && found <= log.span().start, "{id}: {found} and not {expected}");
                assert!(self.ids.contains(&(id, found.offset)));
            }
        }
    }

    fn compare_reads(&self, after: u64, topics: Topics<'_>, budget: ReadBudget) {
        let log = self.log.as_ref().unwrap();
        let after = Position { offset: after, ..log.span().tail };
        let is_expired = self.oracle.read(after, topics, budget).is_err();
        assert_eq!(matches!(log.read(after, topics, budget), Err(ReadError::Expired)), is_expired);
        if !is_expired {
            assert_eq!(read_from(log, after, topics, budget), read_from(&self.oracle, after, topics, budget));
            let batch = log.read(after, topics, budget).unwrap();
            let mut records = batch.records.iter();
            let mut compare = |seen: RecordRef<'_>| {
                let record = records.next().unwrap();
                assert_eq!(
                    (seen.position, seen.visibility, seen.time),
                    (record.position, record.visibility, record.time)
                );
                assert!(seen.topics.eq(record.topics.iter().map(|topic| &**topic)), "{seen:?}");
                assert_eq!(seen.frame, record.frame);
            };
            assert_eq!(log.visit(after, topics, budget, &mut compare).unwrap(), batch.end);
            assert!(records.next().is_none());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn a_log_on_disk_is_a_log_in_memory_that_lasts(
        operations in prop::collection::vec(operation(), 1..80),
        count in prop::option::of(0_u64..300),
        age in prop::option::of(0_u64..60),
        recent_bytes in prop_oneof![Just(0_usize), Just(2000), Just(1 << 20)],
        seed: u64,
    ) {
        let retention = Retention { count, age: age.map(Duration::from_secs), bytes: None };
        let disk = TestDisk::new(seed);
        let settings = DiskSettings { recent_bytes, ..small(retention) };
        let log = Some(open(&disk, settings.clone()).unwrap());
        let oracle = MemoryLog::new(Epoch(NOW.0), retention);
        let mut pair = Pair { disk, settings, log, oracle, time: 0, ids: Vec::new() };
        for operation in operations {
            pair.apply(operation);
        }
        pair.apply(Operation::Reopen);
        pair.compare_reads(pair.oracle.span().start.offset, Topics::All, ALL);
    }
}
