//! Subscribers who do not take events as fast as they come, on both paths.

use std::time::Duration;

use fanfare_hub::{Settings, SlowPolicy};
use fanfare_log::Retention;
use fanfare_wire::{Decoded, Decoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::{PATIENCE, Running};

/// A shard serves the first; hyper the second, whose body has no chunks.
const VERSIONS: [&str; 2] = ["HTTP/1.1", "HTTP/1.0"];

/// More than both sockets hold, whatever the kernel gives them, in events of which two may be kept.
const EVENTS: usize = 2000;
const EVENT_BYTES: usize = 16 << 10;

async fn with(set: impl FnOnce(&mut Settings)) -> Running {
    Running::with(set, Retention::default()).await
}

#[tokio::test]
async fn the_query_chooses_among_what_is_allowed() {
    let hub = with(|settings| settings.slow_policies = vec![SlowPolicy::Conflate, SlowPolicy::CatchUp]).await;
    for path in ["/events?", "/events/a?", "/.well-known/mercure?topic=a&"] {
        for (query, status) in [
            ("slow=conflate", 200),
            ("slow=catch-up", 200),
            ("slow=", 200),
            ("", 200),
            ("slow=disconnect", 403),
            ("slow=Conflate", 400),
            ("slow=fast", 400),
            ("slow=conflate&slow=catch-up", 400),
        ] {
            let response = hub.get(&format!("{path}{query}")).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path}{query}");
        }
    }
}

/// Subscribes, and reads the head alone.
async fn subscribe(hub: &Running, version: &str, target: &str) -> TcpStream {
    let mut stream = hub.connect().await;
    let request = format!("GET {target} {version}\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    assert!(head.starts_with(format!("{version} 200").as_bytes()), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Publishes on two topics in turn, each event with its number.
async fn publish_much(hub: &Running) {
    for n in 0..EVENTS {
        hub.publish(if n % 2 == 0 { "a" } else { "b" }, format!("{n} {}", "x".repeat(EVENT_BYTES))).await;
    }
}

/// The numbers of the events that come, up to the one that is last, or to the end of the stream; and the last id.
async fn numbers(stream: &mut TcpStream, last: Option<usize>) -> (Vec<usize>, String) {
    let (mut numbers, mut decoder, mut room) = (Vec::new(), Decoder::new(), vec![0; 1 << 20]);
    while last.is_none() || numbers.last() != last.as_ref() {
        let length = tokio::time::timeout(PATIENCE, stream.read(&mut room)).await.unwrap().unwrap_or(0);
        if length == 0 {
            break;
        }
        // The lines around chunks are no fields that a client knows, and end no line of an event but the last.
        let mut rest = &room[..length];
        while let Some(decoded) = decoder.decode(&mut rest) {
            if let Decoded::Event(message) = decoded {
                numbers.push(message.data.split(' ').next().unwrap().parse().unwrap());
            }
        }
    }
    (numbers, decoder.last_event_id().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_behind_the_latest_of_each_topic_comes() {
    for version in VERSIONS {
        let hub = with(|_| {}).await;
        let mut slow = subscribe(&hub, version, "/events?slow=conflate").await;
        let mut other = subscribe(&hub, version, "/events").await;
        publish_much(&hub).await;
        let (got, _) = numbers(&mut slow, Some(EVENTS - 1)).await;
        assert!(got.is_sorted_by(|one, next| one < next), "{version} {got:?}");
        assert!(got.contains(&(EVENTS - 2)), "{version} {got:?}");
        assert!(got.len() < EVENTS / 2, "{version}: {} events", got.len());
        // It is not behind any more.
        for n in [EVENTS, EVENTS + 1] {
            hub.publish("a", n.to_string()).await;
        }
        assert_eq!(numbers(&mut slow, Some(EVENTS + 1)).await.0.last(), Some(&(EVENTS + 1)));
        let (all, _) = numbers(&mut other, Some(EVENTS + 1)).await;
        assert_eq!(all, (0..EVENTS + 2).collect::<Vec<_>>(), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_too_far_behind_is_disconnected_and_resumes() {
    for version in VERSIONS {
        let hub = with(|settings| {
            settings.slow_disconnect_events = 50;
            settings.heartbeat = Duration::from_secs(1);
        })
        .await;
        let mut slow = subscribe(&hub, version, "/events?slow=disconnect").await;
        publish_much(&hub).await;
        let (got, id) = numbers(&mut slow, None).await;
        assert!(got.len() < EVENTS, "{version}: {} events", got.len());
        assert_eq!(got, (0..got.len()).collect::<Vec<_>>(), "{version}");
        let target = format!("/events?slow=disconnect&lastEventID={id}");
        let mut again = subscribe(&hub, version, &target).await;
        let (rest, _) = numbers(&mut again, Some(EVENTS - 1)).await;
        assert_eq!(rest, (got.len()..EVENTS).collect::<Vec<_>>(), "{version}");
    }
}

/// Nobody has to read for it: a plain subscriber that never does is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_subscriber_that_never_reads_is_disconnected() {
    let hub = with(|settings| {
        settings.slow_disconnect_events = 50;
        settings.heartbeat = Duration::from_millis(100);
    })
    .await;
    let _never_reads = subscribe(&hub, "HTTP/1.1", "/events?slow=disconnect").await;
    publish_much(&hub).await;
    let gone = async {
        while hub.hub.figures().subscribers > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}
