//! Every answer names its request, so that what a user reports can be found in the log.

use http::HeaderMap;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::running::Running;

fn id_of(headers: &HeaderMap) -> String {
    assert_eq!(headers.get_all("x-request-id").iter().count(), 1, "{headers:?}");
    headers["x-request-id"].to_str().unwrap().to_owned()
}

fn is_fresh(id: &str) -> bool {
    id.len() == 16 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[tokio::test]
async fn every_answer_has_one_whoever_gives_it() {
    let hub = Running::start().await;
    let (get, post) = (|path: &str| hub.get(path), |path: &str| hub.post(path));
    let mut seen = Vec::new();
    for request in [
        get("/"),
        get("/metrics"),
        get("/events/a"),
        get("/events/a").header("connection", "close"),
        get("/events?topic="),
        get("/nothing"),
        post("/events/a").body("x"),
        post("/events/a").body("x".repeat(100_000)),
        post("/events/a?unknown").body("x"),
        post("/events/a").header("origin", "https://example.com").body("x"),
        post("/health/live"),
        get("/events/a").header("host", "example.com"),
    ] {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let what = format!("{} {}", request.method(), request.url());
        let answer = client.execute(request).await.unwrap();
        let (status, id) = (answer.status(), id_of(answer.headers()));
        assert!(is_fresh(&id), "{what}: {id}");
        if status.is_client_error() {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{what}");
            let document: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(document["request_id"], id.as_str(), "{what}");
            assert_eq!(document["status"], status.as_u16(), "{what}");
        }
        seen.push(id);
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "an id was given twice");
}

#[tokio::test]
async fn one_that_a_request_brings_is_kept_if_it_can_be_written_anywhere() {
    let hub = Running::start().await;
    for (brought, is_kept) in [
        ("0190b6a2-7e1c-7d0e-8b43-6d0a1f2e3c4d", true),
        ("a.B_3", true),
        ("", false),
        ("a b", false),
        ("\"}{\"", false),
        (&"x".repeat(65), false),
    ] {
        for request in [hub.get("/events/a"), hub.post("/events/a?unknown").body("x"), hub.get("/metrics")] {
            let answer = request.header("x-request-id", brought).send().await.unwrap();
            let id = id_of(answer.headers());
            if is_kept { assert_eq!(id, brought) } else { assert!(is_fresh(&id), "{id}") }
        }
    }
}

#[tokio::test]
async fn what_is_no_request_is_named_too() {
    let hub = Running::start().await;
    let mut peer = hub.connect().await;
    let smuggled =
        b"POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    peer.write_all(smuggled).await.unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).await.unwrap();
    let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: "));
    assert!(answer.starts_with("HTTP/1.1 400") && id.is_some_and(is_fresh), "{answer}");
}

/// A page of another origin, whose users report what they see, may read it.
#[tokio::test]
async fn pages_may_read_it() {
    let hub = Running::start().await;
    for request in [hub.get("/events/a"), hub.post("/events/a").body("x")] {
        let answer = request.header("origin", "http://localhost:8080").send().await.unwrap();
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.split(',').any(|name| name == "x-request-id"), "{exposed}");
    }
}
