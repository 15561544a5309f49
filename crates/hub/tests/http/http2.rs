//! HTTP/2 peers that take what they can and give nothing: what only a paused clock and the hub's own figures show. The
//! attacks that a process must withstand are among the command's tests.

#[allow(dead_code, reason = "the rest is for attacks on the process")]
pub(crate) mod frames;

use std::collections::HashMap;
use std::time::Duration;

use fanfare_log::Retention;

use crate::running::{PATIENCE, Running};
use frames::{DATA, END_HEADERS, END_STREAM, HEADERS, Peer, RST_STREAM, WINDOW_UPDATE, frame, subscription};

/// A window that is never opened: nothing is taken from the log for it but what is on its way already, and it ends as
/// one does whose socket stays full, while the streams beside it go on.
#[tokio::test(start_paused = true)]
async fn a_window_that_stays_shut_takes_no_memory_and_is_ended() {
    let hub = Running::start().await;
    let mut peer = Peer::connect(hub.address, 0).await;
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
        peer.say(&frames::frame(WINDOW_UPDATE, 0, 0, &taken)).await;
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
    let mut peer = Peer::connect(hub.address, 65_535).await;
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
