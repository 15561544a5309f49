//! What comes back: C15 to C18, C21, C22, C24, C25.

use std::time::Duration;

use fanfare_client::{EventSource, Kind, News, ReadyState};
use tokio::time::Instant;

use crate::server::{OK, Server, error, event, expect_error};

#[tokio::test(start_paused = true)]
async fn c15_c22_any_status_but_200_fails_for_good() {
    let server = Server::start().await;
    for status in [204, 205, 210, 299, 304, 404, 410, 500, 503] {
        let mut client = server.builder().news().unwrap();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
        let (peer, news) = server.answer_to(&mut client, &head).await;
        let interruption = expect_error(Some(news));
        assert_eq!(interruption.error().status().map(|status| status.as_u16()), Some(status));
        assert_eq!((interruption.error().kind(), interruption.retry_in()), (Kind::Status, None), "{status}");
        assert_eq!(client.ready_state(), ReadyState::Closed);
        assert!(client.next().await.is_none());
        drop(peer);
    }
    server.expect_nobody().await;
}

#[tokio::test(start_paused = true)]
async fn c16_the_content_type_counts_by_its_essence() {
    let server = Server::start().await;
    for (header, opens) in [
        ("Content-Type: text/event-stream\r\n", true),
        ("Content-Type: text/event-stream;\r\n", true),
        ("content-type: Text/Event-Stream; charset=windows-1252\r\n", true),
        ("Content-Type: text/event-streamx\r\n", false),
        ("Content-Type: text/x-bogus\r\n", false),
        ("Content-Type: x bogus\r\n", false),
        ("", false),
    ] {
        let mut client = server.builder().news().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\n{header}\r\n");
        let (mut peer, news) = server.answer_to(&mut client, &head).await;
        if opens {
            assert!(matches!(news, News::Open(_)), "{header:?}: {news:?}");
            peer.send("data: é\n\n").await;
            assert_eq!(event(&mut client).await.data(), "é", "UTF-8, whatever the charset");
        } else {
            let interruption = expect_error(Some(news));
            assert_eq!((interruption.error().kind(), interruption.retry_in()), (Kind::ContentType, None), "{header:?}");
            peer.expect_closed().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c17_a_connection_that_breaks_before_the_answer_is_tried_again() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    for failures in 1..=3 {
        let ((), interruption) = tokio::join!(server.hang_up(), error(&mut client));
        assert_eq!((interruption.error().kind(), interruption.failures()), (Kind::Connect, failures));
        assert!(interruption.retry_in() >= Some(Duration::from_secs(3)));
        assert_eq!(client.ready_state(), ReadyState::Connecting);
    }
    server.open(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn c17_a_refused_connection_is_tried_again() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    drop(server);
    for _ in 0..2 {
        let interruption = error(&mut client).await;
        assert_eq!(interruption.error().kind(), Kind::Connect);
        assert!(interruption.retry_in().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn c17_c21_a_connection_that_breaks_within_the_stream_is_tried_again() {
    let server = Server::start().await;
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut client = server.builder().news().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{head}\r\n\r\n");
        let (peer, _) = server.answer_to(&mut client, &head).await;
        drop(peer);
        let interruption = error(&mut client).await;
        assert_eq!(interruption.error().kind(), Kind::CutOff, "{head:?}");
        assert_eq!(interruption.retry_in(), Some(Duration::from_secs(3)));
        server.open(&mut client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn c18_c21_the_end_of_the_stream_is_no_end() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    for head in
        [OK, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
    {
        let (peer, news) = server.answer_to(&mut client, head).await;
        assert!(matches!(news, News::Open(_)), "{news:?}");
        assert_eq!(client.ready_state(), ReadyState::Open);
        drop(peer);
        assert_eq!(error(&mut client).await.error().kind(), Kind::EndOfStream);
        assert_eq!(client.ready_state(), ReadyState::Connecting);
    }
}

#[tokio::test(start_paused = true)]
async fn c21_c24_it_waits_as_long_as_the_stream_said() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    for (stream, expected_ms) in
        [("data\n\n", 3_000), ("retry: 1234\ndata\n\n", 1_234), ("data\n\n", 1_234), ("retry: 0\ndata\n\n", 100)]
    {
        let mut peer = server.open(&mut client).await;
        peer.send(stream).await;
        event(&mut client).await;
        drop(peer);
        let wait = error(&mut client).await.retry_in().unwrap();
        assert_eq!(wait, Duration::from_millis(expected_ms), "after {stream:?}");
        let ended_at = Instant::now();
        drop(server.open(&mut client).await);
        assert!(ended_at.elapsed() >= wait, "after {stream:?}");
        error(&mut client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn streams_that_end_at_once_make_no_hot_loop() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let shortest = Duration::from_millis(100);
    for failures in 1..=12 {
        let (peer, _) = server.answer_to(&mut client, &format!("{OK}retry: 0\n\n")).await;
        drop(peer);
        let interruption = error(&mut client).await;
        let wait = interruption.retry_in().unwrap();
        let longest = (shortest * (1 << (failures - 1))).min(Duration::from_secs(30));
        assert!((shortest..=longest).contains(&wait), "{wait:?} after {failures} failures");
        assert_eq!(interruption.failures(), failures);
    }
}

#[tokio::test(start_paused = true)]
async fn c25_everything_comes_in_the_order_of_the_stream_whatever_the_chunks() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let mut peer = server.open(&mut client).await;
    let stream = "\u{feff}event: a\ndata: 1\n\n:note\r\ndata: 2\rdata: 3\r\r\nid: 9\nevent: b\ndata\n\n";
    let mut told = Vec::new();
    tokio::join!(
        async {
            for byte in stream.as_bytes() {
                peer.send_bytes(&[*byte]).await;
                // Lets the client take it before the next one comes.
                tokio::task::yield_now().await;
            }
        },
        async {
            while told.len() < 4 {
                told.push(match client.next().await {
                    Some(News::Event(event)) => {
                        format!("{} {:?} {}", event.event_type(), event.data(), event.last_event_id())
                    }
                    Some(News::Comment(comment)) => format!(":{comment}"),
                    other => panic!("{other:?}"),
                });
            }
        }
    );
    assert_eq!(told, ["a \"1\" ", ":note", "message \"2\\n3\" ", "b \"\" 9"]);
}

#[tokio::test(start_paused = true)]
async fn the_event_stream_tells_only_what_ends_it() {
    let server = Server::start().await;
    let mut events = server.builder().stream().unwrap();
    let ((), first) = tokio::join!(
        async {
            server.hang_up().await;
            drop(server.answer(&format!("{OK}:hi\n\n")).await);
            drop(server.answer(&format!("{OK}data: a\n\n")).await);
        },
        events.next()
    );
    assert_eq!(first.unwrap().unwrap().data(), "a");
    let (_peer, last) = tokio::join!(server.answer("HTTP/1.1 404 Not Found\r\n\r\n"), events.next());
    assert_eq!(last.unwrap().unwrap_err().kind(), Kind::Status);
    assert!(events.next().await.is_none());
    assert_eq!(events.ready_state(), ReadyState::Closed);

    let mut events = server.builder().stream().unwrap();
    let (_peer, last) = tokio::join!(server.answer("HTTP/1.1 204 No Content\r\n\r\n"), events.next());
    assert!(last.is_none(), "204 is how a server says that it is over: {last:?}");
}

#[tokio::test(start_paused = true)]
async fn c3_c7_unusable_urls() {
    for url in ["http://this is invalid/", "", "no scheme", "http://"] {
        assert_eq!(EventSource::builder(url).news().unwrap_err().kind(), Kind::Url, "{url:?}");
        assert_eq!(EventSource::builder(url).stream().unwrap_err().kind(), Kind::Url, "{url:?}");
        assert_eq!(EventSource::new(url).unwrap_err().kind(), Kind::Url, "{url:?}");
    }
    for url in ["ftp://127.0.0.1/", "about:blank", "mailto:who@example.com", "javascript:alert('x')"] {
        let mut client = EventSource::builder(url).news().unwrap();
        let interruption = error(&mut client).await;
        assert_eq!((interruption.error().kind(), interruption.retry_in()), (Kind::Url, None), "{url:?}");
        assert!(client.next().await.is_none());
    }
}

/// A comment right behind a block that only sets an id, and then the end of the chunk and of the stream.
#[tokio::test(start_paused = true)]
async fn c13_an_id_without_an_event_counts_before_a_comment() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let mut peer = server.open(&mut client).await;
    peer.send("id: 5\n\n: c\n").await;
    assert!(matches!(client.next().await, Some(News::Comment(_))));
    assert_eq!(client.last_event_id(), "5");
    drop(peer);
    error(&mut client).await;
    let (peer, _) = server.answer_to(&mut client, OK).await;
    assert_eq!(peer.header("last-event-id"), ["5"]);
}
