//! The scripted server, as these tests use it: a step that fails fails the test.

use std::sync::mpsc;
use std::time::Duration;

use fanfare_client::{Event, EventSource, EventSourceBuilder, Interruption, News, NewsStream};
use fanfare_scripted_server::{EVENT_STREAM, ScriptedServer, Watchdog};
use tokio::net::TcpStream;

/// The head of a stream that ends with its connection.
pub(crate) const OK: &str = EVENT_STREAM;

/// Connections are taken one by one, by the test.
pub(crate) struct Server {
    server: ScriptedServer,
    _watchdog: Watchdog,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let server = ScriptedServer::start().await.unwrap();
        Self { server, _watchdog: Watchdog::start(Duration::from_secs(120)) }
    }

    pub(crate) fn origin(&self) -> String {
        self.server.origin()
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("/events")
    }

    pub(crate) fn builder(&self) -> EventSourceBuilder {
        EventSource::builder(self.url())
    }

    /// The next connection, with its request.
    pub(crate) async fn accept(&self) -> Peer {
        let peer = self.server.accept().await.unwrap();
        let (head, body) = (peer.request().head().to_owned(), peer.request().body().to_vec());
        Peer { peer, head, body }
    }

    /// The next connection, answered with `response` and left open.
    pub(crate) async fn answer(&self, response: &str) -> Peer {
        let mut peer = self.accept().await;
        peer.send(response).await;
        peer
    }

    /// As [`answer`](Self::answer), and what the client tells next.
    pub(crate) async fn answer_to(&self, client: &mut NewsStream, response: &str) -> (Peer, News) {
        let (peer, news) = tokio::join!(self.answer(response), client.next());
        (peer, news.unwrap())
    }

    /// Opens a stream to `client`.
    pub(crate) async fn open(&self, client: &mut NewsStream) -> Peer {
        let (peer, news) = self.answer_to(client, OK).await;
        assert!(matches!(news, News::Open(_)), "{news:?}");
        peer
    }

    /// Takes the next connection and drops it without a word.
    pub(crate) async fn hang_up(&self) {
        drop(self.accept().await);
    }

    /// Fails if anybody connects. Time jumps an hour ahead, which no wait survives.
    pub(crate) async fn expect_nobody(&self) {
        let nobody = tokio::time::timeout(Duration::from_secs(60 * 60), self.server.accept()).await;
        assert!(nobody.is_err(), "somebody connected");
    }
}

/// One connection, seen from the server.
pub(crate) struct Peer {
    peer: fanfare_scripted_server::Peer,
    /// The request's head, its names in lower case as hyper sends them.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Peer {
    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.peer.send(bytes).await.unwrap();
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn expect_closed(mut self) {
        self.peer.closed().await;
    }

    /// The values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.peer.request().header_values(name).collect()
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.peer.into_stream()
    }
}

/// The next news, which must be an event.
pub(crate) async fn event(client: &mut NewsStream) -> Event {
    match client.next().await {
        Some(News::Event(event)) => event,
        other => panic!("expected an event: {other:?}"),
    }
}

/// The next news, which must be an error.
pub(crate) async fn error(client: &mut NewsStream) -> Interruption {
    expect_error(client.next().await)
}

pub(crate) fn expect_error(news: Option<News>) -> Interruption {
    match news {
        Some(News::Error(interruption)) => interruption,
        other => panic!("expected an error: {other:?}"),
    }
}

/// Keeps the paused clock from jumping, so that it moves with `tokio::time::advance` alone.
pub(crate) fn hold_clock() -> mpsc::Sender<()> {
    let (held, release) = mpsc::channel();
    // The clock does not jump while a blocking task runs. This one ends when the sender is dropped.
    tokio::task::spawn_blocking(move || release.recv());
    held
}
