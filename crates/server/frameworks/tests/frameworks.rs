//! A channel served by each framework, read over a socket.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use fanfare_server::{Channel, Event, EventId, LastEventId};
use fanfare_server_frameworks as frameworks;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that comes back with an id hears what it missed and what comes.
async fn check(address: SocketAddr, channel: &Channel, missed: &EventId) {
    channel.publish("a", Event::data("missed")).expect("it is open");
    let request = format!("GET /events HTTP/1.1\r\nHost: {address}\r\nLast-Event-ID: {missed}\r\n\r\n");
    let (publisher, subscribers) = (channel.clone(), channel.clone());
    let read = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(request.as_bytes()).expect("it is sent");
        let mut heard = String::new();
        let mut is_live = false;
        while !heard.contains("data: live\n\n") {
            let mut room = [0; 4096];
            let length = stream.read(&mut room).expect("it answers in time");
            assert!(length > 0, "it ended: {heard}");
            heard.push_str(std::str::from_utf8(&room[..length]).expect("UTF-8"));
            if heard.contains("data: missed\n\n") && !is_live {
                is_live = true;
                publisher.publish("a", Event::data("live")).expect("it is open");
            }
        }
        heard.to_ascii_lowercase()
    });
    let heard = read.await.expect("it hears both");
    for header in ["http/1.1 200", "content-type: text/event-stream\r\n", "x-accel-buffering: no\r\n", "no-transform"] {
        assert!(heard.contains(header), "{heard}");
    }
    // The client is gone.
    let left = async {
        while subscribers.subscribers() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, left).await.expect("its leaving is seen");
}

fn channel() -> (Channel, EventId) {
    let channel = Channel::builder().keep_alive(Duration::from_millis(50)).build();
    let first = channel.publish("a", Event::data("first")).expect("it is open");
    (channel, first)
}

fn subscribe(channel: &Channel, id: Option<&[u8]>) -> http::Response<fanfare_server::ChannelBody> {
    let id = id.and_then(|id| EventId::new(String::from_utf8_lossy(id)).ok());
    channel.subscribe(["a"]).after(LastEventId(id)).response()
}

#[tokio::test]
async fn actix_web() {
    let (channel, first) = channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let served = channel.clone();
    let factory = move || {
        let channel = served.clone();
        let events = move |request: actix_web::HttpRequest| {
            let id = request.headers().get("last-event-id").map(|value| value.as_bytes().to_vec());
            let response = frameworks::actix_web(subscribe(&channel, id.as_deref()));
            async move { response }
        };
        actix_web::App::new().route("/events", actix_web::web::get().to(events))
    };
    let server = actix_web::HttpServer::new(factory).workers(1).disable_signals().listen(listener).expect("it listens");
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    check(address, &channel, &first).await;
    handle.stop(false).await;
}

#[tokio::test]
async fn poem() {
    use poem::listener::{Acceptor, Listener};
    let (channel, first) = channel();
    let acceptor = poem::listener::TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
    let address = *acceptor.local_addr()[0].as_socket_addr().expect("an address");
    let served = channel.clone();
    let events = poem::endpoint::make_sync(move |request: poem::Request| {
        let id = request.headers().get("last-event-id").map(http::HeaderValue::as_bytes);
        frameworks::poem(subscribe(&served, id))
    });
    tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(events));
    check(address, &channel, &first).await;
}

struct Events(Channel);

#[salvo::async_trait]
impl salvo::Handler for Events {
    async fn handle(
        &self,
        request: &mut salvo::Request,
        _: &mut salvo::Depot,
        response: &mut salvo::Response,
        _: &mut salvo::FlowCtrl,
    ) {
        let id = request.headers().get("last-event-id").map(http::HeaderValue::as_bytes);
        frameworks::salvo(subscribe(&self.0, id), response);
    }
}

#[tokio::test]
async fn salvo() {
    use salvo::conn::{Acceptor, Listener};
    let (channel, first) = channel();
    let acceptor = salvo::conn::TcpListener::new("127.0.0.1:0").bind().await;
    let address = acceptor.holdings()[0].local_addr.clone().into_std().expect("an address");
    let router = salvo::Router::with_path("events").get(Events(channel.clone()));
    tokio::spawn(salvo::Server::new(acceptor).serve(router));
    check(address, &channel, &first).await;
}

#[tokio::test]
async fn warp() {
    use warp::Filter;
    let (channel, first) = channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let served = channel.clone();
    let events = warp::path("events").and(warp::header::optional::<String>("last-event-id"));
    let events =
        events.map(move |id: Option<String>| frameworks::warp(subscribe(&served, id.as_deref().map(str::as_bytes))));
    tokio::spawn(warp::serve(events).incoming(listener).run());
    check(address, &channel, &first).await;
}
