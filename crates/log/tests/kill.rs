//! Processes that publish and are killed at once: what they acknowledged is there.
//!
//! The test starts itself as the process to be killed, so it has a `main` of its own.
#![expect(clippy::unwrap_used, reason = "it is a test, without the attribute that tells")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use fanfare_log::{
    DiskLog, DiskSettings, Draft, Frame, Id, Located, Log, Place, Position, ReadBudget, Retention, Timestamp, Topics,
    Visibility,
};

const ROUNDS: u64 = 15;
const PUBLISHERS: u64 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.as_slice() {
        [_, command, folder, round] if command == "publish" => publish(Path::new(folder), round.parse().unwrap()),
        _ => kill(),
    }
}

fn settings(round: u64) -> DiskSettings {
    let mut settings = DiskSettings::new(Retention::default(), Timestamp(1_000 + round));
    settings.segment_bytes = Some(256 << 10);
    settings
}

/// Publishes until it is killed, and tells each acknowledged event on a line: its position and its id.
fn publish(folder: &Path, round: u64) {
    let log = DiskLog::open(folder, settings(round)).unwrap();
    let told = Mutex::new(std::io::stdout());
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (log, told) = (&log, &told);
            scope.spawn(move || {
                for n in 0_u64.. {
                    let ids: Vec<String> =
                        (0..1 + n % 3).map(|index| format!("{round}.{publisher}.{n}.{index}")).collect();
                    let batch = ids.iter().map(|id| draft(id)).collect();
                    let positions = pollster::block_on(log.store(batch, Place::Next)).unwrap();
                    let lines: String =
                        positions.iter().zip(&ids).map(|(position, id)| format!("{position} {id}\n")).collect();
                    // One write a batch: what the pipe has was acknowledged.
                    told.lock().unwrap().write_all(lines.as_bytes()).unwrap();
                }
            });
        }
    });
}

fn draft(id: &str) -> Draft {
    Draft {
        topics: vec!["topic".into()],
        id: Id::Chosen(id.into()),
        visibility: Visibility::Public,
        time: Timestamp(1_000),
        frame: Frame::whole(format!("{id} {}", "x".repeat(id.len() * 20))),
    }
}

fn kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut acknowledged: BTreeMap<Position, String> = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["publish", &folder.path().display().to_string(), &round.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let mut left = random.u32(50..2000);
        while lines.read_line(&mut line).unwrap() > 0 {
            // The last one may be cut off.
            if let Some((position, id)) = line.strip_suffix('\n').and_then(|line| line.split_once(' ')) {
                acknowledged.insert(position.parse().unwrap(), id.to_owned());
            }
            line.clear();
            if left == 1 {
                child.kill().unwrap();
            }
            left = left.saturating_sub(1);
        }
        assert!(!child.wait().unwrap().success(), "it was killed");
        assert_eq!(left, 0, "it ended by itself");
        if round % 2 == 1 {
            tear(folder.path(), &mut random);
        }
        // Every third time the next process recovers from it, and not this one.
        if round % 3 < 2 {
            check(folder.path(), &acknowledged, round);
        }
    }
    check(folder.path(), &acknowledged, ROUNDS);
    report(acknowledged.len());
}

/// Leaves a part of a write behind the last record, which a kill alone practically never does.
fn tear(folder: &Path, random: &mut fastrand::Rng) {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "events"))
        .collect();
    files.sort();
    let written = files.into_iter().rev().find_map(|path| {
        let end = fs::read(&path).unwrap().iter().rposition(|byte| *byte != 0)?;
        Some((path, end as u64 + 1))
    });
    let (path, end) = written.unwrap();
    let garbage: Vec<u8> = (0..random.usize(1..300)).map(|_| random.u8(..)).collect();
    fs::File::options().write(true).open(path).unwrap().write_all_at(&garbage, end).unwrap();
}

/// Every acknowledged event is there, in order, and its id resolves.
fn check(folder: &Path, acknowledged: &BTreeMap<Position, String>, round: u64) {
    let log = DiskLog::open(folder, settings(round)).unwrap();
    let budget = ReadBudget { records: 1000, bytes: 1 << 20, examined: 1000 };
    let (mut cursor, mut found) = (log.span().start, BTreeMap::new());
    while cursor < log.span().tail {
        let batch = log.read(cursor, Topics::All, budget).unwrap();
        cursor = batch.end;
        for record in batch.records {
            let Id::Chosen(id) = &record.id else { panic!("{record:?}") };
            assert_eq!(record.frame, draft(id).frame.seal(record.position));
            assert!(found.last_key_value().is_none_or(|(last, _)| *last < record.position));
            found.insert(record.position, id.to_string());
        }
    }
    for (position, id) in acknowledged {
        assert_eq!(found.get(position), Some(id), "{position} was acknowledged");
        assert_eq!(log.position_of(id).unwrap(), Some(*position));
        assert_eq!(log.locate(*position), Located::Kept);
    }
}

#[expect(clippy::print_stdout, reason = "a test without a harness says itself how it went")]
fn report(events: usize) {
    assert!(events > 1000, "{events} events are too few to prove anything");
    println!("kill: {ROUNDS} processes killed, {events} events acknowledged, all there");
}
