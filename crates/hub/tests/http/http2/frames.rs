//! HTTP/2 frame by frame (RFC 9113), for a peer that says what it is told to and no more. The command's tests have it too.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// RFC 9113, section 7.
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Longer than anything takes on the slowest machine, also where a paused clock runs ahead of it.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET /events/a` as a header block, without Huffman coding and without a table (RFC 7541).
pub(crate) fn subscription() -> Vec<u8> {
    b"\x82\x86\x04\x09/events/a\x01\x09localhost".to_vec()
}

/// What a connection begins with: settings with this window for each stream.
pub(crate) fn hello(window: u32) -> Vec<u8> {
    let setting = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &setting)[..]].concat()
}

#[derive(Debug)]
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    /// With this window for each stream.
    pub(crate) async fn connect(address: SocketAddr, window: u32) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A paused clock does not wait for what the kernel holds back (Nagle).
        stream.set_nodelay(true).unwrap();
        stream.write_all(&hello(window)).await.unwrap();
        Self(stream)
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        // The hub may close before all is written.
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame, or `None` at the end. Settings and pings are answered.
    pub(crate) async fn hear(&mut self) -> Option<Frame> {
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

    /// Begins a stream with a request without a body.
    pub(crate) async fn ask(&mut self, stream: u32, head: &[u8]) {
        self.say(&frame(HEADERS, END_HEADERS | END_STREAM, stream, head)).await;
    }

    /// The next data of a stream, and whether it is the last.
    pub(crate) async fn hear_data(&mut self, stream: u32) -> (Vec<u8>, bool) {
        let frame = self.hear_until(|frame| frame.kind == DATA && frame.stream == stream).await;
        (frame.payload, frame.flags & END_STREAM != 0)
    }

    pub(crate) async fn hear_until(&mut self, is_last: impl Fn(&Frame) -> bool) -> Frame {
        let hear = async {
            loop {
                let frame = self.hear().await.expect("the connection ended before that");
                assert!(frame.kind != GOAWAY, "{:?}", frame.payload);
                if is_last(&frame) {
                    return frame;
                }
            }
        };
        tokio::time::timeout(PATIENCE, hear).await.unwrap()
    }
}
