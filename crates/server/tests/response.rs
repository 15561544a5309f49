//! The response as a client reads it, chunk by chunk, with the clock paused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::pin;
use std::time::Duration;

use fanfare_server::{Event, EventStream};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;

async fn next_chunk<B>(body: &mut std::pin::Pin<&mut B>) -> Option<String>
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: std::fmt::Debug,
{
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn the_headers_are_those_that_browsers_and_proxies_need() {
    let response = EventStream::new(stream::empty()).response();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache, no-store, no-transform");
    assert_eq!(response.headers()["content-encoding"], "identity");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
}

#[tokio::test]
async fn the_first_bytes_come_before_any_event() {
    let body = EventStream::new(stream::pending()).retry(Duration::from_secs(1)).response().into_body();
    let mut body = pin!(body);
    assert_eq!(next_chunk(&mut body).await.as_deref(), Some(":\nretry: 1000\n\n"));
}

#[tokio::test]
async fn events_that_are_ready_together_are_one_chunk() {
    let body = EventStream::new(stream::iter(["a", "", "b\nc"]).map(Event::data)).response().into_body();
    let mut body = pin!(body);
    assert_eq!(next_chunk(&mut body).await.as_deref(), Some(":\n"));
    assert_eq!(next_chunk(&mut body).await.as_deref(), Some("data: a\n\ndata: \n\ndata: b\ndata: c\n\n"));
    assert_eq!(next_chunk(&mut body).await, None);
    assert!(http_body::Body::is_end_stream(&*body));
}

#[tokio::test]
async fn a_chunk_is_bounded() {
    let large = stream::iter(0..100).map(|_| Event::data("x".repeat(1000)));
    let body = EventStream::new(large).response().into_body();
    let mut body = pin!(body);
    let mut chunks = 0;
    while let Some(chunk) = next_chunk(&mut body).await {
        assert!(chunk.len() < 18_000);
        chunks += 1;
    }
    assert_eq!(chunks, 1 + 6);
}

#[tokio::test(start_paused = true)]
async fn a_comment_comes_when_nothing_was_sent_for_the_interval() {
    let events = stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_secs(if n == 1 { 35 } else { 10 })).await;
        Some((Event::data(n.to_string()), n + 1))
    });
    let start = tokio::time::Instant::now();
    let body = EventStream::new(events).keep_alive(Duration::from_secs(15)).response().into_body();
    let mut body = pin!(body);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let chunk = next_chunk(&mut body).await.unwrap();
        seen.push((start.elapsed().as_secs(), chunk));
    }
    let expected = [(0, ":\n"), (10, "data: 0\n\n"), (25, ":\n"), (40, ":\n"), (45, "data: 1\n\n")];
    assert_eq!(seen, expected.map(|(at, chunk)| (at, chunk.to_owned())));
}

#[tokio::test]
async fn what_came_before_a_failure_is_sent() {
    let events = stream::iter([Ok(Event::data("a")), Err("the database is gone")]);
    let body = EventStream::fallible(events).response().into_body();
    let mut body = pin!(body);
    assert_eq!(next_chunk(&mut body).await.as_deref(), Some(":\n"));
    assert_eq!(next_chunk(&mut body).await.as_deref(), Some("data: a\n\n"));
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "the database is gone");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn it_ends_when_it_is_told_to_and_not_before_what_is_ready_was_sent() {
    let events = stream::iter(["a", "b"]).map(Event::data).chain(stream::pending());
    let body = EventStream::new(events).until(std::future::ready(())).response().into_body();
    let mut body = pin!(body);
    assert_eq!(next_chunk(&mut body).await.as_deref(), Some(":\n"));
    assert_eq!(next_chunk(&mut body).await.as_deref(), Some("data: a\n\ndata: b\n\n"));
    assert_eq!(next_chunk(&mut body).await, None);
    assert!(http_body::Body::is_end_stream(&*body));
}
