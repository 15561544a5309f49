//! Subscribers whose connections leave hyper.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use fanfare_server::{Channel, Connection, Event, Listener, Subscriber, Subscription};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::reading::{Client, until};

async fn events(State(channel): State<Channel>, subscriber: Subscriber) -> Subscription {
    channel.subscribe(["a"]).to(subscriber)
}

/// Serves the channel at `/events`, and at `/wrapped` with another body around its own.
pub(crate) async fn serve(channel: &Channel) -> SocketAddr {
    let wrap = async |request: axum::extract::Request, next: Next| -> Response {
        next.run(request).await.map(|body| {
            let upper = |bytes: bytes::Bytes| bytes::Bytes::from(bytes.to_ascii_uppercase());
            axum::body::Body::new(body.map_frame(move |frame| frame.map_data(upper)))
        })
    };
    let router = Router::new()
        .route("/wrapped", get(events).layer(middleware::from_fn(wrap)))
        .route("/events", get(events))
        .route("/other", get(async || "something else"))
        .with_state(channel.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<Connection>();
    tokio::spawn(axum::serve(Listener::new(listener), service).into_future());
    address
}

fn is_taken(channel: &Channel) -> bool {
    channel.taken_over() > 0
}

#[tokio::test]
async fn a_plain_subscriber_is_taken_and_hears_the_same() {
    let channel = Channel::new();
    let address = serve(&channel).await;
    let mut client = Client::get(address, "/events", "").await;
    until(|| is_taken(&channel)).await;
    let expected: Vec<String> = (0..200).map(|n| format!("{n} {}", "x".repeat(n * 10))).collect();
    for (n, data) in expected.iter().enumerate() {
        channel.publish("a", Event::data(data)).unwrap();
        if n % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    client.until(|client| client.events().len() == 200).await;
    assert_eq!(client.data(), expected);
    let head = client.head().unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n") && head.contains("content-type: text/event-stream"));

    // It resumes as elsewhere.
    let id = client.events()[150].id.clone();
    let mut again = Client::get(address, "/events", &format!("Last-Event-ID: {id}\r\n")).await;
    again.until(|client| client.events().len() == 49).await;
    assert_eq!(again.data(), expected[151..]);
    channel.finish();
    for client in [&mut client, &mut again] {
        client.until_end().await;
        assert!(client.body().1);
    }
    assert_eq!(channel.subscribers(), 0);
}

#[tokio::test]
async fn what_stands_between_keeps_its_connection_with_hyper() {
    let channel = Channel::new();
    let address = serve(&channel).await;
    let mut client = Client::get(address, "/wrapped", "").await;
    client.until(|client| !client.body().0.is_empty()).await;
    until(|| channel.subscribers() == 1).await;
    channel.publish("a", Event::data("loud")).unwrap();
    client.until(|client| client.body().0.ends_with(b"DATA: LOUD\n\n")).await;
    assert!(!is_taken(&channel));
    // HTTP/1.0 knows no chunks.
    let mut old = tokio::net::TcpStream::connect(address).await.unwrap();
    old.write_all(b"GET /events HTTP/1.0\r\n\r\n").await.unwrap();
    until(|| channel.subscribers() == 2).await;
    channel.publish("a", Event::data("x")).unwrap();
    channel.finish();
    let mut all = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut old, &mut all).await.unwrap();
    assert!(all.ends_with(b"\ndata: x\n\n"));
    assert!(!is_taken(&channel));
}

#[tokio::test]
async fn a_connection_that_served_other_requests_is_taken_too() {
    let channel = Channel::new();
    let address = serve(&channel).await;
    let mut client = Client::get(address, "/other", "").await;
    client.until(|client| client.raw.ends_with(b"something else")).await;
    client.raw.clear();
    client.stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(|| is_taken(&channel)).await;
    channel.publish("a", Event::data("x")).unwrap();
    client.until(|client| client.data() == ["x"]).await;
}

/// A request that came along with the subscription is not answered: after its stream the connection ends.
#[tokio::test]
async fn a_request_behind_the_subscription_leaves_nothing_behind() {
    let channel = Channel::new();
    let address = serve(&channel).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let second = "\r\nGET /other HTTP/1.1\r\nHost: x\r\n";
    let mut client = Client::get(address, "/events", second).await;
    until(|| is_taken(&channel)).await;
    // The subscriber's own task alone.
    until(|| metrics.num_alive_tasks() == before + 1).await;
    channel.publish("a", Event::data("x")).unwrap();
    channel.finish();
    client.until_end().await;
    assert_eq!(client.data(), ["x"]);
    until(|| metrics.num_alive_tasks() == before).await;
}

#[tokio::test]
async fn a_slow_subscriber_holds_up_nobody_and_loses_nothing() {
    let channel = Channel::builder().retain_bytes(64 << 20).build();
    let address = serve(&channel).await;
    let mut slow = Client::get(address, "/events", "").await;
    let mut fast = Client::get(address, "/events", "").await;
    until(|| channel.subscribers() == 2).await;
    // Far more than two sockets' buffers hold.
    let data = "x".repeat(64 << 10);
    for n in 0..300 {
        channel.publish("a", Event::data(format!("{n} {data}"))).unwrap();
        let so_far = fast.raw.len();
        fast.until(|client| client.raw.len() > so_far).await;
    }
    let bytes = 300 * data.len();
    fast.until(|client| client.raw.len() > bytes).await;
    channel.finish();
    for client in [&mut slow, &mut fast] {
        client.until_end().await;
        let numbers: Vec<usize> =
            client.data().iter().map(|data| data.split(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_subscriber_that_talks_on_is_cut_off_and_one_that_leaves_is_seen() {
    let channel = Channel::new();
    let address = serve(&channel).await;
    let mut loud = Client::get(address, "/events", "").await;
    let quiet = Client::get(address, "/events", "").await;
    until(|| channel.subscribers() == 2).await;
    drop(quiet);
    until(|| channel.subscribers() == 1).await;
    // It may be cut off in the middle.
    let _ = loud.stream.write_all(&[b'x'; 64 << 10]).await;
    until(|| channel.subscribers() == 0).await;
}

#[tokio::test]
async fn it_is_kept_alive_while_nothing_happens() {
    let channel = Channel::builder().keep_alive(Duration::from_millis(40)).build();
    let address = serve(&channel).await;
    let mut client = Client::get(address, "/events", "").await;
    client.until(|client| client.body().0.ends_with(b":\n:\n:\n")).await;
    assert!(is_taken(&channel));
}

#[tokio::test]
async fn history_that_passes_a_slow_subscriber_by_is_told_and_a_shutdown_cuts_one_that_takes_nothing() {
    let channel = Channel::builder().retain_count(0).build();
    let address = serve(&channel).await;
    let mut slow = Client::get(address, "/events", "").await;
    let stuck = Client::get(address, "/events", "").await;
    until(|| channel.taken_over() == 2).await;
    // Far more than two sockets' buffers hold, and than history keeps.
    let data = "x".repeat(64 << 10);
    for n in 0..400 {
        channel.publish("a", Event::data(format!("{n} {data}"))).unwrap();
        tokio::task::yield_now().await;
    }
    let is_told = |client: &Client| client.events().iter().any(|heard| heard.event_type == "fanfare-gap");
    // Looked for where it must be: decoding all of it after each read would take long.
    let last = |client: &Client| {
        let tail = &client.raw[client.raw.len().saturating_sub(2 * data.len())..];
        tail.ends_with(b"x\n\n\r\n") && tail.windows(7).any(|bytes| bytes == b": 399 x")
    };
    slow.until(last).await;
    assert!(is_told(&slow));
    let events = slow.events();
    let gap = events.iter().position(|heard| heard.event_type == "fanfare-gap").unwrap();
    assert!(events[gap].data.contains("\"reason\":\"lagged\""));
    let number = |data: &str| data.split(' ').next().unwrap().parse::<usize>().unwrap();
    let after: Vec<usize> = events[gap + 1..].iter().map(|heard| number(&heard.data)).collect();
    assert_eq!(after, (400 - after.len()..400).collect::<Vec<_>>());

    channel.shutdown(Duration::from_millis(50)).await;
    until(|| channel.subscribers() == 0).await;
    drop(stuck);
}
