//! Streams of one client: handles to send through, work behind them, values, ends, errors.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use fanfare_server::{Capacity, Chunks, Event, EventStream, TrySendError, WhenFull};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;

async fn text<B>(body: B) -> String
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap().strip_prefix(":\n").unwrap().to_owned()
}

fn event(n: usize) -> Event {
    Event::data(n.to_string())
}

#[tokio::test]
async fn senders_wait_for_room_and_lose_nothing() {
    let (sender, stream) = EventStream::sender(Capacity::events(2));
    let body = tokio::spawn(text(stream.response().into_body()));
    for n in 0..5 {
        sender.clone().send(event(n)).await.unwrap();
    }
    assert_eq!(sender.dropped(), 0);
    drop(sender);
    assert_eq!(body.await.unwrap(), "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n");
}

#[tokio::test]
async fn a_sender_that_does_not_wait_gets_its_event_back() {
    let (sender, stream) = EventStream::sender(Capacity::events(10).bytes(3));
    sender.try_send(Event::data("more than three")).unwrap();
    assert_eq!(sender.try_send(event(1)), Err(TrySendError::Full(event(1))));
    let mut body = Box::pin(stream.response().into_body());
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    sender.try_send(event(1)).unwrap();
    drop(body);
    assert_eq!(sender.try_send(event(2)), Err(TrySendError::Gone));
}

#[tokio::test]
async fn the_oldest_makes_room_and_is_counted() {
    let (sender, stream) = EventStream::sender(Capacity::events(2).when_full(WhenFull::DropOldest));
    for n in 0..5 {
        sender.send(event(n)).await.unwrap();
    }
    assert_eq!(sender.dropped(), 3);
    drop(sender);
    assert_eq!(text(stream.response().into_body()).await, "data: 3\n\ndata: 4\n\n");
}

#[tokio::test]
async fn a_client_that_is_too_slow_is_cut_off() {
    let (sender, stream) = EventStream::sender(Capacity::events(2).when_full(WhenFull::Disconnect));
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.gone().await }
    });
    for n in 0..2 {
        sender.send(event(n)).await.unwrap();
    }
    assert!(sender.send(event(2)).await.is_err());
    waiting.await.unwrap();
    let mut body = Box::pin(stream.response().into_body());
    body.frame().await.unwrap().unwrap();
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn work_is_dropped_when_its_client_goes() {
    let alive = Arc::new(());
    let bodies: Vec<_> = (0..10)
        .map(|_| {
            let held = Arc::clone(&alive);
            let work = EventStream::work(Capacity::default(), |sender| async move {
                sender.send(Event::data("first")).await.unwrap();
                // A model that never answers.
                std::future::pending::<()>().await;
                drop(held);
            });
            let held = Arc::clone(&alive);
            let (sender, stream) = EventStream::sender(Capacity::default());
            tokio::spawn(async move {
                tokio::select! {
                    () = sender.gone() => {}
                    () = std::future::pending() => {}
                }
                drop(held);
            });
            (work.response().into_body(), stream.holding(Arc::clone(&alive)).response().into_body())
        })
        .collect();
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!((Arc::strong_count(&alive), metrics.num_alive_tasks()), (31, 20));
    drop(bodies);
    while metrics.num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test]
async fn work_that_is_done_ends_its_stream_and_drops_what_it_holds() {
    let alive = Arc::new(());
    let work = EventStream::work(Capacity::events(1), |sender| async move {
        for n in 0..3 {
            sender.send(event(n)).await.unwrap();
        }
    });
    let response = work.end_with(Event::data("[DONE]")).holding(Arc::clone(&alive)).response();
    let mut body = Box::pin(response.into_body());
    let mut all = String::new();
    while let Some(frame) = body.frame().await {
        all.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
    }
    assert!(all.ends_with("data: 2\n\ndata: [DONE]\n\n"));
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("the model is overloaded\ndata: not a field")]
struct Overloaded;

#[tokio::test]
async fn an_error_is_an_event_and_the_end() {
    let events = stream::iter([Ok(event(1)), Err(Overloaded), Ok(event(2))]);
    let describe = |error: Overloaded| Event::data(error.to_string()).with_type("error".try_into().unwrap());
    let response = EventStream::fallible(events).end_with(Event::data("[DONE]")).error_event(describe).response();
    let expected = "data: 1\n\nevent: error\ndata: the model is overloaded\ndata: data: not a field\n\n";
    assert_eq!(text(response.into_body()).await, expected);
}

#[cfg(feature = "json")]
#[tokio::test]
async fn values_are_json_on_one_line_whatever_they_hold() {
    let values = stream::iter(["a\nb\r\n\r", "\u{2028}"]);
    let response = EventStream::json(values).end_with(Event::data("[DONE]")).response();
    let expected = "data: \"a\\nb\\r\\n\\r\"\n\ndata: \"\u{2028}\"\n\ndata: [DONE]\n\n";
    assert_eq!(text(response.into_body()).await, expected);
}

#[cfg(feature = "json")]
#[tokio::test]
async fn a_stream_of_values_that_fails_says_what_failed() {
    let failing = stream::iter([Ok(1), Err(Overloaded)]);
    let describe = |error: fanfare_server::JsonError| {
        let message = error.into_source().to_string();
        Event::data(serde_json::json!({ "error": { "message": message } }).to_string())
    };
    let response = EventStream::try_json(failing).end_with(Event::data("[DONE]")).error_event(describe).response();
    let expected = r#"{"error":{"message":"the model is overloaded\ndata: not a field"}}"#;
    assert_eq!(text(response.into_body()).await, format!("data: 1\n\ndata: {expected}\n\n"));
    // A map whose keys are no strings is no JSON.
    let unwritable = stream::iter([std::collections::BTreeMap::from([((1, 2), 3)])]);
    let mut body = Box::pin(EventStream::json(unwritable).response().into_body());
    body.frame().await.unwrap().unwrap();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "a value can't be written as JSON");
}

#[tokio::test]
async fn a_body_is_a_stream_of_its_chunks() {
    let body = EventStream::new(stream::iter([event(1)])).response().into_body();
    let chunks: Vec<_> = Chunks::new(body).map(Result::unwrap).collect().await;
    assert_eq!(chunks, [":\n", "data: 1\n\n"]);
}

/// A compressor waits for more input. tower-http's leaves `text/event-stream` alone, and one that was told to compress
/// everything is kept away by the response's own `Content-Encoding`.
#[cfg(feature = "axum")]
#[tokio::test(start_paused = true)]
async fn events_get_through_at_once_behind_a_compression_layer() {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tower::ServiceExt;
    use tower_http::compression::CompressionLayer;
    use tower_http::compression::predicate::SizeAbove;

    let events = async || {
        let ticks = stream::unfold(0, async |n| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((event(n), n + 1))
        });
        EventStream::new(ticks)
    };
    let router = Router::new().route("/", get(events));
    let layers = [
        router.clone().layer(CompressionLayer::new()),
        // One that was told to compress whatever it is.
        router.layer(CompressionLayer::new().compress_when(SizeAbove::new(0))),
    ];
    for router in layers {
        let request = http::Request::get("/").header("accept-encoding", "gzip, br, zstd");
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "identity");
        let mut body = response.into_body();
        let start = tokio::time::Instant::now();
        for (second, expected) in [":\n", "data: 0\n\n", "data: 1\n\n"].into_iter().enumerate() {
            let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!((start.elapsed().as_secs(), &chunk[..]), (second as u64, expected.as_bytes()));
        }
    }
}
