//! What subscribers hold who never read, counted: nothing is queued for them.
//!
//! One test, because the counters are the whole process's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::time::Duration;

use fanfare_hub::{Hub, Settings, Topic, Update};
use fanfare_log::Retention;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Of each path and each policy, so many.
const SUBSCRIBERS: usize = 20;
const POLICIES: [&str; 3] = ["catch-up", "disconnect", "conflate"];

/// Fifty times what one socket holds, and three thousand times what all of them may hold here.
const EVENTS: usize = 8000;
const EVENT_BYTES: usize = 16 << 10;

/// What a subscriber may hold: on a shard the rest of the event that it was stopped in; on the general path hyper's buffers, and
/// one read of the log.
const SHARD_BYTES: usize = EVENT_BYTES + 1024;
const GENERAL_BYTES: usize = 256 << 10;

/// What a shard and the history hold for all, whoever there is.
const COMMON_BYTES: usize = 6 << 20;

#[test]
fn what_is_held_for_those_who_never_read_does_not_grow_with_what_is_published() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut settings = Settings::default();
    settings.shards = NonZeroUsize::MIN;
    settings.heartbeat = Duration::from_secs(3600);
    // Nobody is to be let go of here.
    settings.slow_disconnect_events = u64::MAX;
    let retention = Retention { count: Some(0), ..Retention::default() };
    let hub = runtime.block_on(Hub::builder().settings(settings).memory(retention).build()).unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let server = hub.clone();
    runtime.spawn(async move { server.run(listener, std::future::pending()).await });

    let before = dhat::HeapStats::get().curr_bytes;
    // hyper serves what is not HTTP/1.1.
    let _held: Vec<TcpStream> = ["1.1", "1.0"]
        .into_iter()
        .flat_map(|version| POLICIES.map(|policy| (version, policy)))
        .flat_map(|pair| std::iter::repeat_n(pair, SUBSCRIBERS))
        .map(|(version, policy)| subscribe(address, version, policy))
        .collect();
    let data = "x".repeat(EVENT_BYTES);
    let mut most = 0;
    for number in 0..EVENTS {
        let update = Update::new(Topic::new(&format!("topic {}", number % 100)).unwrap(), data.clone());
        runtime.block_on(hub.publish(update)).unwrap();
        most = most.max(dhat::HeapStats::get().curr_bytes.saturating_sub(before));
    }
    let count = POLICIES.len() * SUBSCRIBERS;
    assert_eq!(hub.figures().subscribers, 2 * count as u64);
    let bound = COMMON_BYTES + count * (SHARD_BYTES + GENERAL_BYTES);
    assert!(bound < EVENTS * EVENT_BYTES / 4, "more is published than may be held");
    assert!(most <= bound, "{most} bytes are held, {bound} may be");
}

fn subscribe(address: SocketAddr, version: &str, policy: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET /events?slow={policy} HTTP/{version}\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    stream
}
