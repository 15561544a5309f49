//! HTTP/2, frame by frame: the attacks that its implementations are known for.

use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PRIORITY, Peer,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, hello, subscription,
};
use crate::peer::{connect, crowd};
use crate::running::PATIENCE;
use crate::target::Target;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const WINDOW: u32 = 65_535;

/// What the hub says while it is told all of `said`, and until it closes or has heard all.
struct Heard {
    frames: Vec<(u8, Vec<u8>)>,
    /// It ended the connection, by a word or by a reset, with what was said still unread.
    is_ended: bool,
}

impl Heard {
    fn reasons(&self) -> Vec<u32> {
        let away = self.frames.iter().filter(|(kind, _)| *kind == GOAWAY);
        away.map(|(_, payload)| u32::from_be_bytes(payload[4..8].try_into().unwrap())).collect()
    }
}

/// Says all of it, reading all the while, and then a ping whose answer is the end if the hub did not end it before.
async fn tell(address: SocketAddr, said: &[u8]) -> Heard {
    let last = frame(PING, 0, 0, b"the last");
    let said = [&hello(WINDOW)[..], said, &last].concat();
    let (mut reader, mut writer) = connect(address).await.into_split();
    let saying = tokio::spawn(async move { writer.write_all(&said).await.map(|()| writer) });
    let mut bytes = Vec::new();
    let mut heard = Heard { frames: Vec::new(), is_ended: false };
    let hear = async {
        let mut read = 0;
        loop {
            while let Some((head, rest)) = bytes.get(read..).unwrap_or_default().split_at_checked(9) {
                let length = head[..3].iter().fold(0, |length, byte: &u8| length << 8 | usize::from(*byte));
                let Some(payload) = rest.get(..length) else { break };
                let is_last = head[3] == PING && head[4] == ACK && payload == b"the last";
                heard.frames.push((head[3], payload.to_vec()));
                read += 9 + length;
                if is_last {
                    return;
                }
            }
            if !matches!(reader.read_buf(&mut bytes).await, Ok(1..)) {
                heard.is_ended = true;
                return;
            }
        }
    };
    timeout(PATIENCE, hear).await.expect("the hub answers or closes");
    saying.abort();
    let _ = saying.await;
    heard
}

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &subscription())
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}

/// CVE-2023-44487.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let target = Target::start(&[]).await;
    let mut said = Vec::new();
    for stream in (1..20_000).step_by(2) {
        said.extend(open(stream));
        said.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    target
        .withstands(16 << 20, async |address| {
            for heard in crowd(10, async |_| tell(address, &said).await).await {
                let reasons = heard.reasons();
                assert!(heard.is_ended || reasons.contains(&ENHANCE_YOUR_CALM), "{reasons:?}");
            }
        })
        .await;
}

/// Streams that the hub itself has to reset, over and over ("MadeYouReset", CVE-2025-8671): a window update of nothing is
/// an error of its stream.
#[tokio::test]
async fn streams_that_are_made_to_be_reset_end_the_connection() {
    let target = Target::start(&[]).await;
    let mut said = Vec::new();
    for stream in (1..20_000).step_by(2) {
        said.extend(open(stream));
        said.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
    }
    target
        .withstands(16 << 20, async |address| {
            for heard in crowd(10, async |_| tell(address, &said).await).await {
                assert!(heard.is_ended || !heard.reasons().is_empty());
            }
        })
        .await;
}

/// CVE-2024-27316: a head in pieces without end, of headers or of nothing at all.
#[tokio::test]
async fn heads_without_end_end_the_connection() {
    let target = Target::start(&[]).await;
    // A header that is in no table: `x: xxx…`.
    let header = [&[0, 1, b'x', 100][..], &[b'x'; 100]].concat();
    for piece in [&header[..], &[]] {
        let mut said = frame(HEADERS, END_STREAM, 1, &subscription());
        said.extend(frame(CONTINUATION, 0, 1, piece).repeat(20_000));
        target
            .withstands(16 << 20, async |address| {
                for heard in crowd(10, async |_| tell(address, &said).await).await {
                    assert!(heard.is_ended || !heard.reasons().is_empty());
                }
            })
            .await;
    }
}

/// A header once in the table, and then a byte for each time that it is named again: a frame of 16 KB says 50 MB.
#[tokio::test]
async fn headers_that_unpack_to_megabytes_are_refused() {
    let target = Target::start(&[]).await;
    let mut stored = subscription();
    stored.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    stored.extend([b'x'; 4000]);
    let mut said = frame(HEADERS, END_HEADERS | END_STREAM, 1, &stored);
    for stream in (3..200).step_by(2) {
        // 62 is the newest in the table.
        let bomb = [&subscription()[..], &[0x80 | 62; 12_000]].concat();
        said.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &bomb));
    }
    target
        .withstands(16 << 20, async |address| {
            for heard in crowd(10, async |_| tell(address, &said).await).await {
                let refused = heard.frames.iter().filter(|(kind, _)| [RST_STREAM, HEADERS].contains(kind)).count();
                assert!(heard.is_ended || refused >= 90, "{refused}");
            }
        })
        .await;
}

