//! What subscribers cost in memory and what a delivery allocates, counted: nothing for each.
//!
//! One test, because the counters are the whole process's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::time::Duration;

use fanfare_hub::{Hub, Settings, Topic, Update};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// More than a shard has room for from the start, so that what its table takes as it grows counts too.
const SUBSCRIBERS: usize = 1500;
const EVENTS: usize = 100;

/// Longer than anything takes on the slowest machine: a test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_subscriber_takes_little_and_a_delivery_allocates_nothing() {
    let files = fanfare_hub::raise_open_files_limit();
    assert!(files.is_none_or(|files| files > 2 * SUBSCRIBERS as u64 + 100), "only {files:?} files may be open");
    let _profiler = dhat::Profiler::builder().testing().build();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut settings = Settings::default();
    settings.shards = NonZeroUsize::MIN;
    // No timer comes in between.
    settings.heartbeat = Duration::from_secs(3600);
    // What is counted for each client is counted here too.
    settings.connections_per_address_max = Some(SUBSCRIBERS);
    let hub = runtime.block_on(Hub::builder().settings(settings).build()).unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let server = hub.clone();
    runtime.spawn(async move { server.run(listener, std::future::pending()).await });

    let mut readers: Vec<Reader> = Vec::with_capacity(SUBSCRIBERS);
    // The first brings what there is once: threads, the router's caches, the group.
    readers.push(Reader::subscribe(address));
    let before = dhat::HeapStats::get().curr_bytes;
    while readers.len() < SUBSCRIBERS {
        readers.push(Reader::subscribe(address));
    }
    let bytes = (dhat::HeapStats::get().curr_bytes - before) / (SUBSCRIBERS - 1);
    assert!(bytes <= 256, "{bytes} bytes for a subscriber");

    let publish = |number: usize| {
        let update = Update::new(Topic::new("a").unwrap(), format!("{number:05}"));
        runtime.block_on(hub.publish(update)).unwrap();
    };
    let deliver = |numbers: std::ops::Range<usize>, readers: &mut Vec<Reader>| {
        for number in numbers.clone() {
            publish(number);
        }
        let last = format!("data: {:05}\n", numbers.end - 1);
        readers.iter_mut().for_each(|reader| reader.read_until(last.as_bytes()));
    };
    // Buffers grow to the size that they keep.
    deliver(0..EVENTS, &mut readers);
    let blocks = dhat::HeapStats::get().total_blocks;
    deliver(EVENTS..2 * EVENTS, &mut readers);
    let blocks = dhat::HeapStats::get().total_blocks - blocks;
    // Publishing allocates: the event, its place in the log, what comes of the read of it.
    let for_publishing = 50 * EVENTS as u64;
    assert!(blocks < for_publishing, "{blocks} blocks for {} deliveries", EVENTS * SUBSCRIBERS);
}

/// A subscriber that allocates nothing as it reads.
struct Reader {
    stream: TcpStream,
    room: Vec<u8>,
    length: usize,
}

impl Reader {
    fn subscribe(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut reader = Self { stream, room: Vec::new(), length: 0 };
        let mut byte = [0];
        let mut seen = Vec::new();
        while !seen.ends_with(b"\n\n\r\n") {
            assert_eq!(reader.stream.read(&mut byte).unwrap(), 1);
            seen.extend_from_slice(&byte);
        }
        reader
    }

    fn read_until(&mut self, last: &[u8]) {
        self.room.resize(ROOM_BYTES, 0);
        self.length = 0;
        while !self.room[..self.length].windows(last.len()).any(|bytes| bytes == last) {
            let length = self.stream.read(&mut self.room[self.length..]).unwrap();
            assert!(length > 0, "the stream has ended, or there is more than was published");
            self.length += length;
        }
    }
}

const ROOM_BYTES: usize = EVENTS * 100;
