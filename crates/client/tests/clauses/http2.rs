//! The same over HTTP/2, without TLS: frame by frame.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use fanfare_client::{EventSource, EventSourceBuilder, Kind, News};
use fanfare_scripted_server::Watchdog;
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::server::{error, event};

struct Server {
    listener: TcpListener,
    _watchdog: Watchdog,
}

/// One connection and its first request.
struct Peer {
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    /// Moves the connection, and ends with it.
    connection: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, _watchdog: Watchdog::start(Duration::from_secs(120)) }
    }

    fn builder(&self) -> EventSourceBuilder {
        let url = format!("http://{}/events", self.listener.local_addr().unwrap());
        EventSource::builder(url).client_builder(reqwest::Client::builder().http2_prior_knowledge())
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut connection: Connection<TcpStream, Bytes> = h2::server::handshake(stream).await.unwrap();
        let (request, respond) = connection.accept().await.unwrap().unwrap();
        // A second request on the same connection would be an error in the test.
        let connection = tokio::spawn(async move { assert!(!matches!(connection.accept().await, Some(Ok(_)))) });
        Peer { request, respond, connection }
    }

    async fn open(&self, client: &mut fanfare_client::NewsStream) -> (Peer, SendStream<Bytes>) {
        let (opened, news) = tokio::join!(
            async {
                let mut peer = self.accept().await;
                let head = Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
                let stream = peer.respond.send_response(head, false).unwrap();
                (peer, stream)
            },
            client.next()
        );
        assert!(matches!(news, Some(News::Open(_))), "{news:?}");
        opened
    }
}

#[tokio::test(start_paused = true)]
async fn c12_c18_c23_it_streams_reconnects_and_closes() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let (peer, mut stream) = server.open(&mut client).await;
    assert_eq!(peer.request.headers()["accept"], "text/event-stream");
    assert!(!peer.request.headers().contains_key("last-event-id"));
    for n in 0..3 {
        stream.send_data(format!("id: {n}\ndata: {n}\n\n").into(), false).unwrap();
        assert_eq!(event(&mut client).await.data(), n.to_string());
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert_eq!(error(&mut client).await.error().kind(), Kind::EndOfStream);
    peer.connection.await.unwrap();

    let (peer, mut stream) = server.open(&mut client).await;
    assert_eq!(peer.request.headers()["last-event-id"], "2");
    stream.send_reset(h2::Reason::INTERNAL_ERROR);
    assert_eq!(error(&mut client).await.error().kind(), Kind::CutOff);

    let (peer, _stream) = server.open(&mut client).await;
    client.close();
    peer.connection.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_went_silent_is_not_used_again() {
    let server = Server::start().await;
    let mut client = server.builder().idle_timeout(Duration::from_secs(30)).news().unwrap();
    for _ in 0..2 {
        let (_peer, _stream) = server.open(&mut client).await;
        assert_eq!(error(&mut client).await.error().kind(), Kind::Timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn sources_that_share_a_client_share_a_connection() {
    let server = Server::start().await;
    let url = format!("http://{}/events", server.listener.local_addr().unwrap());
    let shared = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let source = || EventSource::builder(&url).client(shared.clone()).news().unwrap();
    let (mut first, mut second) = (source(), source());
    let serve = async {
        let (stream, _) = server.listener.accept().await.unwrap();
        let mut connection: Connection<TcpStream, Bytes> = h2::server::handshake(stream).await.unwrap();
        let mut streams = Vec::new();
        while let Some(request) = connection.accept().await {
            let (_, mut respond) = request.unwrap();
            let head = Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
            let mut stream = respond.send_response(head, false).unwrap();
            stream.send_data(format!("data: {}\n\n", streams.len()).into(), false).unwrap();
            streams.push(stream);
        }
    };
    let read = async {
        for (client, expected) in [(&mut first, "0"), (&mut second, "1")] {
            assert!(matches!(client.next().await, Some(News::Open(_))));
            assert_eq!(event(client).await.data(), expected);
        }
    };
    tokio::select! {
        () = serve => panic!("the connection ended"),
        () = read => {}
    }
}

/// h2 ends a connection on which too many small frames lie unread, and a stream of events is small frames.
#[tokio::test(start_paused = true)]
async fn a_consumer_that_pauses_makes_the_server_wait_however_small_the_frames() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let (_peer, mut stream) = server.open(&mut client).await;
    let smallest = Bytes::from_static(b"data:x\n\n");
    let mut sent = 0_u64;
    stream.reserve_capacity(smallest.len());
    // The clock jumps when neither side can go on: then the window is full.
    while let Ok(capacity) = tokio::time::timeout(Duration::from_secs(1), poll_fn(|cx| stream.poll_capacity(cx))).await
    {
        if capacity.unwrap().unwrap() >= smallest.len() {
            stream.send_data(smallest.clone(), false).unwrap();
            stream.reserve_capacity(smallest.len());
            sent += 1;
        }
        assert!(sent < 1 << 20, "somebody buffers without end");
        tokio::task::yield_now().await;
    }
    assert!(sent > 10_000, "{sent} frames are no test");
    for _ in 0..sent {
        assert_eq!(event(&mut client).await.data(), "x");
    }
    assert!(matches!(poll_once(&mut client).await, Poll::Pending), "it is open still");
}

async fn poll_once(client: &mut fanfare_client::NewsStream) -> Poll<Option<News>> {
    let mut next = std::pin::pin!(client.next());
    poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await
}
