//! A stream ends before its token does, on both of the paths that streams take.
//!
//! The clock is paused: with nothing else to do it goes on by itself.

use std::time::Duration;

use fanfare_hub::{Topic, Update};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::running::PATIENCE;
use crate::tokens::{both, hub, lasting};

/// With `Connection: close` a subscription is hyper's to serve, without it a shard's.
const PATHS: [&str; 2] = ["", "Connection: close\r\n"];

fn request(token: &str, more: &str) -> String {
    format!("GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{more}\r\n")
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_stream_ends_cleanly_in_the_last_tenth_of_its_tokens_time() {
    let hub = hub(both()).await;
    for path in PATHS {
        let start = Instant::now();
        let mut stream = hub.connect().await;
        stream.write_all(request(&lasting(&["a"], 10 * MINUTE), path).as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        timeout(PATIENCE * 60, stream.read_to_end(&mut seen)).await.expect("it ends").unwrap();
        let text = String::from_utf8(seen).unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n0\r\n\r\n"), "{text}");
        let lasted = start.elapsed();
        // Half a minute is the most that is taken off; ticks and heads take some of it too.
        assert!(lasted >= 9 * MINUTE && lasted <= 10 * MINUTE, "{path:?} lasted {lasted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_never_ends_or_ends_after_all_time_has_a_stream_that_lasts() {
    let hub = hub(both()).await;
    for left in [Duration::from_secs(1 << 40), Duration::from_secs(1 << 60)] {
        let mut subscriber = hub.subscribe_with("/events", &lasting(&["a"], left)).await;
        tokio::time::sleep(PATIENCE * 60).await;
        hub.publish("a", "still here").await;
        assert_eq!(subscriber.data(1).await, ["still here"]);
    }
}

/// What it was sent is not cut short, and nothing comes when the token is over.
#[tokio::test(start_paused = true)]
async fn events_come_until_the_end_and_the_cursor_goes_on_with_a_new_token() {
    let hub = hub(both()).await;
    let publish = async |data: &str| {
        hub.hub.publish(Update::new(Topic::new("a").unwrap(), data).private()).await.unwrap();
    };
    let mut subscriber = hub.subscribe_with("/events", &lasting(&["a"], MINUTE)).await;
    publish("first").await;
    assert_eq!(subscriber.data(1).await, ["first"]);
    let last_event_id = subscriber.last_event_id().to_owned();
    assert_eq!(subscriber.next().await, None, "the stream ends");
    publish("meanwhile").await;
    // Each time a connection of its own: the pool may hold one that the hub is closing.
    let resume = |token: String| {
        let request = reqwest::Client::new().get(hub.url("/events")).header("last-event-id", &last_event_id);
        request.bearer_auth(token).send()
    };
    assert_eq!(resume(lasting(&["a"], Duration::ZERO)).await.unwrap().status(), 401);
    let renewed = resume(lasting(&["a"], MINUTE)).await.unwrap();
    assert_eq!(crate::running::Subscriber::new(renewed).data(1).await, ["meanwhile"]);
}

/// As on a shard, whoever does not read is not waited for. What is in its socket was allowed when it was sent.
#[tokio::test(start_paused = true)]
async fn whoever_does_not_read_gets_nothing_more_after_the_end() {
    let hub = hub(both()).await;
    let large = "x".repeat(1 << 20);
    for path in PATHS {
        let mut stream = hub.connect().await;
        stream.write_all(request(&lasting(&["a"], MINUTE), path).as_bytes()).await.unwrap();
        let mut head = [0; 16];
        stream.read_exact(&mut head).await.unwrap();
        for _ in 0..20 {
            hub.publish("a", large.clone()).await;
        }
        tokio::time::sleep(2 * MINUTE).await;
        hub.publish("a", "too late").await;
        let mut seen = Vec::new();
        // A reset is an end too.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut seen)).await.expect("it ends");
        let text = String::from_utf8_lossy(&seen);
        assert!(!text.contains("too late") && seen.len() < 20 << 20, "{path:?}: {} bytes", seen.len());
    }
}
