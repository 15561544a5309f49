//! What is sent: C8 to C13, C19.

use fanfare_client::{EventId, News};

use crate::server::{OK, Server, error, event};

#[tokio::test(start_paused = true)]
async fn c8_c9_c10_c12_the_first_request() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let peer = server.open(&mut client).await;
    assert!(peer.head.starts_with("GET /events HTTP/1.1\r\n"), "{}", peer.head);
    assert_eq!(peer.header("accept"), ["text/event-stream"]);
    assert_eq!(peer.header("cache-control"), ["no-cache"]);
    assert_eq!(peer.header("pragma"), ["no-cache"]);
    assert_eq!(peer.header("last-event-id"), [""; 0]);
    assert_eq!(peer.header("content-length"), [""; 0]);
    assert!(peer.body.is_empty());
}

/// Initiator type, destination and CORS are of a browser that fetches for a page. Here the program itself asks: nothing
/// of them is on the wire, and no answer has to allow it.
#[tokio::test(start_paused = true)]
async fn c11_c19_there_is_no_page_to_ask_for() {
    let (server, other) = (Server::start().await, Server::start().await);
    // With an id for which a browser would ask beforehand.
    let id = EventId::new("é".repeat(200)).unwrap();
    let mut client = server.builder().with_credentials(true).last_event_id(id).news().unwrap();
    let location = format!("HTTP/1.1 307 Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", other.url());
    let (peers, news) = tokio::join!(async { [server.answer(&location).await, other.answer(OK).await] }, client.next());
    assert!(matches!(news, Some(News::Open(_))), "{news:?}");
    for peer in peers {
        assert!(peer.head.starts_with("GET /events HTTP/1.1\r\n"), "{}", peer.head);
        for name in ["origin", "referer", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site"] {
            assert_eq!(peer.header(name), [""; 0], "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c12_c13_the_last_event_id_is_sent_once_there_is_one() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    for (stream, expected) in [
        ("data: no id\n\n", None),
        ("id: 1\ndata: a\n\nid: 2\n\n", Some("2")),
        ("data: without\n\n", Some("2")),
        ("id: …é\ndata: b\n\n", Some("…é")),
        ("id: 9\ndata: never dispatched\n", Some("…é")),
        ("id: a, b; c=\"d\"\ndata: c\n\n", Some("a, b; c=\"d\"")),
        ("id\ndata: reset\n\n", None),
    ] {
        let mut peer = server.open(&mut client).await;
        peer.send(stream).await;
        drop(peer);
        while let Some(News::Event(_)) = client.next().await {}
        let (peer, _) = server.answer_to(&mut client, OK).await;
        assert_eq!(peer.header("last-event-id"), Vec::from_iter(expected), "after {stream:?}");
        drop(peer);
        error(&mut client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn c13_an_id_that_no_header_can_carry_is_not_sent_and_does_no_harm() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let mut peer = server.open(&mut client).await;
    peer.send("id: a\u{1}b\ndata\n\n").await;
    drop(peer);
    assert_eq!(event(&mut client).await.last_event_id(), "a\u{1}b");
    error(&mut client).await;
    assert_eq!(server.open(&mut client).await.header("last-event-id"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_initial_id_goes_with_the_first_request() {
    let server = Server::start().await;
    let id = EventId::new("41").unwrap();
    let mut client = server.builder().last_event_id(id.clone()).news().unwrap();
    assert_eq!(client.last_event_id(), "41");
    let mut peer = server.open(&mut client).await;
    assert_eq!(peer.header("last-event-id"), ["41"]);
    peer.send("data: keeps it\n\n").await;
    assert_eq!(event(&mut client).await.last_event_id(), "41");

    let mut client = server.builder().header("Last-Event-ID", "42").unwrap().news().unwrap();
    let mut peer = server.open(&mut client).await;
    assert_eq!(peer.header("last-event-id"), ["42"]);
    peer.send("id: 43\ndata\n\n").await;
    drop(peer);
    event(&mut client).await;
    error(&mut client).await;
    assert_eq!(server.open(&mut client).await.header("last-event-id"), ["43"], "set, and not appended");
}
