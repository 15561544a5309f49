//! Streams in a content coding, over real sockets: each event is there before the next one is published.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use fanfare_hub::{Clock, Hub, HubBuilder, Settings, Tls, Topic, Update};
use fanfare_log::{Retention, Timestamp};
use flate2::{Decompress, FlushDecompress};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::TcpListener;
use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer};

use crate::running::{PATIENCE, Running};

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

/// Seconds pass with each look at it, so that compressors begin anew after every few events.
#[derive(Debug, Default)]
struct FastClock(AtomicU64);

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000 + self.0.fetch_add(700, Ordering::Relaxed))
    }
}

fn builder() -> HubBuilder {
    let mut settings = Settings::default();
    settings.compression = true;
    settings.drain = Duration::from_millis(50);
    Hub::builder().settings(settings).clock(Arc::new(FastClock::default()))
}

async fn running() -> Running {
    Running::of(builder()).await
}

/// A client that leaves content codings to the test.
fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_gzip().no_zstd().no_brotli().no_deflate()
}

enum Decoder {
    Identity,
    Zstd(DCtx<'static>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Gzip { head: usize, inflate: Decompress },
}

impl Decoder {
    fn of(coding: &str) -> Self {
        match coding {
            "zstd" => Self::Zstd(DCtx::create()),
            "br" => {
                let [one, two, three] = [(); 3].map(|()| StandardAlloc::default());
                Self::Brotli(Box::new(BrotliState::new(one, two, three)))
            }
            "gzip" => Self::Gzip { head: 10, inflate: Decompress::new(false) },
            _ => Self::Identity,
        }
    }

    /// What one more byte tells.
    fn push(&mut self, byte: u8, text: &mut Vec<u8>) {
        text.reserve(1 << 17);
        let filled = text.len();
        match self {
            Self::Identity => text.push(byte),
            Self::Zstd(context) => {
                let (bytes, mut output) = ([byte], OutBuffer::around_pos(text, filled));
                context.decompress_stream(&mut output, &mut InBuffer::around(&bytes)).unwrap();
            }
            Self::Brotli(state) => {
                text.resize(filled + (1 << 12), 0);
                let (mut left, mut room, mut end) = (1, 1 << 12, filled);
                let result =
                    BrotliDecompressStream(&mut left, &mut 0, &[byte], &mut room, &mut end, text, &mut 0, state);
                assert!(!matches!(result, BrotliResult::NeedsMoreOutput | BrotliResult::ResultFailure));
                text.truncate(end);
            }
            Self::Gzip { head, .. } if *head > 0 => *head -= 1,
            Self::Gzip { inflate, .. } => drop(inflate.decompress_vec(&[byte], text, FlushDecompress::Sync).unwrap()),
        }
    }
}

/// A subscriber that decodes what it gets byte by byte.
struct Subscriber {
    response: reqwest::Response,
    coding: String,
    decoder: Decoder,
    bytes: Vec<u8>,
    text: Vec<u8>,
}

impl Subscriber {
    async fn new(client: &reqwest::Client, url: &str, accept_encoding: &str, last_event_id: &str) -> Self {
        let request = client.get(url).header("Accept-Encoding", accept_encoding);
        let response = request.header("Last-Event-ID", last_event_id).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let header = |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert_eq!(header("content-length"), "");
        assert_eq!(header("cache-control"), "no-cache, no-store, no-transform");
        let coding = header("content-encoding");
        let decoder = Decoder::of(&coding);
        Self { response, coding, decoder, bytes: Vec::new(), text: Vec::new() }
    }

    /// Whether it is told that another client may get something else.
    fn varies(&self) -> bool {
        self.response.headers().get_all("vary").iter().any(|name| name == "accept-encoding")
    }

    async fn read(&mut self) -> bool {
        let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap().unwrap();
        let Some(chunk) = chunk else { return false };
        chunk.iter().for_each(|byte| self.decoder.push(*byte, &mut self.text));
        self.bytes.extend_from_slice(&chunk);
        true
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap()
    }

    async fn until(&mut self, last: &str) {
        while !self.text().contains(last) {
            assert!(self.read().await, "{}", self.text());
        }
    }
}

async fn publish(hub: &Hub, data: &str) {
    hub.publish(Update::new(Topic::new("t").unwrap(), data)).await.unwrap();
}

async fn expect_events_one_by_one(hub: &Hub, subscriber: &mut Subscriber) {
    subscriber.until(":\n").await;
    for n in 0..20 {
        publish(hub, &format!("{{\"event\":{n},\"text\":\"the same in all of them\"}}")).await;
        subscriber.until(&format!("data: {{\"event\":{n},\"text\":\"the same in all of them\"}}\n\n")).await;
    }
}

#[tokio::test]
async fn each_event_is_there_before_the_next_is_published() {
    let hub = running().await;
    for coding in CODINGS {
        for is_reused in [false, true] {
            let client = client().build().unwrap();
            if is_reused {
                client.get(hub.url("/health/live")).send().await.unwrap().bytes().await.unwrap();
            }
            let mut subscriber = Subscriber::new(&client, &hub.url("/events/t"), coding, "").await;
            assert_eq!(subscriber.coding, coding);
            assert!(subscriber.varies());
            expect_events_one_by_one(&hub.hub, &mut subscriber).await;
        }
    }
}

#[tokio::test]
async fn so_it_is_over_tls() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let tls = Tls::new(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes()).unwrap();
    let hub = builder().build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = hub.clone();
    tokio::spawn(async move { server.run_tls(listener, tls, std::future::pending()).await });
    let authority = reqwest::Certificate::from_pem(cert.pem().as_bytes()).unwrap();
    for coding in CODINGS {
        let client = client().tls_certs_only([authority.clone()]).build().unwrap();
        let mut subscriber = Subscriber::new(&client, &format!("{url}/events/t"), coding, "").await;
        assert_eq!(subscriber.coding, coding);
        expect_events_one_by_one(&hub, &mut subscriber).await;
    }
}

