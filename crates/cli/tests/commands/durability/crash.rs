//! kill -9, again and again, while several publish.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::connection::Connection;
use crate::running::{Curl, Hub, curl};

const WRITERS: usize = 4;
const ROUNDS: usize = 8;

/// What one writer was told: which number got which id.
#[derive(Debug, Default)]
struct Writer {
    next: u64,
    acknowledged: Vec<(u64, String)>,
}

impl Writer {
    /// Publishes numbers in order until the hub is gone. A number that was not acknowledged is not sent again.
    fn write(&mut self, topic: &str, hub: &Hub, count: &AtomicUsize) {
        let Ok(mut connection) = Connection::open(hub.address) else { return };
        loop {
            let number = self.next;
            self.next += 1;
            match connection.publish(topic, &number.to_string()) {
                Ok((200, id)) => self.acknowledged.push((number, id.trim().to_owned())),
                Ok(other) => panic!("{other:?}"),
                Err(_) => return,
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn what_was_acknowledged_outlasts_kill_9() {
    for durability in ["fsync", "os"] {
        let folder = tempfile::tempdir().unwrap();
        let start =
            || Hub::start(&["serve", "--data-dir", folder.path().to_str().unwrap(), "--durability", durability]);
        let mut writers: Vec<Writer> = (0..WRITERS).map(|_| Writer::default()).collect();
        for round in 0..ROUNDS {
            let (hub, count) = (start(), AtomicUsize::new(0));
            thread::scope(|scope| {
                for (index, writer) in writers.iter_mut().enumerate() {
                    let (hub, count) = (&hub, &count);
                    scope.spawn(move || writer.write(&format!("writer-{index}"), hub, count));
                }
                // Not a time but an amount: each round ends at another place in a segment.
                while count.load(Ordering::Relaxed) < 50 + 83 * round {
                    thread::yield_now();
                }
                hub.signal("KILL");
            });
        }
        check(&start(), &writers);
    }
}

/// Every acknowledged event is there once, under its id, in its writer's order, and its id is a cursor.
fn check(hub: &Hub, writers: &[Writer]) {
    let last = curl(&["-d", "last", &hub.url("/events/end")]);
    let mut stream = Curl::follow(&hub.url("/events?lastEventID=earliest"), &[]);
    let lines = stream.until(|line| line == format!("id: {}", last.trim()));
    assert!(lines.iter().all(|line| !line.contains("fanfare-gap")), "a gap");
    let mut ids = lines.iter().filter_map(|line| line.strip_prefix("id: "));
    let data: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("data: ")).collect();
    let mut found = HashMap::new();
    for number in &data {
        let id = ids.next().unwrap();
        assert!(found.insert(id, *number).is_none(), "{id} twice");
    }
    for writer in writers {
        assert!(writer.acknowledged.len() > ROUNDS);
        for (number, id) in &writer.acknowledged {
            assert_eq!(found.get(id.as_str()), Some(&number.to_string().as_str()), "{id}");
        }
    }
    for (index, writer) in writers.iter().enumerate() {
        let (number, id) = &writer.acknowledged[writer.acknowledged.len() / 2];
        let topic = hub.url(&format!("/events/writer-{index}"));
        let mut stream = Curl::follow(&topic, &["-i", "-H", &format!("Last-Event-ID: {id}")]);
        let lines = stream.until(|line| line.starts_with("data: "));
        assert!(lines.contains(&format!("last-event-id: {id}")), "{lines:?}");
        let next: u64 = lines.last().unwrap().trim_start_matches("data: ").parse().unwrap();
        let later = writer.acknowledged.iter().find(|(later, _)| later > number).unwrap().0;
        assert!((number + 1..=later).contains(&next), "{next} after {number}");
    }
}
