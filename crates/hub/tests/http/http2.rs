//! HTTP/2, frame by frame: peers that take what they can and give nothing.

use std::collections::HashMap;
use std::time::Duration;

use fanfare_log::Retention;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::{PATIENCE, Running};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 11;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET /events/a`, without Huffman coding and without a table (RFC 7541).
pub(crate) fn subscription() -> Vec<u8> {
    [&b"\x82\x86\x04\x09/events/a\x01\x09localhost"[..]].concat()
}

/// A peer that says what it is told to, and no more.
pub(crate) struct Peer(TcpStream);

impl Peer {
    /// Settings with this window for each stream.
    pub(crate) async fn connect(hub: &Running, window: u32) -> Self {
        let mut stream = hub.connect().await;
        // A paused clock does not wait for what the kernel holds back (Nagle).
        stream.set_nodelay(true).unwrap();
        let setting = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
        let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &setting)[..]].concat();
        stream.write_all(&hello).await.unwrap();
        Self(stream)
    }

    async fn say(&mut self, bytes: &[u8]) {
        // The hub may close before all is written.
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame, or `None` at the end. Settings and pings are answered.
    async fn hear(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            let mut payload = vec![0; number(&head[..3]) as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            let (kind, flags, stream) = (head[3], head[4], number(&head[5..]));
            match kind {
                SETTINGS | PING if flags & ACK == 0 => {
                    let payload = if kind == PING { &payload[..] } else { &[] };
                    self.say(&frame(kind, ACK, 0, payload)).await;
                }
                _ => return Some(Frame { kind, flags, stream, payload }),
            }
        }
    }

    async fn hear_until(&mut self, is_last: impl Fn(&Frame) -> bool) -> Frame {
        let hear = async {
            loop {
                let frame = self.hear().await.expect("the connection ended before that");
                assert!(frame.kind != GOAWAY, "{:?}", frame.payload);
                if is_last(&frame) {
                    return frame;
                }
            }
        };
        tokio::time::timeout(PATIENCE * 10, hear).await.unwrap()
    }
}

impl Peer {
    /// Begins a stream with a request without a body.
    pub(crate) async fn ask(&mut self, stream: u32, head: &[u8]) {
        self.say(&frame(HEADERS, END_HEADERS | END_STREAM, stream, head)).await;
    }

    /// The next data of a stream, and whether it is the last.
    pub(crate) async fn hear_data(&mut self, stream: u32) -> (Vec<u8>, bool) {
        let frame = self.hear_until(|frame| frame.kind == DATA && frame.stream == stream).await;
        (frame.payload, frame.flags & END_STREAM != 0)
    }
}

/// Why the hub says that it ends the connection.
fn reasons(mut heard: &[u8]) -> Vec<u32> {
    let mut reasons = Vec::new();
    while let Some((head, rest)) = heard.split_at_checked(9) {
        let length = head[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        if head[3] == GOAWAY {
            reasons.push(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        heard = rest;
    }
    reasons
}

async fn serves_others(hub: &Running) {
    let mut subscriber = hub.subscribe("/events/a").await;
    hub.publish("a", "for others").await;
    assert_eq!(subscriber.data(1).await, ["for others"]);
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let hub = Running::start().await;
    let mut peer = Peer::connect(&hub, 65_535).await;
    let mut said = Vec::new();
    for stream in (1..20_000).step_by(2) {
        said.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &subscription()));
        said.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // As much as there is room for: the hub does not read it all.
    let (mut reader, mut writer) = peer.0.into_split();
    let saying = tokio::spawn(async move { writer.write_all(&said).await });
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut heard)).await.expect("it is ended");
    let away = reasons(&heard).contains(&ENHANCE_YOUR_CALM);
    // Or it was reset with what it had said still unread, which takes the reason with it.
    assert!(away || saying.await.unwrap().is_err(), "{} bytes heard", heard.len());
    serves_others(&hub).await;
    peer = Peer::connect(&hub, 65_535).await;
    peer.say(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &subscription())).await;
    peer.hear_until(|frame| frame.kind == DATA).await;
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let hub = Running::start().await;
    let mut peer = Peer::connect(&hub, 65_535).await;
    let mut said = frame(HEADERS, END_STREAM, 1, &subscription());
    for _ in 0..10_000 {
        // A header that is in no table: `x: xxx…`.
        said.extend(frame(CONTINUATION, 0, 1, &[&[0, 1, b'x', 100][..], &[b'x'; 100]].concat()));
    }
    peer.say(&said).await;
    let ended = async { while peer.hear().await.is_some_and(|frame| frame.kind != GOAWAY) {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("it is ended");
    assert_eq!(hub.hub.figures().subscribers, 0);
    serves_others(&hub).await;
}

#[tokio::test]
async fn streams_of_a_connection_are_bounded() {
    let hub = Running::start().await;
    let mut peer = Peer::connect(&hub, 65_535).await;
    let mut said = Vec::new();
    for stream in (1..800).step_by(2) {
        said.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &subscription()));
    }
    peer.say(&said).await;
    let refused = peer.hear_until(|frame| frame.kind == RST_STREAM).await;
    assert_eq!(refused.payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
    assert!(hub.hub.figures().subscribers <= 256);
    serves_others(&hub).await;
}

/// A window that is never opened: nothing is taken from the log for it but what is on its way already, and it ends as
/// one does whose socket stays full, while the streams beside it go on.
#[tokio::test(start_paused = true)]
async fn a_window_that_stays_shut_takes_no_memory_and_is_ended() {
    let hub = Running::start().await;
    let mut peer = Peer::connect(&hub, 0).await;
    let streams: Vec<u32> = (1..40).step_by(2).collect();
    for stream in &streams {
        peer.say(&frame(HEADERS, END_HEADERS | END_STREAM, *stream, &subscription())).await;
        peer.hear_until(|frame| frame.kind == HEADERS && frame.stream == *stream).await;
    }
    let (first, rest) = streams.split_first().unwrap();
    let open = |stream: u32| frame(WINDOW_UPDATE, 0, stream, &1_000_000_u32.to_be_bytes());
    peer.say(&open(*first)).await;
    peer.hear_until(|frame| frame.kind == DATA && frame.stream == *first).await;
    for n in 0..50 {
        hub.publish("a", n.to_string().repeat(1000)).await;
    }
    let mut ended = HashMap::new();
    while ended.len() < rest.len() {
        let frame = peer.hear_until(|frame| frame.kind == RST_STREAM || frame.kind == DATA).await;
        assert!(frame.kind == DATA || ended.insert(frame.stream, frame.flags).is_none());
        assert!(frame.kind == RST_STREAM || frame.stream == *first, "its window is shut");
        // The first takes what it is sent.
        let taken = u32::try_from(frame.payload.len()).unwrap().max(1).to_be_bytes();
        peer.say(&self::frame(WINDOW_UPDATE, 0, 0, &taken)).await;
    }
    assert!(!ended.contains_key(first));
    assert_eq!(hub.hub.figures().delivered, 50, "the others took nothing from the log");
    let gone = async {
        while hub.hub.figures().subscribers > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    // A heartbeat, alone.
    peer.hear_until(|frame| frame.kind == DATA && frame.payload == b":\n").await;
    hub.publish("a", "still served").await;
    peer.hear_until(|frame| frame.kind == DATA && frame.payload.ends_with(b"data: still served\n\n")).await;
}

#[tokio::test]
async fn subscribers_are_bounded_also_where_one_connection_carries_them() {
    let hub = Running::with(|settings| settings.connections_max = 5, Retention::default()).await;
    let mut peer = Peer::connect(&hub, 65_535).await;
    for stream in (1..20).step_by(2) {
        peer.say(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &subscription())).await;
        peer.hear_until(|frame| frame.kind == HEADERS && frame.stream == stream).await;
    }
    assert_eq!(hub.hub.figures().subscribers, 5);
    peer.say(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await;
    let left = async {
        while hub.hub.figures().subscribers == 5 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, left).await.unwrap();
    peer.say(&frame(HEADERS, END_HEADERS | END_STREAM, 21, &subscription())).await;
    peer.hear_until(|frame| frame.kind == DATA && frame.stream == 21).await;
    assert_eq!(hub.hub.figures().subscribers, 5);
}
