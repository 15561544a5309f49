//! What the shards take, what they give to hyper, and what they do under load.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use fanfare_log::Retention;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::{PATIENCE, Running};

async fn with_shards(shards: usize) -> Running {
    Running::with(|settings| settings.shards = NonZeroUsize::new(shards).unwrap(), Retention::default()).await
}

/// Reads until what came contains `text`, and gives it.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let (mut seen, mut room) = (Vec::new(), [0; 4096]);
    let read = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            let length = stream.read(&mut room).await.unwrap();
            assert!(length > 0, "closed before {text:?}: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&room[..length]);
        }
    };
    // For all of it: a stream says something now and then.
    assert!(tokio::time::timeout(PATIENCE, read).await.is_ok(), "no {text:?} in {}", String::from_utf8_lossy(&seen));
    String::from_utf8(seen).unwrap()
}

async fn read_to_the_end(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    // A reset is an end too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut seen)).await.unwrap();
    String::from_utf8(seen).unwrap()
}

const SUBSCRIBE: &str = "GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_stream_is_chunked_and_dated() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    stream.write_all(SUBSCRIBE.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, "\n\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for line in ["transfer-encoding: chunked\r\n", "\r\ndate: ", " GMT\r\n"] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    assert!(!head.contains("content-length"), "a length beside chunks is an error to strict proxies: {head}");
    let id = hub.publish("a", "x").await;
    let event = format!("id: {id}\ndata: x\n\n");
    let chunk = read_until(&mut stream, "data: x\n\n\r\n").await;
    assert_eq!(chunk, format!("{:x}\r\n{event}\r\n", event.len()));
}

#[tokio::test]
async fn a_head_may_come_in_pieces() {
    let hub = Running::start().await;
    for request in [SUBSCRIBE, LIVE] {
        let mut stream = hub.connect().await;
        stream.set_nodelay(true).unwrap();
        for byte in request.as_bytes() {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        read_until(&mut stream, "HTTP/1.1 200 OK").await;
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    let missing = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(format!("{LIVE}{missing}{SUBSCRIBE}").as_bytes()).await.unwrap();
    let answers = read_until(&mut stream, "id: ").await;
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "404", "200"], "{answers}");

    let mut stream = hub.connect().await;
    stream.write_all(format!("{SUBSCRIBE}{LIVE}").as_bytes()).await.unwrap();
    read_until(&mut stream, "text/event-stream").await;
    hub.publish("a", "to both").await;
    read_until(&mut stream, "data: to both").await;
}

#[tokio::test]
async fn a_connection_that_published_may_subscribe_then() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    let publish = "POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nfirst";
    stream.write_all(publish.as_bytes()).await.unwrap();
    read_until(&mut stream, "HTTP/1.1 200 OK").await;
    stream.write_all(SUBSCRIBE.as_bytes()).await.unwrap();
    read_until(&mut stream, "text/event-stream").await;
    hub.publish("a", "second").await;
    read_until(&mut stream, "data: second").await;
}

#[tokio::test]
async fn older_http_and_connection_close_are_as_http_says() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    stream.write_all(b"GET /events/a HTTP/1.0\r\n\r\n").await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.0 200") && !head.contains("transfer-encoding"), "{head}");
    hub.publish("a", "x").await;
    let event = read_until(&mut stream, "data: x\n\n").await;
    assert!(!event.contains('\r'), "{event}");

    let mut stream = hub.connect().await;
    stream.write_all(b"GET /events/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.contains("connection: close"), "{head}");
}

#[tokio::test]
async fn two_lengths_are_a_bad_request_and_the_end() {
    let hub = Running::start().await;
    for method in ["GET", "POST"] {
        let mut stream = hub.connect().await;
        let lengths = "Content-Length: 3\r\nTransfer-Encoding: chunked";
        let request = format!("{method} /events/a HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n\r\n0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_the_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    }
}

#[tokio::test]
async fn a_refused_subscription_is_told_and_may_ask_again() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    stream.write_all(b"GET /events?topic= HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = read_until(&mut stream, "}").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400") && head.contains("application/problem+json"), "{answer}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    assert!(!head.contains("connection: "), "{answer}");
    stream.write_all(SUBSCRIBE.as_bytes()).await.unwrap();
    read_until(&mut stream, "text/event-stream").await;
    hub.publish("a", "x").await;
    read_until(&mut stream, "data: x").await;
}

