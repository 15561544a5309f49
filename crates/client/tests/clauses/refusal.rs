//! What errors carry: C15, C16, C22.

use std::time::Duration;

use fanfare_client::{EventSource, Kind, NewsStream, RetryPolicy};
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use crate::server::{OK, Server, error, expect_error, hold_clock};

const LIMITED: &str = "HTTP/1.1 429 Slow Down\r\nX-Request-Id: 7\r\nRetry-After: 5\r\nContent-Length: 17\r\n\r\n";

/// Polls the client until it has taken what was sent before, which lies in its socket, and waits for more.
async fn takes_the_head(client: &mut NewsStream) {
    tokio::select! {
        biased;
        news = client.next() => panic!("{news:?}"),
        // The runtime looks at its sockets every 61 polls.
        () = async { for _ in 0..1000 { yield_now().await } } => {}
    }
}

#[tokio::test(start_paused = true)]
async fn c15_a_refusal_carries_status_headers_and_the_start_of_the_body() {
    let server = Server::start().await;
    let mut client = server.builder().retry(RetryPolicy::default().on_transient_statuses()).news().unwrap();
    for attempt in 1..=2 {
        let (_, news) = server.answer_to(&mut client, &format!("{LIMITED}{{\"error\":\"busy\"}}\n")).await;
        let interruption = expect_error(Some(news));
        let error = interruption.error();
        assert_eq!(error.status().map(|status| status.as_u16()), Some(429));
        assert_eq!(error.headers().unwrap()["x-request-id"], "7");
        assert_eq!(error.body_start(), b"{\"error\":\"busy\"}\n");
        assert_eq!((error.attempt(), error.failures()), (attempt, u32::try_from(attempt).unwrap()));
        assert!(error.retry_in() >= Some(Duration::from_secs(5)));
        assert_eq!(error.retry_in(), interruption.retry_in());
    }
}

#[tokio::test(start_paused = true)]
async fn c16_a_page_that_is_no_stream_carries_its_start_however_long_it_is() {
    let server = Server::start().await;
    let mut events = server.builder().stream().unwrap();
    let page = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<h1>{}", "x".repeat(100_000));
    let (peer, last) = tokio::join!(server.answer(&page), events.next());
    let error = last.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.attempt(), error.failures(), error.retry_in()), (Kind::ContentType, 1, 1, None));
    assert_eq!(error.body_start().len(), 4 << 10);
    assert!(error.body_start().starts_with(b"<h1>xxx"));
    peer.expect_closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_no_answer_carries_none() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let ((), interruption) = tokio::join!(server.hang_up(), error(&mut client));
    let error = interruption.error();
    assert!(error.status().is_none() && error.headers().is_none() && error.body_start().is_empty());
    let unmade = EventSource::builder("nonsense").stream().unwrap_err();
    assert_eq!((unmade.attempt(), unmade.failures(), unmade.retry_in()), (0, 0, None));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_holds_nothing_up_for_longer_than_a_second() {
    let server = Server::start().await;
    let mut client = server.builder().retry(RetryPolicy::default().on_transient_statuses()).news().unwrap();
    for body in ["", "some of it"] {
        let asked = Instant::now();
        let head = "HTTP/1.1 503 Busy\r\nContent-Length: 99\r\n\r\n";
        let (_peer, news) = server.answer_to(&mut client, &format!("{head}{body}")).await;
        assert_eq!(expect_error(Some(news)).error().body_start(), body.as_bytes());
        assert!(asked.elapsed() < Duration::from_secs(60), "the clock is paused: this is no measurement");
    }
    server.open(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_timeout_that_is_shorter_holds_for_a_refusal_too() {
    let server = Server::start().await;
    let clock = hold_clock();
    let mut client = server.builder().idle_timeout(Duration::from_millis(500)).news().unwrap();
    let peer = tokio::select! {
        peer = server.answer("HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n") => peer,
        news = client.next() => panic!("{news:?}"),
    };
    takes_the_head(&mut client).await;
    advance(Duration::from_millis(501)).await;
    assert_eq!(error(&mut client).await.error().kind(), Kind::Status);
    peer.expect_closed().await;
    drop(clock);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_in_pieces_is_put_together_and_one_that_breaks_is_kept() {
    let server = Server::start().await;
    let clock = hold_clock();
    let mut client = server.builder().news().unwrap();
    let ((), interruption) = tokio::join!(
        async {
            let mut peer = server.answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 99\r\n\r\none ").await;
            advance(Duration::from_millis(500)).await;
            peer.send("two").await;
        },
        error(&mut client)
    );
    assert_eq!(interruption.error().body_start(), b"one two");
    drop(clock);
}

#[tokio::test(start_paused = true)]
async fn c23_close_does_not_wait_for_a_refusal() {
    let server = Server::start().await;
    let clock = hold_clock();
    let (told, mut errors) = tokio::sync::mpsc::channel(1);
    let source = server.builder().on_error(move |_| told.try_send(()).unwrap()).connect().unwrap();
    let peer = server.answer("HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n").await;
    source.close();
    peer.expect_closed().await;
    source.closed().await;
    assert_eq!(errors.recv().await, None, "nothing is told, and the listener is gone");

    let mut client = server.builder().news().unwrap();
    let peer = tokio::select! {
        peer = server.answer("HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n") => peer,
        news = client.next() => panic!("{news:?}"),
    };
    takes_the_head(&mut client).await;
    client.close();
    peer.expect_closed().await;
    assert!(client.next().await.is_none());
    drop(clock);
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_tells_the_headers_too() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let head = OK.replace("\r\n\r\n", "\r\nX-Request-Id: 8\r\n\r\n");
    let (_peer, news) = server.answer_to(&mut client, &head).await;
    let fanfare_client::News::Open(opened) = news else { panic!("{news:?}") };
    assert_eq!(opened.headers()["x-request-id"], "8");
}
