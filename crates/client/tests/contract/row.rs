//! A row of a table: bytes in chunks, and what they tell.

use std::time::Duration;

use fanfare_client::{Event, EventSource, EventSourceBuilder, Kind, Listener, ListenerOptions, News, NewsStream};
use fanfare_scripted_server::{CHUNKED_EVENT_STREAM, Peer, Playback, Script, ScriptedServer, Watchdog};
use tokio::sync::mpsc;

/// Of a whole test, which may be a table.
const LIMIT: Duration = Duration::from_secs(300);

/// More than any row tells.
const TOLD_MAX: usize = 1_000;

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) told: Vec<Told>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Event { event_type: String, data: String, id: String },
    Comment(String),
}

pub(crate) fn row<B: Into<Vec<u8>>>(
    name: &str,
    chunks: impl IntoIterator<Item = B>,
    told: impl IntoIterator<Item = Told>,
) -> Row {
    let chunks = chunks.into_iter().map(Into::into).collect();
    Row { name: name.to_owned(), chunks, told: told.into_iter().collect() }
}

/// An event of the default type, without an id.
pub(crate) fn message(data: &str) -> Told {
    event("message", data, "")
}

pub(crate) fn event(event_type: &str, data: &str, id: &str) -> Told {
    Told::Event { event_type: event_type.to_owned(), data: data.to_owned(), id: id.to_owned() }
}

pub(crate) fn comment(text: &str) -> Told {
    Told::Comment(text.to_owned())
}

impl Told {
    fn of(event: &Event) -> Self {
        self::event(event.event_type(), event.data(), event.last_event_id())
    }
}

/// Sends each row to a stream and to callbacks. What is told must be told while the stream is open, and be all.
pub(crate) async fn check(leaves: usize, rows: Vec<Row>) {
    assert_eq!(rows.len(), leaves, "as many as the harness has");
    let server = Server::start().await;
    for row in rows {
        check_stream(&server, &row).await;
        check_callbacks(&server, &row).await;
    }
}

async fn check_stream(server: &Server, row: &Row) {
    let mut client = server.builder().news().unwrap();
    let (mut peer, opened) = tokio::join!(server.open(), client.next());
    assert!(matches!(opened, Some(News::Open(_))), "{}: {opened:?}", row.name);
    let ((), told) = tokio::join!(send(&mut peer, row), told(&mut client, row.told.len()));
    compare(row, &told);
    peer.last_chunk().await.unwrap();
    match client.next().await {
        Some(News::Error(interruption)) => assert_eq!(interruption.error().kind(), Kind::EndOfStream, "{}", row.name),
        other => panic!("{}: {other:?}", row.name),
    }
}

async fn check_callbacks(server: &Server, row: &Row) {
    let (sender, mut heard) = mpsc::channel(TOLD_MAX);
    let listener = Listener::new({
        let sender = sender.clone();
        move |event| sender.try_send(Told::of(event)).unwrap()
    });
    let mut builder = server.builder().on_error(move |_| sender.try_send(comment("the end")).unwrap());
    let expected: Vec<_> = row.told.iter().filter(|told| matches!(told, Told::Event { .. })).cloned().collect();
    for told in &expected {
        // A listener that is there for this type already is not added again.
        let Told::Event { event_type, .. } = told else { continue };
        builder = builder.listener(event_type, &listener, ListenerOptions::default());
    }
    let source = builder.connect().unwrap();
    let mut peer = server.open().await;
    let hear = async {
        let mut told = Vec::new();
        while told.len() < expected.len() {
            told.push(heard.recv().await.unwrap());
        }
        told
    };
    let ((), told) = tokio::join!(send(&mut peer, row), hear);
    compare(&Row { name: format!("{}, callbacks", row.name), chunks: Vec::new(), told: expected }, &told);
    peer.last_chunk().await.unwrap();
    assert_eq!(heard.recv().await, Some(comment("the end")), "{}", row.name);
    source.close();
}

async fn send(peer: &mut Peer, row: &Row) {
    for bytes in &row.chunks {
        peer.chunk(bytes).await.unwrap();
        // Lets the client take it before the next one comes.
        tokio::task::yield_now().await;
    }
}

async fn told(client: &mut NewsStream, count: usize) -> Vec<Told> {
    let mut told = Vec::new();
    while told.len() < count {
        told.push(match client.next().await {
            Some(News::Event(event)) => Told::of(&event),
            Some(News::Comment(text)) => comment(&text),
            other => panic!("after {}: {other:?}", told.len()),
        });
    }
    told
}

/// Megabytes on a terminal help nobody.
fn compare(row: &Row, told: &[Told]) {
    let shortened = |told: &Told| format!("{told:?}").chars().take(200).collect::<String>();
    for (found, expected) in told.iter().zip(&row.told) {
        assert!(found == expected, "{}: {} and not {}", row.name, shortened(found), shortened(expected));
    }
    assert_eq!(told.len(), row.told.len(), "{}", row.name);
}

/// A server whose connections the test takes itself.
pub(crate) struct Server {
    server: ScriptedServer,
    _watchdog: Watchdog,
}

impl Server {
    async fn start() -> Self {
        Self { server: ScriptedServer::start().await.unwrap(), _watchdog: Watchdog::start(LIMIT) }
    }

    fn builder(&self) -> EventSourceBuilder {
        EventSource::builder(self.server.url("/events"))
    }

    async fn open(&self) -> Peer {
        let mut peer = self.server.accept().await.unwrap();
        peer.send(CHUNKED_EVENT_STREAM).await.unwrap();
        peer
    }
}

/// A server that plays `scripts`, and a client of it.
pub(crate) async fn play<const N: usize>(scripts: [Script; N]) -> (Playback, EventSourceBuilder, Watchdog) {
    let server = ScriptedServer::start().await.unwrap().play(scripts);
    let builder = EventSource::builder(server.url("/events"));
    (server, builder, Watchdog::start(LIMIT))
}

/// The next event, whatever else is told before it.
pub(crate) async fn next_event(client: &mut NewsStream) -> Told {
    loop {
        match client.next().await {
            Some(News::Event(event)) => return Told::of(&event),
            Some(_) => {}
            None => panic!("it ended without another event"),
        }
    }
}
