//! Replay and live are one read: no event is lost, doubled or reordered while subscribers come and go.

use std::sync::Arc;

use fanfare_hub::Hub;
use fanfare_log::{DiskLog, DiskSettings, Retention, Timestamp};

use crate::running::Running;

const PUBLISHERS: usize = 4;
const EVENTS_EACH: usize = 1000;
const SUBSCRIBERS: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_sees_the_exact_sequence_however_often_it_reconnects() {
    exact_sequence(Running::start().await).await;
}

/// With segments so small and so little in memory that replay reads files all the time.
#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_sees_the_exact_sequence_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = DiskSettings::new(Retention::default(), Timestamp(1_750_000_000_000));
    (settings.segment_bytes, settings.recent_bytes) = (Some(32 << 10), 4 << 10);
    let log = Arc::new(DiskLog::open(folder.path(), settings).unwrap());
    exact_sequence(Running::of(Hub::builder().log(log)).await).await;
}

async fn exact_sequence(hub: Running) {
    let hub = Arc::new(hub);
    let mut subscribers = tokio::task::JoinSet::new();
    for seed in 0..SUBSCRIBERS as u64 {
        let hub = hub.clone();
        subscribers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut seen, mut last_id) = (Vec::new(), "earliest".to_owned());
            while seen.len() < PUBLISHERS * EVENTS_EACH {
                // A pattern, a set of topics and everything take different ways through the log.
                let path = ["/events", "/events?topic=%7Bany%7D", "/events?topic=t0&topic=t1&topic=t2&topic=t3"];
                let mut subscriber = hub.resume(path[seed as usize % 3], &last_id).await;
                for _ in 0..random.usize(1..400) {
                    if seen.len() == PUBLISHERS * EVENTS_EACH {
                        break;
                    }
                    let got = subscriber.next().await.unwrap();
                    assert_eq!(got.event_type, "message");
                    last_id.clone_from(&got.id);
                    seen.push((got.id, got.data));
                }
            }
            seen
        });
    }
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let hub = hub.clone();
        publishers.spawn(async move {
            for n in 0..EVENTS_EACH {
                hub.publish(&format!("t{publisher}"), format!("{publisher} {n}")).await;
                if n % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    publishers.join_all().await;
    let sequences = subscribers.join_all().await;
    let first = &sequences[0];
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{publisher} ");
        let numbers: Vec<usize> =
            first.iter().filter_map(|(_, data)| data.strip_prefix(&prefix)?.parse().ok()).collect();
        assert_eq!(numbers, (0..EVENTS_EACH).collect::<Vec<_>>());
    }
    assert!(sequences.iter().all(|sequence| sequence == first), "all see one order");
}
