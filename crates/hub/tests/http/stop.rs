//! The end of a hub: nothing acknowledged is lost, and everybody is told.

use std::time::Duration;

use fanfare_log::Retention;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// What comes on a connection to its end, which must be a clean one.
async fn whole(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(PATIENCE * 100, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    text
}

/// A shard serves the first; hyper the second, whose body has no chunks.
async fn subscribe(hub: &Running, version: &str) -> TcpStream {
    let mut stream = hub.connect().await;
    let request =
        format!("GET /.well-known/mercure?topic=a {version}\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// An `EventSource` keeps the time for good, so it is one that a browser could have by itself; and no two have the same.
/// With the clock paused, time passes at once when nothing else happens.
#[tokio::test(start_paused = true)]
async fn the_last_that_a_stream_says_is_when_to_come_back() {
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut hub = with_drain(Duration::from_secs(60)).await;
        let mut streams = Vec::new();
        for _ in 0..20 {
            streams.push(subscribe(&hub, version).await);
        }
        while hub.hub.figures().subscribers < 20 {
            tokio::task::yield_now().await;
        }
        hub.stop();
        let mut waits = std::collections::HashSet::new();
        for stream in &mut streams {
            let text = whole(stream).await;
            let (before, retry) = text.rsplit_once("retry: ").unwrap();
            assert!(!before.contains("retry: "), "{text}");
            let (wait, rest) = retry.split_once('\n').unwrap();
            assert!((2000..=8000).contains(&wait.parse::<u64>().unwrap()), "{text}");
            // Some clients make a message of every empty line.
            assert_eq!(rest, if version == "HTTP/1.1" { "\r\n0\r\n\r\n" } else { "" }, "{text}");
            waits.insert(wait.to_owned());
        }
        assert!(waits.len() > 15, "{waits:?}");
        hub.ended().await;
    }
}

/// With the clock paused, time passes at once when nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_stream_ends_cleanly_when_it_is_old_and_not_all_at_once() {
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let age = Duration::from_secs(600);
        let hub = Running::with(|settings| settings.connection_age_max = Some(age), Retention::default()).await;
        let start = tokio::time::Instant::now();
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let mut stream = subscribe(&hub, version).await;
            streams.spawn(async move {
                let text = whole(&mut stream).await;
                assert!(
                    !text.contains("retry: ") && (version == "HTTP/1.0" || text.ends_with("\r\n0\r\n\r\n")),
                    "{text}"
                );
                start.elapsed().as_secs()
            });
        }
        let mut ends: Vec<u64> = streams.join_all().await;
        ends.sort_unstable();
        assert!(ends[0] >= 538 && ends[19] <= 602, "{ends:?}");
        ends.dedup();
        assert!(ends.len() > 10, "{ends:?}");
    }
}