/// Tables that a peer has the hub make larger, and blocks that are none.
#[tokio::test]
async fn header_blocks_that_are_none_end_the_connection() {
    let target = Target::start(&[]).await;
    let blocks: [&[u8]; 7] = [
        // An index of nothing, one past every table, one that overflows.
        &[0x80],
        &[0xff, 0xff, 0xff, 0x7f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        // A table of a gigabyte.
        &[0x3f, 0xe1, 0xff, 0xff, 0xff, 0x03],
        // A string longer than its block, and one that Huffman's code does not have.
        &[0x00, 0x7f, 0xff, 0xff, 0x03],
        &[0x00, 0x81, 0xff, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0x00],
    ];
    target
        .withstands(8 << 20, async |address| {
            crowd(blocks.len() * 5, async |n| {
                let block = blocks[n % blocks.len()];
                let heard = tell(address, &frame(HEADERS, END_HEADERS | END_STREAM, 1, block)).await;
                assert!(heard.is_ended || !heard.reasons().is_empty(), "{block:x?} {:?}", heard.frames);
            })
            .await;
        })
        .await;
}

/// Frames that cost little to say and something to answer (CVE-2019-9512 and its like), with the answers read, and not.
#[tokio::test]
async fn floods_of_small_frames_take_no_memory() {
    let target = Target::start(&[]).await;
    let floods = [
        frame(PING, 0, 0, b"12345678"),
        frame(SETTINGS, 0, 0, &[]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0x10, 0].repeat(100)),
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
        frame(DATA, 0, 1, &[]),
        // Of kinds that nobody knows.
        frame(0x42, 0, 0, b"x"),
    ];
    target
        .withstands(32 << 20, async |address| {
            crowd(floods.len() * 2, async |n| {
                let flood = floods[n / 2].repeat(30_000);
                if n % 2 == 0 {
                    tell(address, &flood).await;
                } else {
                    let mut stream = connect(address).await;
                    stream.write_all(&hello(WINDOW)).await.unwrap();
                    // What the sockets hold, and no more: the hub must stop to read what it can't answer.
                    let saying = stream.write_all(&flood);
                    let _ = timeout(std::time::Duration::from_secs(1), saying).await;
                }
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn streams_of_a_connection_are_bounded() {
    let target = Target::start(&[]).await;
    let said: Vec<u8> = (1..2000).step_by(2).flat_map(open).collect();
    target
        .withstands(32 << 20, async |address| {
            for heard in crowd(5, async |_| tell(address, &said).await).await {
                let answered = heard.frames.iter().filter(|(kind, _)| *kind == HEADERS).count();
                let refusal = (RST_STREAM, 7_u32.to_be_bytes().to_vec());
                let refused = heard.frames.iter().filter(|frame| **frame == refusal).count();
                assert!(answered <= 256 && (refused > 0 || heard.is_ended), "{answered} and {refused}");
            }
        })
        .await;
}

/// Windows that are shut, or opened by a byte at a time (CVE-2019-9511): nothing is taken from the log for them but what is
/// on its way. How they end is shown with a paused clock, among the hub's own tests.
#[tokio::test]
async fn windows_that_stay_shut_take_no_memory() {
    let target = Target::start(&[]).await;
    let data = "x".repeat(100_000);
    target
        .withstands(32 << 20, async |address| {
            let mut peers = crowd(10, async |_| {
                let mut peer = Peer::connect(address, 0).await;
                for stream in (1..100).step_by(2) {
                    peer.say(&open(stream)).await;
                    peer.hear_until(|frame| frame.kind == HEADERS && frame.stream == stream).await;
                }
                peer
            })
            .await;
            for round in 0..40 {
                target.publish("a", &data).await;
                let peer = &mut peers[round % 10];
                for stream in (1..100).step_by(2) {
                    peer.say(&frame(WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes())).await;
                }
            }
            drop(peers);
        })
        .await;
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection() {
    let target = Target::start(&[]).await;
    let broken = [
        frame(HEADERS, END_HEADERS | END_STREAM, 0, &subscription()),
        frame(HEADERS, END_HEADERS | END_STREAM, 2, &subscription()),
        [open(3), open(1)].concat(),
        frame(DATA, 0, 0, b"x"),
        frame(DATA, 0, 99, b"x"),
        frame(CONTINUATION, END_HEADERS, 1, &subscription()),
        [frame(HEADERS, 0, 1, &subscription()), frame(PING, 0, 0, b"12345678")].concat(),
        frame(PING, 0, 0, b"1234"),
        frame(SETTINGS, 0, 0, b"1234"),
        frame(SETTINGS, 0, 1, &[]),
        frame(SETTINGS, ACK, 0, b"123456"),
        frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
        frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]),
        frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()).repeat(2),
        frame(RST_STREAM, 0, 0, &[0; 4]),
        // PUSH_PROMISE, which only servers send.
        frame(5, END_HEADERS, 1, &[0, 0, 0, 2]),
        // Padding longer than its frame.
        frame(HEADERS, END_HEADERS | END_STREAM | 8, 1, b"\xff\x82"),
        frame(DATA, 0, 1, &vec![0; 1 << 20]),
    ];
    target
        .withstands(8 << 20, async |address| {
            crowd(broken.len(), async |n| {
                let heard = tell(address, &broken[n]).await;
                let reset = heard.frames.iter().any(|(kind, _)| *kind == RST_STREAM);
                assert!(heard.is_ended || reset || !heard.reasons().is_empty(), "{n} {:?}", heard.frames);
            })
            .await;
        })
        .await;
}

/// Bodies that are announced and do not come, on as many streams as there may be.
#[tokio::test]
async fn publishes_that_never_end_hold_nobody_up() {
    let target = Target::start(&[]).await;
    let post = b"\x83\x86\x04\x09/events/a\x01\x09localhost";
    let said: Vec<u8> = (0..200)
        .flat_map(|n| {
            let stream = number(n) * 2 + 1;
            [frame(HEADERS, END_HEADERS, stream, post), frame(DATA, 0, stream, b"x")].concat()
        })
        .collect();
    target
        .withstands(32 << 20, async |address| {
            crowd(10, async |_| tell(address, &said).await).await;
        })
        .await;
    assert!(target.history("a").await.is_empty());
}
