//! Streams that have an end.

use std::sync::{Arc, Mutex};

use fanfare_client::{EventSourceBuilder, Kind, News, ReadyState, RetryPolicy};

use crate::server::{OK, Server, event};

const CHAT: &str = "data: a\n\nid: 7\ndata: [DONE]\n\ndata: never seen\n\n";

fn before(builder: EventSourceBuilder) -> EventSourceBuilder {
    builder.stop_before(|event| event.data() == "[DONE]")
}

fn after(builder: EventSourceBuilder) -> EventSourceBuilder {
    builder.stop_after(|event| event.data() == "[DONE]")
}

#[tokio::test(start_paused = true)]
async fn a_stream_stops_before_or_after_its_end_mark() {
    let server = Server::start().await;
    for (stop, expected) in [(before as fn(_) -> _, &["a"][..]), (after, &["a", "[DONE]"])] {
        let mut events = stop(server.builder()).stream().unwrap();
        let mut told = Vec::new();
        let answer = format!("{OK}{CHAT}");
        let (peer, ()) = tokio::join!(server.answer(&answer), async {
            while let Some(event) = events.next().await {
                told.push(event.unwrap().into_data());
            }
        });
        assert_eq!(told, expected);
        assert_eq!((events.ready_state(), events.last_event_id()), (ReadyState::Closed, "7"));
        peer.expect_closed().await;
    }
    server.expect_nobody().await;
}

#[tokio::test(start_paused = true)]
async fn news_end_without_an_error() {
    let server = Server::start().await;
    let mut client = after(server.builder()).news().unwrap();
    let mut peer = server.open(&mut client).await;
    peer.send(CHAT).await;
    assert_eq!(event(&mut client).await.data(), "a");
    assert_eq!(event(&mut client).await.data(), "[DONE]");
    assert!(client.next().await.is_none());
    peer.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn callbacks_end_as_if_the_source_was_closed() {
    let server = Server::start().await;
    for (stop, expected) in [(before as fn(_) -> _, &["a"][..]), (after, &["a", "[DONE]"])] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (messages, errors) = (Arc::clone(&told), Arc::clone(&told));
        let source = stop(server.builder())
            .on_message(move |event| messages.lock().unwrap().push(event.data().to_owned()))
            .on_error(move |_| errors.lock().unwrap().push("error".to_owned()))
            .connect()
            .unwrap();
        let answer = format!("{OK}{CHAT}");
        let (peer, ()) = tokio::join!(server.answer(&answer), source.closed());
        assert_eq!(*told.lock().unwrap(), expected);
        assert_eq!((source.ready_state(), &*source.last_event_id()), (ReadyState::Closed, "7"));
        peer.expect_closed().await;
        source.closed().await;
    }
    server.expect_nobody().await;
}

#[tokio::test(start_paused = true)]
async fn the_proper_end_may_be_a_success_and_a_break_is_tried_again() {
    let server = Server::start().await;
    let mut events = server.builder().stop_at_end().stream().unwrap();
    let mut told = Vec::new();
    tokio::join!(
        async {
            server.hang_up().await;
            drop(server.answer(&OK.replace("\r\n\r\n", "\r\nContent-Length: 99\r\n\r\ndata: a\n\n")).await);
            drop(server.answer(&format!("{OK}data: b\n\n")).await);
        },
        async {
            while let Some(event) = events.next().await {
                told.push(event.unwrap().into_data());
            }
        }
    );
    assert_eq!(told, ["a", "b"]);
    server.expect_nobody().await;
}

#[tokio::test(start_paused = true)]
async fn the_proper_end_is_told_where_it_is_no_success() {
    let server = Server::start().await;
    for (builder, is_told) in
        [(server.builder().stop_at_end(), false), (server.builder().retry(RetryPolicy::never()), true)]
    {
        let mut client = builder.news().unwrap();
        let (peer, _) = server.answer_to(&mut client, OK).await;
        drop(peer);
        match client.next().await {
            Some(News::Error(interruption)) => {
                assert!(is_told && interruption.has_given_up());
                assert_eq!(interruption.error().kind(), Kind::EndOfStream);
            }
            None => assert!(!is_told),
            other => panic!("{other:?}"),
        }
        assert!(client.next().await.is_none());
    }
}
