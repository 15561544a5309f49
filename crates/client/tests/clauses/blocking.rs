//! The iterator, in tests without a runtime.

use std::thread;

use fanfare_client::{EventSource, Kind, ReadyState};

use crate::server::{OK, Server};

/// Runs a server's script on a thread and a runtime of its own, and hands out its URL.
fn serve<F: Future<Output = ()>>(
    script: impl FnOnce(Server) -> F + Send + 'static,
) -> (String, thread::JoinHandle<()>) {
    let (tell_url, url) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start().await;
            tell_url.send(server.url()).unwrap();
            script(server).await;
        });
    });
    (url.recv().unwrap(), thread)
}

#[test]
fn it_yields_reconnects_and_ends_with_the_error() {
    let (url, server) = serve(|server| async move {
        drop(server.answer(&format!("{OK}retry: 0\nid: 1\ndata: a\n\ndata: b\n\n")).await);
        let peer = server.answer(&format!("{OK}data: c\n\n")).await;
        assert_eq!(peer.header("last-event-id"), ["1"]);
        drop(peer);
        server.answer("HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\nover").await;
    });
    let mut events = EventSource::builder(&url).blocking().unwrap();
    assert_eq!((events.ready_state(), events.url().as_str()), (ReadyState::Connecting, &*url));
    let told: Vec<_> = events.by_ref().map(|event| event.map(|event| event.into_data())).collect();
    assert_eq!(told[..3].iter().map(|data| data.as_deref().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(told[3].as_ref().unwrap_err().body_start(), b"over");
    assert_eq!((told.len(), events.last_event_id(), events.ready_state()), (4, "1", ReadyState::Closed));
    assert!(events.next().is_none());
    server.join().unwrap();
}

#[test]
fn it_stops_at_the_end_mark() {
    let (url, server) = serve(|server| async move {
        server.answer(&format!("{OK}data: a\n\ndata: [DONE]\n\n")).await.expect_closed().await;
    });
    let mut events = EventSource::builder(&url).stop_before(|event| event.data() == "[DONE]").blocking().unwrap();
    let told: Vec<_> = events.by_ref().map(|event| event.unwrap().into_data()).collect();
    assert_eq!(told, ["a"]);
    server.join().unwrap();
    assert_eq!(events.ready_state(), ReadyState::Closed);
}

#[test]
fn dropping_or_closing_it_aborts_the_connection() {
    for closes in [true, false] {
        let (url, server) = serve(|server| async move {
            server.answer(&format!("{OK}data: a\n\n")).await.expect_closed().await;
        });
        let mut events = EventSource::builder(&url).blocking().unwrap();
        assert_eq!(events.next().unwrap().unwrap().data(), "a");
        if closes {
            events.close();
            server.join().unwrap();
            assert!(events.next().is_none());
        } else {
            drop(events);
            server.join().unwrap();
        }
    }
}

#[test]
fn inside_a_runtime_it_is_an_error_and_no_panic() {
    let outside = EventSource::builder("http://127.0.0.1:1/").blocking().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let refused = EventSource::builder("http://127.0.0.1:1/").blocking().unwrap_err();
        assert_eq!(refused.kind(), Kind::Runtime);
        // One that was brought along: neither its use nor its end panics.
        let mut outside = outside;
        assert_eq!(outside.next().unwrap().unwrap_err().kind(), Kind::Runtime);
        assert!(outside.next().is_none());
        drop(outside);
    });
    assert_eq!(EventSource::builder("nonsense").blocking().unwrap_err().kind(), Kind::Url);
}

/// Another executor, or none: an error that says so, and no panic.
#[test]
fn a_stream_outside_a_runtime_is_an_error_and_no_panic() {
    let mut events = EventSource::builder("http://127.0.0.1:1/").stream().unwrap();
    let mut next = std::pin::pin!(events.next());
    let polled = next.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    let std::task::Poll::Ready(Some(Err(error))) = polled else { panic!("{polled:?}") };
    assert_eq!(error.kind(), Kind::Runtime);
}
