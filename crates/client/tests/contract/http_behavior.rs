//! "HTTP behavior": 12 leaves.

use std::time::Duration;

use fanfare_client::{EventId, Kind, News, ReadyState};
use fanfare_scripted_server::Script;
use http::Method;

use crate::row::{message, next_event, play};

#[tokio::test(start_paused = true)]
async fn default_method_and_headers() {
    let (server, builder, _watchdog) = play([Script::event_stream().hang()]).await;
    let mut client = builder.news().unwrap();
    assert!(matches!(client.next().await, Some(News::Open(_))));
    let request = server.request(0).await.unwrap();
    assert_eq!(request.method(), "GET");
    assert_eq!(request.header("accept"), Some("text/event-stream"));
    assert_eq!(request.header("cache-control"), Some("no-cache"));
    assert_eq!(request.header("last-event-id"), None);
}

#[tokio::test(start_paused = true)]
async fn status_204_halts_reconnection() {
    let (server, builder, _watchdog) = play([Script::status(204)]).await;
    let mut client = builder.news().unwrap();
    assert!(matches!(client.next().await, Some(News::Error(_))));
    assert!(client.next().await.is_none());
    assert_eq!(client.ready_state(), ReadyState::Closed);
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn follows_301_and_307() {
    for status in [301, 307] {
        let scripts = [Script::redirect(status, "/there"), Script::event_stream().send("data: hello\n\n").hang()];
        let (server, builder, _watchdog) = play(scripts).await;
        let mut client = builder.news().unwrap();
        assert_eq!(next_event(&mut client).await, message("hello"), "{status}");
        assert_eq!(server.requests()[1].target(), "/there", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_or_missing_location_is_an_error_with_301_and_307() {
    for status in [301, 307] {
        for script in [Script::redirect(status, ""), Script::status(status)] {
            let (server, builder, _watchdog) = play([script]).await;
            let mut client = builder.news().unwrap();
            match client.next().await {
                Some(News::Error(interruption)) => assert_eq!(interruption.error().kind(), Kind::Redirect, "{status}"),
                other => panic!("{status}: {other:?}"),
            }
            assert!(client.next().await.is_none());
            assert_eq!(server.requests().len(), 1, "no loop");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn custom_headers() {
    let (server, builder, _watchdog) = play([Script::event_stream().hang()]).await;
    let builder = builder.header("header-name-1", "value-1").unwrap().header("header-name-2", "value-2").unwrap();
    let mut client = builder.news().unwrap();
    assert!(matches!(client.next().await, Some(News::Open(_))));
    let request = server.request(0).await.unwrap();
    assert_eq!(request.header("header-name-1"), Some("value-1"));
    assert_eq!(request.header("header-name-2"), Some("value-2"));
}

#[tokio::test(start_paused = true)]
async fn post_and_report_requests() {
    for method in ["POST", "REPORT"] {
        let (server, builder, _watchdog) = play([Script::event_stream().hang()]).await;
        let builder = builder.method(Method::from_bytes(method.as_bytes()).unwrap());
        let builder = builder.header("content-type", "application/json; charset=utf-8").unwrap();
        let mut client = builder.body("{\"hello\": \"world\"}").news().unwrap();
        assert!(matches!(client.next().await, Some(News::Open(_))));
        let request = server.request(0).await.unwrap();
        assert_eq!(request.method(), method);
        assert_eq!(request.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(request.body(), "{\"hello\": \"world\"}");
    }
}

#[tokio::test(start_paused = true)]
async fn sends_last_event_id_in_the_first_request_if_set() {
    let (server, builder, _watchdog) = play([Script::event_stream().hang()]).await;
    let mut client = builder.last_event_id(EventId::new("abc").unwrap()).news().unwrap();
    assert!(matches!(client.next().await, Some(News::Open(_))));
    assert_eq!(server.request(0).await.unwrap().header("last-event-id"), Some("abc"));
}
