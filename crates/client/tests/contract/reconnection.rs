//! "Reconnection": 8 leaves.

use std::time::Duration;

use fanfare_client::{EventId, EventSource, Kind, News, RetryPolicy};
use fanfare_scripted_server::Script;
use http::Method;

use crate::row::{event, message, next_event, play};

/// A stream that sends `bytes` and is then broken off, as the harness does it: without the last chunk.
fn broken(bytes: &str) -> Script {
    Script::chunked_event_stream().chunk(bytes)
}

fn open(bytes: &str) -> Script {
    broken(bytes).hang()
}

/// The harness asks for no delay at all. The client makes that its shortest wait.
fn at_once() -> RetryPolicy {
    RetryPolicy::default().reconnection_time(Duration::ZERO)
}

#[tokio::test(start_paused = true)]
async fn caller_can_trigger_a_restart() {
    let (server, builder, _watchdog) = play([open("id: 1\ndata: Hello\n\n"), open("data: Thanks\n\n")]).await;
    let mut client = builder.news().unwrap();
    assert_eq!(next_event(&mut client).await, event("message", "Hello", "1"));
    let id = EventId::new(client.last_event_id()).unwrap();
    client.close();
    let mut client = EventSource::builder(server.url("/events")).last_event_id(id).news().unwrap();
    assert_eq!(next_event(&mut client).await, event("message", "Thanks", "1"));
    assert_eq!(server.requests()[1].header("last-event-id"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn what_last_event_id_a_reconnect_sends() {
    for (name, stream, told, expected) in [
        ("sends ID of last received event", "id: abc\ndata: Hello\n\n", vec![("Hello", "abc")], Some("abc")),
        (
            "sends ID of last received event that had an ID if later events did not",
            "id: abc\ndata: Hello\n\ndata: World\n\n",
            vec![("Hello", "abc"), ("World", "abc")],
            Some("abc"),
        ),
        (
            "last event ID can be explicitly overridden with an empty value",
            "id: abc\ndata: Hello\n\nid: \ndata: World\n\n",
            vec![("Hello", "abc"), ("World", "")],
            None,
        ),
    ] {
        let (server, builder, _watchdog) = play([broken(stream), open("data: again\n\n")]).await;
        let mut client = builder.retry(at_once()).news().unwrap();
        for (data, id) in told {
            assert_eq!(next_event(&mut client).await, event("message", data, id), "{name}");
        }
        assert_eq!(next_event(&mut client).await, event("message", "again", expected.unwrap_or_default()), "{name}");
        let requests = server.requests();
        assert_eq!(requests[0].header("last-event-id"), None, "{name}");
        assert_eq!(requests[1].header("last-event-id"), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn resends_request_body_if_any_when_reconnecting() {
    let (server, builder, _watchdog) = play([broken(":\n"), open("data: again\n\n")]).await;
    let builder = builder.method(Method::POST).header("content-type", "application/json; charset=utf-8").unwrap();
    let mut client = builder.body("{\"hello\": \"world\"}").retry(at_once()).news().unwrap();
    assert_eq!(next_event(&mut client).await, message("again"));
    for request in server.requests() {
        assert_eq!((request.method(), &request.body()[..]), ("POST", &b"{\"hello\": \"world\"}"[..]));
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn can_set_read_timeout() {
    let (server, builder, _watchdog) = play([open("data: Hello\n\n"), open("data: again\n\n")]).await;
    let mut client = builder.retry(at_once()).idle_timeout(Duration::from_millis(500)).news().unwrap();
    assert_eq!(next_event(&mut client).await, message("Hello"));
    match client.next().await {
        Some(News::Error(interruption)) => assert_eq!(interruption.error().kind(), Kind::Timeout),
        other => panic!("{other:?}"),
    }
    assert_eq!(next_event(&mut client).await, message("again"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn discards_partial_messages_on_retry() {
    let partial = "id: abc\ndata: Hello\n\nid: def\ndata: Goodbye";
    let (server, builder, _watchdog) = play([broken(partial), open("data: We meet again\n\n")]).await;
    let mut client = builder.retry(at_once()).news().unwrap();
    assert_eq!(next_event(&mut client).await, event("message", "Hello", "abc"));
    assert_eq!(next_event(&mut client).await, event("message", "We meet again", "abc"));
    assert_eq!(server.requests()[1].header("last-event-id"), Some("abc"));
}

#[tokio::test(start_paused = true)]
async fn new_connection_established_after_breaking_previous_is_functional() {
    let (server, builder, _watchdog) =
        play([broken("id: abc\ndata: Hello\n\n"), open("id: def\ndata: World\n\n")]).await;
    let mut client = builder.retry(at_once()).news().unwrap();
    assert_eq!(next_event(&mut client).await, event("message", "Hello", "abc"));
    assert_eq!(next_event(&mut client).await, event("message", "World", "def"));
    assert_eq!(client.last_event_id(), "def");
    assert_eq!(server.requests().len(), 2);
}
