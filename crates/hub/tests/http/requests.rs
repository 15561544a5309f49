//! Requests that a shard answers itself: the same answers as hyper's, however they come.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_hub::Hub;
use fanfare_log::{DiskLog, DiskSettings, Retention};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::{PATIENCE, Running};

/// A response as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    body: String,
}

impl Answer {
    fn body(&self) -> &str {
        &self.body
    }
}

/// A connection whose responses are read one after the other.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn to(hub: &Running) -> Self {
        let stream = hub.connect().await;
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn more(&mut self) -> usize {
        let mut room = [0; 4096];
        let length = tokio::time::timeout(PATIENCE, self.stream.read(&mut room)).await.unwrap().unwrap_or(0);
        self.read.extend_from_slice(&room[..length]);
        length
    }

    /// The next response with a `Content-Length`, or `None` if the connection is closed before it.
    async fn answer(&mut self) -> Option<Answer> {
        loop {
            let text = String::from_utf8_lossy(&self.read).into_owned();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let mut lines = head.split("\r\n");
                let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
                let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
                for line in lines {
                    let (name, value) = line.split_once(": ").unwrap();
                    headers.entry(name.to_owned()).or_default().push(value.to_owned());
                }
                let length: usize = headers.get("content-length").map_or(0, |length| length[0].parse().unwrap());
                if rest.len() >= length {
                    let body = rest[..length].to_owned();
                    // hyper has a clock of its own for this one.
                    assert!(headers.remove("date").is_some_and(|date| date[0].ends_with(" GMT")), "{head}");
                    self.read.drain(..head.len() + 4 + length);
                    return Some(Answer { status, headers, body });
                }
            }
            if self.more().await == 0 {
                return None;
            }
        }
    }

    /// Waits for the end of the connection, and gives what came before it.
    async fn end(&mut self) -> String {
        while self.more().await > 0 {}
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

fn post(path: &str, fields: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Requests of every kind that a shard may answer, with the statuses that they get.
fn requests() -> Vec<(String, u16)> {
    let page = |origin: &str| format!("Origin: {origin}\r\n");
    vec![
        (post("/events/a", "", "x"), 200),
        (post("/events/a", "", ""), 200),
        ("POST /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 200),
        (post("/events/a", "Connection: keep-alive\r\n", "x\ny"), 200),
        (post("/events/a?id=mine&type=t", "Event-Type: u\r\n", "x"), 200),
        (post("/events/a?nonsense", "", "x"), 400),
        (post("/events/%ff", "", "x"), 400),
        (post("/events/", "", "x"), 404),
        (post("/events", NDJSON, "{\"topic\":\"a\",\"id\":\"1\"}\n{\"topic\":\"b\",\"id\":\"2\"}\n"), 200),
        (post("/events", NDJSON, "{}"), 400),
        (post("/events", "", "x"), 415),
        (post("/.well-known/mercure", FORM, "topic=a&data=x&id=chosen"), 200),
        (post("/.well-known/mercure", FORM, "data=x"), 400),
        (post("/events/a", "Idempotency-Key: k\r\n", "x"), 200),
        (post("/events/a", "Idempotency-Key: k\r\n", "x"), 200),
        (post("/events/a", &page("http://localhost"), "x"), 200),
        (post("/events/a", &page("https://stranger.example"), "x"), 403),
        (post("/events/a", "", &"x".repeat(2000)), 413),
        ("POST /events/a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".to_owned(), 400),
        ("POST /events/a HTTP/1.1\r\nHost: stranger.example\r\nContent-Length: 1\r\n\r\nx".to_owned(), 421),
        ("GET /events?topic= HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("GET /events/a?lastEventID=%ff HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("GET /.well-known/mercure HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
    ]
}

/// A hub to which nothing was published, so that two of them give the same ids.
async fn fresh() -> Running {
    #[derive(Debug)]
    struct Stopped;
    impl fanfare_hub::Clock for Stopped {
        fn now(&self) -> fanfare_log::Timestamp {
            fanfare_log::Timestamp(1_750_000_000_000)
        }
    }
    let mut settings = fanfare_hub::Settings::default();
    settings.body_bytes_max = 1000;
    settings.shards = NonZeroUsize::MIN;
    Running::of(Hub::builder().settings(settings).clock(Arc::new(Stopped))).await
}

#[tokio::test]
async fn shard_and_hyper_give_the_same_answers() {
    let (here, there) = (fresh().await, fresh().await);
    let mut shard = Connection::to(&here).await;
    // What a connection asked hyper once it asks hyper always.
    let mut hyper = Connection::to(&there).await;
    hyper.write(LIVE.as_bytes()).await;
    assert_eq!(hyper.answer().await.unwrap().status, 200);
    for (request, status) in requests() {
        // Else each answer has a name of its own.
        let request = request.replacen("\r\n", "\r\nX-Request-Id: same\r\n", 1);
        shard.write(request.as_bytes()).await;
        hyper.write(request.as_bytes()).await;
        let (ours, theirs) = (shard.answer().await, hyper.answer().await);
        assert_eq!(ours, theirs, "{request:?}");
        assert_eq!(ours.map(|answer| answer.status), Some(status), "{request:?}");
    }
    assert_eq!(here.hub.figures().published, there.hub.figures().published);
}

#[tokio::test]
async fn requests_may_be_cut_anywhere_and_come_all_at_once() {
    let requests = requests();
    let text: String = requests.iter().map(|(request, _)| request.as_str()).collect();
    let whole = fresh().await;
    let mut connection = Connection::to(&whole).await;
    connection.write(text.as_bytes()).await;
    let mut expected = Vec::new();
    for (request, status) in &requests {
        let answer = connection.answer().await.unwrap();
        assert_eq!(answer.status, *status, "{request:?}");
        expected.push(answer);
    }
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..40 {
        let hub = fresh().await;
        let mut connection = Connection::to(&hub).await;
        let (mut reads, mut writes) = tokio::io::split(&mut connection.stream);
        let pieces = async {
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                // One round comes byte by byte.
                let length = if round == 0 { 1 } else { random.usize(1..300).min(rest.len()) };
                writes.write_all(&rest[..length]).await.unwrap();
                rest = &rest[length..];
                tokio::task::yield_now().await;
            }
        };
        let ends = expected.last().unwrap().body();
        let answers = async {
            let (mut read, mut room) = (Vec::new(), [0; 4096]);
            // As many as were asked for; what the last one says.
            let said = |read: &[u8]| String::from_utf8_lossy(read).into_owned();
            while !(said(&read).matches("HTTP/1.1 ").count() == expected.len() && said(&read).ends_with(ends)) {
                let length = tokio::time::timeout(PATIENCE, reads.read(&mut room)).await.unwrap().unwrap();
                assert!(length > 0, "closed after {}", said(&read));
                read.extend_from_slice(&room[..length]);
            }
            read
        };
        let ((), read) = tokio::join!(pieces, answers);
        connection.read = read;
        for expected in &expected {
            assert_eq!(connection.answer().await.as_ref(), Some(expected));
        }
    }
}

#[tokio::test]
async fn what_is_not_for_a_shard_goes_to_hyper_in_its_place() {
    let hub = Running::start().await;
    let mut connection = Connection::to(&hub).await;
    let chunked = "POST /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n";
    let large = post("/events/a", "", &"z".repeat(100_000));
    for request in [&post("/events/a", "", "x"), &post("/events/a", "", "w"), chunked, &large, LIVE] {
        connection.write(request.as_bytes()).await;
    }
    for _ in 0..5 {
        assert_eq!(connection.answer().await.unwrap().status, 200);
    }
    let expected = ["x".to_owned(), "w".to_owned(), "y".to_owned(), "z".repeat(100_000)];
    assert_eq!(hub.resume("/events/a", "earliest").await.data(4).await, expected);
}

/// HTTP/2 begins a connection, or is none: on a later request it would be another reading than that of a proxy.
#[tokio::test]
async fn a_later_request_is_no_preface_of_http_2() {
    let hub = Running::start().await;
    let mut connection = Connection::to(&hub).await;
    connection.write(post("/events/a", "", "x").as_bytes()).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
    connection.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let end = connection.end().await;
    assert!(end.is_empty() || end.starts_with("HTTP/1.1 400"), "{end}");
}

#[tokio::test]
async fn two_lengths_are_the_end_on_every_request() {
    for before in 0..3 {
        let hub = Running::start().await;
        let mut connection = Connection::to(&hub).await;
        let lengths = "Transfer-Encoding: chunked\r\n";
        let bad = post("/events/outer", lengths, "0\r\n\r\nPOST /events/inner HTTP/1.1\r\n");
        let text = post("/events/a", "", "x").repeat(before) + &bad + &post("/events/after", "", "x");
        connection.write(text.as_bytes()).await;
        for _ in 0..before {
            assert_eq!(connection.answer().await.unwrap().status, 200);
        }
        let refusal = connection.answer().await.unwrap();
        assert_eq!((refusal.status, refusal.headers["connection"][0].as_str()), (400, "close"));
        assert_eq!(connection.end().await, "");
        assert_eq!(hub.hub.figures().published, before as u64);
    }
}

/// With the clock paused, time passes at once when nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_slow_body_is_told_so_and_an_idle_connection_closed() {
    let hub = Running::start().await;
    for before in 0..2 {
        let mut connection = Connection::to(&hub).await;
        for _ in 0..before {
            connection.write(post("/events/a", "", "x").as_bytes()).await;
            assert_eq!(connection.answer().await.unwrap().status, 200);
        }
        connection.write(b"POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nxy").await;
        assert_eq!(connection.answer().await.unwrap().status, 408);
    }
    let mut connection = Connection::to(&hub).await;
    connection.write(post("/events/a", "", "x").as_bytes()).await;
    assert_eq!(connection.answer().await.unwrap().status, 200);
    // The patience of this test is less than that of the hub, which ends it.
    let ended = tokio::time::timeout(PATIENCE * 2, connection.stream.read(&mut [0])).await;
    assert_eq!(ended.unwrap().unwrap_or(0), 0);
    assert_eq!(hub.hub.figures().published, 2);
}

/// The answer is not there at once: a disk has to be waited for, on another thread.
#[tokio::test(flavor = "multi_thread")]
async fn a_durable_log_is_waited_for_without_holding_others_up() {
    let folder = tempfile::tempdir().unwrap();
    let log = DiskLog::open(
        folder.path(),
        DiskSettings::new(Retention::default(), fanfare_log::Timestamp(1_750_000_000_000)),
    )
    .unwrap();
    let mut settings = fanfare_hub::Settings::default();
    settings.shards = NonZeroUsize::MIN;
    let hub = Arc::new(Running::of(Hub::builder().settings(settings).log(Arc::new(log))).await);
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..20 {
        let hub = hub.clone();
        publishers.spawn(async move {
            let mut connection = Connection::to(&hub).await;
            let topic = format!("/events/t{publisher}");
            // All at once: the answers come in order nevertheless.
            let requests: String =
                (0..20).map(|n| post(&topic, &format!("Event-Id: {publisher}-{n}\r\n"), "x")).collect();
            connection.write(requests.as_bytes()).await;
            for n in 0..20 {
                assert_eq!(connection.answer().await.unwrap().body(), format!("{publisher}-{n}"));
            }
            // And one that does not wait for its answer leaves nothing behind.
            connection.write(post(&topic, "", "x").as_bytes()).await;
        });
    }
    publishers.join_all().await;
    let mut subscriber = hub.resume("/events/t7", "earliest").await;
    assert_eq!(subscriber.data(20).await, vec!["x"; 20]);
}

/// Publishers that never let up, and subscribers who get everything all the same; and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_publishers_and_of_deliveries_hold_nobody_up() {
    let hub = Running::with(|settings| settings.shards = NonZeroUsize::MIN, Retention::default()).await;
    let hub = Arc::new(hub);
    let is_over = Arc::new(AtomicBool::new(false));
    let mut flood = tokio::task::JoinSet::new();
    for publisher in 0..4 {
        let (hub, is_over) = (hub.clone(), is_over.clone());
        flood.spawn(async move {
            let mut connection = Connection::to(&hub).await;
            let requests = post(&format!("/events/noise{publisher}"), "", "x").repeat(200);
            while !is_over.load(Ordering::Acquire) {
                connection.write(requests.as_bytes()).await;
                for _ in 0..200 {
                    assert_eq!(connection.answer().await.unwrap().status, 200);
                }
            }
        });
    }
    let mut listeners = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let mut listener = hub.subscribe("/events?topic=noise0&topic=noise1&topic=a").await;
        listeners.spawn(async move { while listener.next().await.unwrap().data != "49" {} });
    }
    let mut quiet = hub.subscribe("/events/a").await;
    let mut publisher = Connection::to(&hub).await;
    for n in 0..50 {
        publisher.write(post("/events/a", "", &n.to_string()).as_bytes()).await;
        assert_eq!(publisher.answer().await.unwrap().status, 200);
        assert_eq!(quiet.data(1).await, [n.to_string()]);
    }
    is_over.store(true, Ordering::Release);
    flood.join_all().await;
    listeners.join_all().await;
}

/// A publisher who asks and asks and reads no answer is not read on from, and its answers are not held without bound.
#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_reads_no_answer_is_held_to_what_its_socket_holds() {
    let hub = Running::with(|settings| settings.shards = NonZeroUsize::MIN, Retention::default()).await;
    let mut silent = Connection::to(&hub).await;
    let requests = post("/events/a?nonsense", "", "").repeat(500);
    let mut written = 0;
    // Until the hub takes nothing more: its answers are larger than the requests.
    while written < 64 << 20 {
        let write = silent.stream.write(requests.as_bytes());
        match tokio::time::timeout(std::time::Duration::from_millis(500), write).await {
            Ok(length) => written += length.unwrap(),
            Err(_) => break,
        }
    }
    assert!(written < 64 << 20, "everything was read");
    let mut other = Connection::to(&hub).await;
    other.write(post("/events/a", "", "x").as_bytes()).await;
    assert_eq!(other.answer().await.unwrap().status, 200);
    for _ in 0..(written / (requests.len() / 500)).min(1000) {
        assert_eq!(silent.answer().await.unwrap().status, 400);
    }
}
