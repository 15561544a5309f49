//! How much one client may have: connections, streams, events. And who a client is behind proxies.

use std::num::NonZeroU32;
use std::time::Duration;

use fanfare_hub::{Settings, TrustedProxy};
use fanfare_log::Retention;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::{PATIENCE, Running};
use crate::tokens::{SUBSCRIBER, both, hub_with, signed};

async fn with(set: impl FnOnce(&mut Settings)) -> Running {
    Running::with(set, Retention::default()).await
}

fn trusted(networks: &[&str]) -> Vec<TrustedProxy> {
    networks.iter().map(|network| network.parse().unwrap()).collect()
}

/// Sends `bytes` and reads to the end of the first head, or to the end of the connection.
async fn say(stream: &mut TcpStream, bytes: &[u8]) -> String {
    let _ = stream.write_all(bytes).await;
    let mut seen = Vec::new();
    let read = async {
        let mut byte = [0];
        while !seen.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
            seen.push(byte[0]);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
    String::from_utf8(seen).unwrap()
}

/// The status of what is answered to a subscription with these lines in its head.
async fn subscribed(stream: &mut TcpStream, before: &[u8], lines: &str) -> String {
    let request = format!("GET /events/a HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    let answer = say(stream, &[before, request.as_bytes()].concat()).await;
    answer.split(' ').nth(1).unwrap_or("closed").to_owned()
}

async fn read_until(stream: &mut TcpStream, last: &[u8]) {
    let mut seen = Vec::new();
    while !seen.ends_with(last) {
        seen.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
}

/// Waits until a subscription is let in: places become free a little after a connection ends.
async fn is_let_in_again(hub: &Running, before: &[u8], lines: &str) {
    let again = async { while subscribed(&mut hub.connect().await, before, lines).await != "200" {} };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_more_are_told_so() {
    let hub = with(|settings| settings.connections_per_address_max = Some(2)).await;
    let (mut first, mut second) = (hub.connect().await, hub.connect().await);
    assert_eq!(subscribed(&mut first, b"", "").await, "200");
    assert_eq!(subscribed(&mut second, b"", "").await, "200");
    let mut third = hub.connect().await;
    let answer = say(&mut third, b"GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("retry-after: 5") && answer.contains("connection: close"), "{answer}");
    // A browser's `EventSource` would give up for good.
    let mut browser = hub.connect().await;
    let request = b"GET /events/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    let answer = say(&mut browser, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("text/event-stream"), "{answer}");
    let mut body = String::new();
    tokio::time::timeout(PATIENCE, browser.read_to_string(&mut body)).await.unwrap().unwrap();
    let (comment, retry) = body.split_once("\nretry: ").unwrap();
    assert!(comment.starts_with(": this address has as many"), "{body}");
    assert!((5000..=15_000).contains(&retry.trim_end().parse::<u64>().unwrap()), "{body}");
    drop(first);
    is_let_in_again(&hub, b"", "").await;
}

#[tokio::test]
async fn programs_on_this_machine_are_not_counted_unless_it_is_said() {
    let hub = with(|_| {}).await;
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(hub.subscribe("/events").await);
    }
    assert_eq!(hub.hub.figures().subscribers, 50);
}

/// Each client has its own share, whoever carries its requests; a connection of the proxy's is nobody's.
#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_counted() {
    let hub = with(|settings| {
        settings.trusted_proxies = trusted(&["127.0.0.1"]);
        settings.connections_per_address_max = Some(1);
    })
    .await;
    let lines = |client: &str| format!("X-Forwarded-For: {client}\r\n");
    let mut held = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "198.51.100.1, 192.0.2.3"] {
        let mut stream = hub.connect().await;
        assert_eq!(subscribed(&mut stream, b"", &lines(client)).await, "200", "{client}");
        held.push(stream);
    }
    for client in ["192.0.2.1", "2001:db8::ffff", "192.0.2.99, 192.0.2.3", "192.0.2.3, 127.0.0.1"] {
        assert_eq!(subscribed(&mut hub.connect().await, b"", &lines(client)).await, "429", "{client}");
    }
    // Without a word of the client, or with two that differ, it is the proxy's own, which is no program of this machine.
    let mut own = hub.connect().await;
    assert_eq!(subscribed(&mut own, b"", "").await, "200");
    let differing = "Forwarded: for=192.0.2.50\r\nX-Forwarded-For: 192.0.2.51\r\n";
    assert_eq!(subscribed(&mut hub.connect().await, b"", differing).await, "429");
    drop(held);
    is_let_in_again(&hub, b"", "Forwarded: for=192.0.2.1\r\n").await;
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let hub = with(|settings| {
        settings.trusted_proxies = trusted(&["192.0.2.0/24"]);
        settings.connections_per_address_max = Some(1);
    })
    .await;
    let mut first = hub.connect().await;
    assert_eq!(subscribed(&mut first, b"", "X-Forwarded-For: 198.51.100.1\r\n").await, "200");
    let other = "X-Forwarded-For: 198.51.100.2\r\nForwarded: for=198.51.100.2\r\n";
    assert_eq!(subscribed(&mut hub.connect().await, b"", other).await, "429");
    drop(first);
    // And a PROXY header is no HTTP.
    let again = async {
        loop {
            let header = b"PROXY TCP4 198.51.100.3 127.0.0.1 1 2\r\n";
            match subscribed(&mut hub.connect().await, header, "").await.as_str() {
                "429" => {}
                status => break assert_eq!(status, "400"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
}

fn version_2(client: [u8; 4]) -> Vec<u8> {
    let [a, b, c, d] = client;
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &[a, b, c, d, 127, 0, 0, 1, 0, 1, 0, 2][..]].concat()
}

#[tokio::test]
async fn the_proxy_protocol_says_whose_a_connection_is() {
    let hub = with(|settings| {
        settings.trusted_proxies = trusted(&["127.0.0.0/8"]);
        settings.connections_per_address_max = Some(1);
    })
    .await;
    let mut held = Vec::new();
    let one = b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n".to_vec();
    let six = b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec();
    for header in [one.clone(), six, version_2([192, 0, 2, 2])] {
        let mut stream = hub.connect().await;
        assert_eq!(subscribed(&mut stream, &header, "").await, "200");
        held.push(stream);
    }
    hub.publish("a", "x").await;
    for stream in &mut held {
        read_until(stream, b"data: x\n").await;
    }
    for header in [one.clone(), version_2([192, 0, 2, 1]), version_2([192, 0, 2, 2])] {
        assert_eq!(subscribed(&mut hub.connect().await, &header, "").await, "429");
    }
    // What a client that is no proxy says of itself counts for nothing.
    assert_eq!(subscribed(&mut hub.connect().await, &one, "X-Forwarded-For: 192.0.2.9\r\n").await, "429");
    // Byte by byte, and for a path that no shard answers.
    let mut stream = hub.connect().await;
    stream.set_nodelay(true).unwrap();
    for byte in b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = say(&mut stream, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // A malformed one, and one without an end, are the end of the connection.
    for header in [&b"PROXY TCP4 nobody 127.0.0.1 1 2\r\n"[..], &[b"PROXY ".as_slice(), &[b'x'; 200]].concat()] {
        assert_eq!(subscribed(&mut hub.connect().await, header, "").await, "closed");
    }
}

/// With the clock paused, time passes at once when nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_proxy_header_that_does_not_end_holds_nothing_for_long() {
    let hub = with(|settings| settings.trusted_proxies = trusted(&["127.0.0.1"])).await;
    for said in ["", "PROXY TCP4 192.0", "\r\n\r\n\0\r\nQUIT\n\x21\x11\x01\0"] {
        let mut stream = hub.connect().await;
        stream.write_all(said.as_bytes()).await.unwrap();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect(said);
    }
}

#[tokio::test]
async fn a_subject_has_so_many_streams_wherever_it_comes_from() {
    let hub = hub_with(both(), |settings| settings.streams_per_subject_max = 1).await;
    let token = |claims: serde_json::Value| signed(SUBSCRIBER, &claims);
    let (ann, bob) = (token(json!({ "mercure": {}, "sub": "ann" })), token(json!({ "mercure": {}, "sub": "bob" })));
    let nobody = token(json!({ "mercure": {} }));
    let status = async |token: &str| hub.get("/events").bearer_auth(token).send().await.unwrap();
    let held = status(&ann).await;
    assert_eq!(held.status(), 200);
    let refused = status(&ann).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"5".parse().unwrap()));
    let body = hub.get("/events").bearer_auth(&ann).header("accept", "text/event-stream").send().await.unwrap();
    assert!(body.text().await.unwrap().contains("retry: "));
    let others = (status(&bob).await, status(&nobody).await, status(&nobody).await);
    assert!([&others.0, &others.1, &others.2].iter().all(|response| response.status() == 200));
    drop(held);
    let again = async { while status(&ann).await.status() != 200 {} };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn publishing_too_fast_is_refused_until_there_is_room_again() {
    let hub = with(|settings| {
        settings.trusted_proxies = trusted(&["127.0.0.1"]);
        settings.publish_rate = NonZeroU32::new(2);
    })
    .await;
    let publish = async |client: &str, lines: usize| {
        let batch = "{\"topic\":\"a\",\"data\":\"x\"}\n".repeat(lines);
        let request = hub.post("/events").header("content-type", "application/x-ndjson");
        request.header("x-forwarded-for", client).body(batch).send().await.unwrap()
    };
    assert_eq!(publish("192.0.2.1", 1).await.status(), 200);
    assert_eq!(publish("192.0.2.1", 8).await.status(), 200, "a batch is let in whole");
    let refused = publish("192.0.2.1", 1).await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(refused.status() == 429 && (1..=5).contains(&wait), "{wait}");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert_eq!(publish("192.0.2.2", 1).await.status(), 200, "another client is not concerned");
    assert_eq!(hub.hub.figures().published, 10);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(publish("192.0.2.1", 1).await.status(), 200);
}

/// A body that comes so slowly that it never ends.
#[tokio::test(start_paused = true)]
async fn a_slow_body_is_given_up() {
    let hub = with(|_| {}).await;
    let mut stream = hub.connect().await;
    let head = b"POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let drip = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        std::future::pending().await
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        read = tokio::time::timeout(PATIENCE * 10, reading.read_to_end(&mut answer)) => drop(read.unwrap()),
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(hub.hub.figures().published, 0);
}
