//! Subscriptions on connections of HTTP/1.1 that have made requests before.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::{PATIENCE, Running};

const HEALTH: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SUBSCRIBE: &str = "GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Reads until `last` has come, and gives all that came.
async fn read_until(stream: &mut TcpStream, last: &str) -> String {
    let mut seen = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&seen).contains(last) {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "{}", String::from_utf8_lossy(&seen));
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
    String::from_utf8(seen).unwrap()
}

async fn expect_event(hub: &Running, stream: &mut TcpStream) {
    hub.publish("a", "for whoever came again").await;
    read_until(stream, "data: for whoever came again\n\n").await;
}

#[tokio::test]
async fn after_other_requests_a_subscription_streams() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    for _ in 0..3 {
        stream.write_all(HEALTH.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "live\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // The head comes in pieces, which nobody may take for something else.
    for byte in SUBSCRIBE.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let head = read_until(&mut stream, "\r\n:\n").await;
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    expect_event(&hub, &mut stream).await;
    drop(stream);
    let gone = async {
        while hub.hub.figures().subscribers > 0 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_order() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    stream.write_all(format!("{HEALTH}{HEALTH}{SUBSCRIBE}").as_bytes()).await.unwrap();
    let seen = read_until(&mut stream, "\r\n:\n").await;
    assert_eq!(seen.matches("HTTP/1.1 200 OK").count(), 3, "{seen}");
    expect_event(&hub, &mut stream).await;

    // Half of a request is with hyper when the other half comes.
    let mut stream = hub.connect().await;
    let (first, second) = SUBSCRIBE.split_at(20);
    stream.write_all(format!("{HEALTH}{first}").as_bytes()).await.unwrap();
    read_until(&mut stream, "live\n").await;
    stream.write_all(second.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n:\n").await;
    expect_event(&hub, &mut stream).await;

    // And what looks like a whole one is the rest of a header.
    let mut stream = hub.connect().await;
    let half = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: ";
    stream.write_all(format!("{HEALTH}{half}").as_bytes()).await.unwrap();
    read_until(&mut stream, "live\n").await;
    stream.write_all(SUBSCRIBE.as_bytes()).await.unwrap();
    let seen = read_until(&mut stream, "\r\n\r\n").await;
    assert!(!seen.contains("text/event-stream"), "{seen}");
}

/// A proxy in front may have sent these bytes as the body of somebody's request: they must not become another's.
#[tokio::test]
async fn the_body_of_a_request_that_was_answered_early_is_no_request() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    let head = format!("POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", SUBSCRIBE.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut stream, "404 Not Found").await;
    // It may be closed by now.
    let _ = stream.write_all(format!("{SUBSCRIBE}{HEALTH}").as_bytes()).await;
    let mut seen = Vec::new();
    let read = async {
        while !seen.ends_with(b"live\n") && stream.read_buf(&mut seen).await.is_ok_and(|length| length > 0) {}
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
    assert!(!String::from_utf8_lossy(&seen).contains("text/event-stream"));
    assert_eq!(hub.hub.figures().subscribers, 0);
}

#[tokio::test]
async fn a_refused_subscription_says_why() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    stream.write_all(HEALTH.as_bytes()).await.unwrap();
    read_until(&mut stream, "live\n").await;
    stream.write_all(b"GET /events?topic=%FF HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = read_until(&mut stream, "}").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
