//! Replay and live are one read: no event is lost, doubled or reordered while subscribers come and go.

use fanfare_log::Retention;

use crate::running::Running;

const PUBLISHERS: usize = 4;
const EVENTS_EACH: usize = 1000;
const SUBSCRIBERS: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_sees_the_exact_sequence_however_often_it_reconnects() {
    let hub = Running::with(|_| {}, Retention::default()).await;
    let hub = std::sync::Arc::new(hub);
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
