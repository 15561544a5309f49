//! The end of a hub: nothing acknowledged is lost, and everybody is told.

use std::time::Duration;

use fanfare_log::Retention;

use crate::running::{PATIENCE, Running};

async fn with_drain(drain: Duration) -> Running {
    Running::with(|settings| settings.drain = drain, Retention::default()).await
}

#[tokio::test]
async fn streams_end_after_what_was_acknowledged() {
    let mut hub = with_drain(Duration::from_millis(50)).await;
    let mut subscribers = Vec::new();
    for _ in 0..10 {
        subscribers.push(hub.subscribe("/events").await);
    }
    for n in 0..100 {
        hub.publish("a", n.to_string()).await;
    }
    hub.stop();
    let expected: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.data(100).await, expected);
        assert_eq!(subscriber.next().await, None);
    }
    hub.ended().await;
}

#[tokio::test]
async fn while_it_drains_it_answers_and_takes_nothing_new() {
    let mut hub = with_drain(Duration::from_secs(600)).await;
    let _held = hub.subscribe("/events").await;
    hub.stop();
    let not_ready = async { while hub.get("/health/ready").send().await.unwrap().status() != 503 {} };
    tokio::time::timeout(PATIENCE, not_ready).await.unwrap();
    assert_eq!(hub.get("/health/live").send().await.unwrap().status(), 200);
    let refused = hub.post("/events/a").body("x").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    assert_eq!(hub.get("/events").send().await.unwrap().status(), 503);

    // A browser would give up for good on 503.
    let response = hub.get("/events").header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
        (200, "text/event-stream")
    );
    let body = response.text().await.unwrap();
    let (comment, retry) = body.split_once("\nretry: ").unwrap();
    assert!(comment.starts_with(": the hub is stopping"), "{body}");
    let milliseconds: u64 = retry.trim_end().parse().unwrap();
    assert!((5000..=15_000).contains(&milliseconds), "{milliseconds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_never_reads_does_not_hold_it_up() {
    let mut hub = with_drain(Duration::from_millis(50)).await;
    let _never_reads = hub.subscribe("/events").await;
    for _ in 0..30 {
        hub.publish("a", "x".repeat(1 << 20)).await;
    }
    hub.stop();
    hub.ended().await;
}

#[tokio::test]
async fn a_hub_with_nobody_on_it_stops_at_once() {
    let mut hub = with_drain(Duration::from_secs(600)).await;
    hub.stop();
    hub.ended().await;
}