#[tokio::test]
async fn whoever_offers_nothing_or_a_hub_that_was_not_asked_to_compresses_nothing() {
    let hub = running().await;
    let client = client().build().unwrap();
    for accept_encoding in ["identity", "deflate", "gzip;q=0", "", "identity, gzip;q=0.5", "identity;q=0"] {
        let mut subscriber = Subscriber::new(&client, &hub.url("/events/t"), accept_encoding, "").await;
        assert_eq!(subscriber.coding, "", "{accept_encoding}");
        // A cache must not take it for what others are sent.
        assert!(subscriber.varies());
        expect_events_one_by_one(&hub.hub, &mut subscriber).await;
    }
    let hub = Running::start().await;
    let subscriber = Subscriber::new(&client, &hub.url("/events/t"), "gzip, zstd", "").await;
    assert_eq!(subscriber.coding, "");
    assert!(!subscriber.varies());
}

#[tokio::test]
async fn a_heartbeat_is_flushed_too() {
    let set = |settings: &mut Settings| {
        settings.compression = true;
        settings.heartbeat = Duration::from_millis(40);
    };
    let hub = Running::with(set, Retention::default()).await;
    for coding in CODINGS {
        let client = client().build().unwrap();
        let mut subscriber = Subscriber::new(&client, &hub.url("/events/t"), coding, "").await;
        while subscriber.text().matches(":\n").count() < 4 {
            assert!(subscriber.read().await);
        }
        expect_events_one_by_one(&hub.hub, &mut subscriber).await;
    }
}

#[tokio::test]
async fn history_takes_less_than_half_and_goes_on_live() {
    let hub = running().await;
    let data = |n: usize| format!("{{\"type\":\"like\",\"user\":{},\"text\":\"a note about number {n}\"}}", n * 7919);
    for n in 0..500 {
        publish(&hub.hub, &data(n)).await;
    }
    for coding in CODINGS {
        let client = client().build().unwrap();
        let mut subscriber = Subscriber::new(&client, &hub.url("/events/t"), coding, "earliest").await;
        subscriber.until(&data(499)).await;
        let (sent, text) = (subscriber.bytes.len(), subscriber.text.len());
        assert!(sent * 2 < text, "{coding}: {sent} of {text}");
        let at = |n: usize| subscriber.text().find(&format!("data: {}\n\n", data(n)));
        assert!((0..500).map(at).is_sorted_by(|one, other| one.is_some() && one < other), "in order, and all");
        expect_events_one_by_one(&hub.hub, &mut subscriber).await;
    }
}

/// The length of a private update tells nothing of what is beside it.
#[tokio::test]
async fn a_private_update_is_not_compressed() {
    let hub = running().await;
    for coding in CODINGS {
        let client = client().build().unwrap();
        let mut subscriber = Subscriber::new(&client, &hub.url("/events/t"), coding, "").await;
        publish(&hub.hub, "known to all").await;
        let secret = "not known to all not known to all not known to all";
        hub.hub.publish(Update::new(Topic::new("t").unwrap(), secret).private()).await.unwrap();
        publish(&hub.hub, "the last").await;
        subscriber.until("the last\n\n").await;
        let plain = format!("data: {secret}\n\n");
        assert!(subscriber.bytes.windows(plain.len()).any(|window| window == plain.as_bytes()), "{coding}");
    }
}

/// A decoder that checks the end finds one, also after an event that is larger than a piece of the stream.
#[tokio::test]
async fn a_stream_that_ends_is_whole() {
    let mut hub = running().await;
    let mut subscribers = Vec::new();
    for coding in CODINGS {
        let client = client().build().unwrap();
        subscribers.push(Subscriber::new(&client, &hub.url("/events/t"), coding, "").await);
    }
    let mut random = fastrand::Rng::with_seed(7);
    let large: String = (0..300_000).map(|_| random.alphanumeric()).collect();
    for data in ["small", &large, "the last"] {
        publish(&hub.hub, data).await;
        for subscriber in &mut subscribers {
            subscriber.until(&format!("data: {data}\n\n")).await;
        }
    }
    hub.stop();
    for mut subscriber in subscribers {
        while subscriber.read().await {}
        let mut text = Vec::new();
        let bytes = &subscriber.bytes[..];
        let mut reader: Box<dyn Read> = match &*subscriber.coding {
            "zstd" => Box::new(zstd::Decoder::new(bytes).unwrap()),
            "br" => Box::new(brotli::Decompressor::new(bytes, 1 << 12)),
            _ => Box::new(flate2::bufread::GzDecoder::new(bytes)),
        };
        reader.read_to_end(&mut text).unwrap();
        assert!(text == subscriber.text, "{}", subscriber.coding);
    }
    hub.ended().await;
}
