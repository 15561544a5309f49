//! How streams end when an application stops, and that nothing is left of those whose clients went.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use fanfare_server::{Channel, Connection, Event, EventStream, LastEventId, Listener, Subscriber, Subscription};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::reading::{Client, PATIENCE, read, until};

#[derive(Clone)]
struct Application {
    channel: Channel,
    /// Held by each stream.
    streams: Arc<()>,
}

async fn events(State(application): State<Application>, subscriber: Subscriber) -> Subscription {
    application.channel.subscribe(["a"]).to(subscriber).holding(application.streams)
}

/// A server of a channel; whether behind axum's own listener or ours. It stops when told to.
struct Server {
    address: SocketAddr,
    application: Application,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(is_ours: bool, channel: Channel, grace: Duration, farewell: Option<Event>) -> Self {
        let application = Application { channel, streams: Arc::new(()) };
        let router = Router::new().route("/events", get(events)).with_state(application.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let channel = application.channel.clone();
        let signal = async move {
            stopped.await.unwrap();
            let shutdown = channel.shutdown(grace);
            let shutdown = if let Some(event) = farewell { shutdown.farewell(event) } else { shutdown };
            shutdown.retry(Duration::from_secs(7)).await;
        };
        let served = if is_ours {
            let router = router.into_make_service_with_connect_info::<Connection>();
            tokio::spawn(axum::serve(Listener::new(listener), router).with_graceful_shutdown(signal).into_future())
        } else {
            tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(signal).into_future())
        };
        Self { address, application, stop, served }
    }
}

#[tokio::test]
async fn a_server_with_open_streams_stops_when_each_has_its_farewell() {
    for is_ours in [false, true] {
        let farewell = Event::data("back soon").with_type("farewell".try_into().unwrap());
        let server = Server::start(is_ours, Channel::new(), Duration::from_millis(500), Some(farewell)).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = Client::get(server.address, "/events", "").await;
            client.until(|client| client.head().is_some()).await;
            clients.push(client);
        }
        until(|| server.application.channel.subscribers() == 20).await;
        server.application.channel.publish("a", Event::data("last")).unwrap();
        server.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, server.served).await.unwrap().unwrap().unwrap();
        for client in &mut clients {
            client.until_end().await;
            assert_eq!(client.data(), ["last", "back soon"], "ours: {is_ours}");
            let (body, is_complete) = client.body();
            assert!(is_complete && body.ends_with(b"retry: 7000\n\n"));
        }
        assert_eq!(Arc::strong_count(&server.application.streams), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn streams_end_at_moments_of_their_own_within_the_grace() {
    let channel = Channel::builder().seed(1).build();
    let start = Instant::now();
    let readers: Vec<_> = (0..50)
        .map(|_| {
            let mut reader = read(channel.subscribe(["a"]));
            tokio::spawn(async move {
                assert_eq!(reader.rest().await, ["bye"]);
                Instant::now()
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let grace = Duration::from_secs(10);
    assert_eq!(channel.shutdown(grace).farewell(Event::data("bye")).await, 0);
    assert!(start.elapsed() <= grace);
    let mut ends = Vec::new();
    for reader in readers {
        ends.push((reader.await.unwrap() - start).as_secs());
    }
    assert!(ends.iter().all(|end| *end < 10));
    for second in 0..9 {
        assert!(ends.contains(&second), "nobody left in second {second}: {ends:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_takes_nothing_does_not_hold_up_the_shutdown() {
    let channel = Channel::new();
    let body = channel.subscribe(["a"]).body();
    let start = Instant::now();
    assert_eq!(channel.shutdown(Duration::from_secs(3)).await, 1);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    drop(body);
    assert_eq!(channel.subscribers(), 0);
}

#[tokio::test]
async fn whoever_comes_while_it_stops_is_asked_to_come_back() {
    let channel = Channel::new();
    assert_eq!(channel.shutdown(Duration::ZERO).await, 0);
    let body = channel.subscribe(["a"]).after(LastEventId(None)).body();
    let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    let text = std::str::from_utf8(&bytes).unwrap();
    let retry = text.strip_prefix(":\n: shutting down\nretry: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
    assert!((1000..5000).contains(&retry.parse::<u32>().unwrap()));
}

#[tokio::test]
async fn other_streams_end_with_the_channel() {
    let channel = Channel::new();
    let body = EventStream::new(futures_util::stream::pending()).until(channel.closing()).response().into_body();
    let rest = tokio::spawn(http_body_util::BodyExt::collect(body));
    channel.shutdown(Duration::ZERO).await;
    assert_eq!(rest.await.unwrap().unwrap().to_bytes(), ":\n");
}

/// The herald, the server, and what waits for its signal.
const TASKS: usize = 3;

async fn nothing_is_left(is_ours: bool) {
    let channel = Channel::builder().keep_alive(Duration::from_millis(20)).build();
    let server = Server::start(is_ours, channel, Duration::ZERO, None).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    for _ in 0..3 {
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = Client::get(server.address, "/events", "").await;
            client.until(|client| client.head().is_some()).await;
            clients.push(client);
        }
        until(|| server.application.channel.subscribers() == 20).await;
        assert!(Arc::strong_count(&server.application.streams) > 20);
        // Those whom hyper has let go of have a task of their own instead.
        until(|| metrics.num_alive_tasks() == TASKS + 20).await;
        drop(clients);
        until(|| metrics.num_alive_tasks() == TASKS).await;
        assert_eq!(server.application.channel.subscribers(), 0);
        // Ours, and that in the router.
        assert_eq!(Arc::strong_count(&server.application.streams), 2);
    }
    server.stop.send(()).unwrap();
    server.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_clients_that_went() {
    nothing_is_left(false).await;
}

#[tokio::test]
async fn nothing_is_left_of_clients_that_were_taken_over_and_went() {
    nothing_is_left(true).await;
}

#[tokio::test]
async fn a_channel_that_is_dropped_leaves_no_task() {
    tokio::time::pause();
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let channels: Vec<Channel> = (0..10).map(|_| Channel::new()).collect();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(metrics.num_alive_tasks(), before + 10);
    drop(channels);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(metrics.num_alive_tasks(), before);
}
