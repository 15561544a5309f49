//! Streams that are compressed: each event is there as soon as the server has flushed it.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfare_client::{Kind, News};
use tokio::time::{advance, timeout};

use crate::server::{Peer, Server, error, event, expect_error, hold_clock};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// The server's side: takes text, gives the bytes that a flush makes of it.
struct Encoder {
    writer: Box<dyn Write>,
    sink: Sink,
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Encoder {
    fn new(coding: &str) -> Self {
        let sink = Sink::default();
        let output = sink.clone();
        let writer: Box<dyn Write> = match coding {
            "gzip" => Box::new(flate2::write::GzEncoder::new(output, flate2::Compression::default())),
            "br" => Box::new(brotli::CompressorWriter::new(output, 4096, 5, 20)),
            "zstd" => Box::new(zstd::Encoder::new(output, 0).unwrap().auto_finish()),
            _ => panic!("no encoder for {coding}"),
        };
        Self { writer, sink }
    }

    fn flushed(&mut self, text: &str) -> Vec<u8> {
        self.writer.write_all(text.as_bytes()).unwrap();
        self.writer.flush().unwrap();
        self.sink.take()
    }

    /// What ends the coding.
    fn end(self) -> Vec<u8> {
        drop(self.writer);
        self.sink.take()
    }
}

fn head(coding: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: {coding}\r\n\r\n")
}

async fn send_byte_by_byte(peer: &mut Peer, bytes: &[u8]) {
    for byte in bytes {
        peer.send_bytes(&[*byte]).await;
        // Lets the client take it before the next one comes.
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn codings_are_offered_unless_they_are_refused() {
    let server = Server::start().await;
    let mut client = server.builder().news().unwrap();
    let peer = server.open(&mut client).await;
    let offered = peer.header("accept-encoding").join(",");
    let mut offered: Vec<_> = offered.split(',').map(str::trim).collect();
    offered.sort_unstable();
    assert_eq!(offered, ["gzip", "zstd"], "Brotli only for those who ask");

    let mut client = server.builder().brotli(true).header("Accept-Encoding", "identity").unwrap().news().unwrap();
    assert_eq!(server.open(&mut client).await.header("accept-encoding"), ["identity"]);
}

#[tokio::test(start_paused = true)]
async fn each_event_is_seen_before_the_next_is_sent() {
    let server = Server::start().await;
    for coding in CODINGS {
        let mut client = server.builder().brotli(true).news().unwrap();
        let (mut peer, news) = server.answer_to(&mut client, &head(coding)).await;
        let News::Open(opened) = news else { panic!("{coding}: {news:?}") };
        assert!(opened.headers().get("content-encoding").is_none(), "it is decoded");
        let mut encoder = Encoder::new(coding);
        for text in ["first", "second", "third"] {
            peer.send_bytes(&encoder.flushed(&format!("data: {text}\n\n"))).await;
            assert_eq!(event(&mut client).await.data(), text, "{coding}");
        }
        let piece = encoder.flushed("id: 9\ndata: in single bytes\n\n");
        let ((), fourth) = tokio::join!(send_byte_by_byte(&mut peer, &piece), event(&mut client));
        assert_eq!((fourth.data(), fourth.last_event_id()), ("in single bytes", "9"), "{coding}");
        peer.send_bytes(&encoder.flushed(":comment\n")).await;
        assert!(matches!(client.next().await, Some(News::Comment(comment)) if comment == "comment"), "{coding}");
        peer.send_bytes(&encoder.end()).await;
        drop(peer);
        assert_eq!(error(&mut client).await.error().kind(), Kind::EndOfStream, "{coding}");
        let peer = server.open(&mut client).await;
        assert_eq!(peer.header("last-event-id"), ["9"], "{coding}");
    }
}

#[tokio::test(start_paused = true)]
async fn c17_a_coding_that_breaks_off_or_is_nonsense_is_a_broken_connection() {
    let server = Server::start().await;
    for coding in CODINGS {
        for nonsense in ["", "this was never compressed, whatever the head says"] {
            let mut client = server.builder().brotli(true).news().unwrap();
            let (mut peer, _) = server.answer_to(&mut client, &head(coding)).await;
            peer.send_bytes(&Encoder::new(coding).flushed("data: a\n\n")).await;
            assert_eq!(event(&mut client).await.data(), "a", "{coding}");
            peer.send(nonsense).await;
            drop(peer);
            let interruption = error(&mut client).await;
            assert_eq!(interruption.error().kind(), Kind::CutOff, "{coding} {nonsense:?}");
            assert!(interruption.retry_in().is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_size_limit_holds_for_what_is_small_until_it_is_decoded() {
    let server = Server::start().await;
    for coding in CODINGS {
        let mut client = server.builder().brotli(true).max_event_size(1000).news().unwrap();
        let (mut peer, _) = server.answer_to(&mut client, &head(coding)).await;
        let mut encoder = Encoder::new(coding);
        let text = format!("data: {}\n\n", "x".repeat(8 << 20));
        let bomb = encoder.flushed(&text);
        assert!(bomb.len() < text.len() / 500, "{coding}: {} bytes", bomb.len());
        let (skipped, ()) = tokio::join!(client.next(), peer.send_bytes(&bomb));
        let Some(News::Skipped(skipped)) = skipped else { panic!("{coding}: {skipped:?}") };
        assert!(skipped.bytes() > 8 << 20, "{coding}: {}", skipped.bytes());
        peer.send_bytes(&encoder.flushed("data: and on it goes\n\n")).await;
        assert_eq!(event(&mut client).await.data(), "and on it goes", "{coding}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_holds_and_any_decoded_byte_is_life() {
    let server = Server::start().await;
    for coding in CODINGS {
        let clock = hold_clock();
        let mut client = server.builder().brotli(true).idle_timeout(Duration::from_secs(30)).news().unwrap();
        let (mut peer, _) = server.answer_to(&mut client, &head(coding)).await;
        let mut encoder = Encoder::new(coding);
        for _ in 0..2 {
            assert!(timeout(Duration::ZERO, client.next()).await.is_err());
            advance(Duration::from_secs(29)).await;
            peer.send_bytes(&encoder.flushed(":\n")).await;
            assert!(matches!(client.next().await, Some(News::Comment(_))), "{coding}");
        }
        assert!(timeout(Duration::ZERO, client.next()).await.is_err());
        advance(Duration::from_millis(30_010)).await;
        assert_eq!(error(&mut client).await.error().kind(), Kind::Timeout, "{coding}");
        peer.expect_closed().await;
        drop(clock);
    }
}

#[tokio::test(start_paused = true)]
async fn c15_a_refusal_is_decoded_too() {
    let server = Server::start().await;
    for coding in CODINGS {
        let mut client = server.builder().brotli(true).news().unwrap();
        let mut encoder = Encoder::new(coding);
        let mut body = encoder.flushed("no such stream");
        body.extend(encoder.end());
        let head =
            format!("HTTP/1.1 404 Not Found\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len());
        let ((), news) = tokio::join!(
            async {
                let mut peer = server.answer(&head).await;
                peer.send_bytes(&body).await;
            },
            client.next()
        );
        assert_eq!(expect_error(news).error().body_start(), b"no such stream", "{coding}");
    }
}
