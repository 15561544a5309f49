//! A server whose every byte is in the test that uses it.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use fanfare_client::{Event, EventSource, EventSourceBuilder, Interruption, News, NewsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The head of a stream that ends with its connection.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// Listens on a free port of the loopback. Connections are taken one by one, by the test.
pub(crate) struct Server {
    listener: TcpListener,
    _watchdog: Watchdog,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, _watchdog: Watchdog::start() }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/events", self.origin())
    }

    pub(crate) fn builder(&self) -> EventSourceBuilder {
        EventSource::builder(self.url())
    }

    /// The next connection, with its request.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut peer = Peer { stream, head: String::new(), body: Vec::new() };
        peer.read_request().await;
        peer
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
        let nobody = tokio::time::timeout(Duration::from_secs(60 * 60), self.listener.accept()).await;
        assert!(nobody.is_err(), "somebody connected");
    }
}

/// One connection, seen from the server.
pub(crate) struct Peer {
    stream: TcpStream,
    /// The request's head, its names in lower case as hyper sends them.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Peer {
    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn expect_closed(mut self) {
        let mut rest = [0; 64];
        // A reset is an end too.
        while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
    }

    /// The raw values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    async fn read_request(&mut self) {
        let mut bytes = Vec::new();
        let head_bytes = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert_ne!(self.stream.read_buf(&mut bytes).await.unwrap(), 0, "the request is cut off");
        };
        // Lossless, or the test is meant to see that it is not UTF-8.
        self.head = String::from_utf8(bytes[..head_bytes].to_vec()).unwrap();
        let length = self.header("content-length").first().map_or(0, |length| length.parse().unwrap());
        while bytes.len() < head_bytes + length {
            assert_ne!(self.stream.read_buf(&mut bytes).await.unwrap(), 0, "the body is cut off");
        }
        self.body = bytes.split_off(head_bytes);
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
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

/// Ends a test that hangs. The runtime's own time-outs can't: they follow the paused clock.
struct Watchdog {
    _done: mpsc::Sender<()>,
}

impl Watchdog {
    fn start() -> Self {
        let (sender, done) = mpsc::channel::<()>();
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        std::thread::spawn(move || {
            if done.recv_timeout(Duration::from_secs(120)) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Not `eprintln!`, which the test harness would keep for itself.
                let _ = writeln!(std::io::stderr(), "{test} hangs");
                std::process::abort();
            }
        });
        Self { _done: sender }
    }
}