#[tokio::test]
async fn a_subscriber_has_nothing_to_say_and_its_end_is_noticed() {
    let hub = Running::start().await;
    let mut talks = hub.connect().await;
    talks.write_all(SUBSCRIBE.as_bytes()).await.unwrap();
    read_until(&mut talks, "id: ").await;
    talks.write_all(b"hello?").await.unwrap();
    hub.publish("a", "still here").await;
    read_until(&mut talks, "data: still here").await;
    // The hub may close before all is written.
    let _ = talks.write_all(&vec![b'x'; 64 << 10]).await;
    read_to_the_end(&mut talks).await;

    let mut half = hub.connect().await;
    half.write_all(SUBSCRIBE.as_bytes()).await.unwrap();
    read_until(&mut half, "id: ").await;
    half.shutdown().await.unwrap();
    read_to_the_end(&mut half).await;
    let none = async {
        while hub.hub.figures().subscribers > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, none).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_publishers_past_the_room_for_them_all_get_their_answer() {
    let hub = std::sync::Arc::new(with_shards(2).await);
    let mut publishers = tokio::task::JoinSet::new();
    for _ in 0..1500 {
        let hub = hub.clone();
        publishers.spawn(async move {
            let mut stream = hub.connect().await;
            let request = "POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
            stream.write_all(request.as_bytes()).await.unwrap();
            read_until(&mut stream, "HTTP/1.1 200 OK").await;
        });
    }
    publishers.join_all().await;
    assert_eq!(hub.hub.figures().published, 1500);
}

const PUBLISHERS: usize = 4;
const EVENTS_EACH: usize = 500;
const SUBSCRIBERS: u64 = 40;

/// Reads `topics` to the end from several connections, one after the other, and gives the ids in order.
async fn follow(hub: &Running, seed: u64, topics: &[usize]) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let query: Vec<String> = topics.iter().map(|topic| format!("topic=t{topic}")).collect();
    let path = format!("/events?{}", query.join("&"));
    let (mut ids, mut last) = (Vec::new(), "earliest".to_owned());
    while ids.len() < topics.len() * EVENTS_EACH {
        let mut subscriber = hub.resume(&path, &last).await;
        for _ in 0..random.usize(1..200) {
            if ids.len() == topics.len() * EVENTS_EACH {
                break;
            }
            last = subscriber.next().await.unwrap().id;
            ids.push(last.clone());
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shards_deliver_one_order_to_all_while_they_come_and_go() {
    let hub = std::sync::Arc::new(with_shards(2).await);
    let mut subscribers = tokio::task::JoinSet::new();
    for seed in 0..SUBSCRIBERS {
        let hub = hub.clone();
        let topics: Vec<usize> = (0..PUBLISHERS).filter(|topic| seed & (1 << topic) != 0 || seed % 16 == 0).collect();
        subscribers.spawn(async move { (topics.clone(), follow(&hub, seed, &topics).await) });
    }
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let hub = hub.clone();
        publishers.spawn(async move {
            for n in 0..EVENTS_EACH {
                hub.publish(&format!("t{publisher}"), n.to_string()).await;
                if n % 16 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    publishers.join_all().await;
    let sequences = subscribers.join_all().await;
    let mut of_topics = HashMap::new();
    for (topics, ids) in sequences {
        let offsets: Vec<u64> = ids.iter().map(|id| id.rsplit('-').next().unwrap().parse().unwrap()).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b), "in order, and none twice");
        // Whoever wants the same gets the same; how many they are was waited for.
        assert_eq!(of_topics.entry(topics).or_insert_with(|| ids.clone()), &ids);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_never_read_hold_nobody_up() {
    let hub = with_shards(2).await;
    let (mut idle, mut reading) = (Vec::new(), Vec::new());
    for n in 0..40 {
        if n % 10 == 0 {
            let mut stream = hub.connect().await;
            stream.write_all(SUBSCRIBE.as_bytes()).await.unwrap();
            idle.push(stream);
        } else {
            reading.push(hub.subscribe("/events/a").await);
        }
    }
    let expected: Vec<String> = (0..600).map(|n| format!("{n} {}", "x".repeat(4096))).collect();
    let events = async {
        for data in &expected {
            hub.publish("a", data.clone()).await;
            tokio::task::yield_now().await;
        }
    };
    let readings = futures_util::future::join_all(reading.iter_mut().map(|one| one.data(expected.len())));
    let ((), read) = tokio::join!(events, readings);
    assert!(read.iter().all(|data| *data == expected));
    assert_eq!(hub.hub.figures().subscribers, 40, "who is slow is not cut off");
    // And they lose nothing when they read after all.
    let last = format!("data: 599 {}", "x".repeat(4096));
    for stream in &mut idle {
        read_until(stream, &last).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_hub_is_an_orderly_end_of_every_stream() {
    let mut hub = Running::with(
        |settings| {
            settings.shards = NonZeroUsize::new(2).unwrap();
            settings.drain = std::time::Duration::from_millis(100);
        },
        Retention::default(),
    )
    .await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = hub.connect().await;
        stream.write_all(SUBSCRIBE.as_bytes()).await.unwrap();
        read_until(&mut stream, "id: ").await;
        streams.push(stream);
    }
    hub.publish("a", "last words").await;
    hub.stop();
    for stream in &mut streams {
        let rest = read_to_the_end(stream).await;
        assert!(rest.contains("data: last words\n\n") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    }
    let hub_handle = hub.hub.clone();
    let address = hub.address;
    hub.ended().await;
    assert_eq!(hub_handle.figures().subscribers, 0);
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}
