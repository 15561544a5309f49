//! A stream of a gigabyte takes a few megabytes, whether somebody reads it or nobody does.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use fanfare_client::{EventSource, Kind, News, NewsStream};
use fanfare_scripted_server::{EVENT_STREAM, Watchdog};

/// What is streamed, in pieces that are the same bytes over and over.
const STREAM_BYTES: usize = 1 << 30;
const PIECE_BYTES: usize = 1 << 20;

/// An event with its line ends. Many small ones would measure the debug build's decoder and not its memory.
const EVENT_BYTES: usize = 16 << 10;

/// What the process may grow by: the piece, two runtimes' threads, and what allocators keep. A queue would take a
/// gigabyte.
const GROWTH_BYTES_MAX: usize = 32 << 20;

/// What the kernel may take from a server whose client does not read: the two sockets' buffers, which it lets grow to
/// 6 and 4 MiB.
const UNREAD_BYTES_MAX: usize = 32 << 20;

/// One test, for the process is measured as a whole.
#[test]
fn a_gigabyte_takes_no_memory_with_a_consumer_and_with_an_idle_one() {
    let _watchdog = Watchdog::start(Duration::from_secs(300));
    let before = process_bytes("VmRSS");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let unread = idle(&runtime);
    assert!(unread < UNREAD_BYTES_MAX, "the server could write {unread} bytes to a client that does not poll");
    consume(&runtime);
    // The most there ever was. Both parts are in it.
    let growth = process_bytes("VmHWM").saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "the process grew by {growth} bytes");
}

/// A consumer that opens the stream and never polls again, until the server can't go on. How much that took.
fn idle(runtime: &tokio::runtime::Runtime) -> usize {
    let (address, server) = serve();
    let mut client = runtime.block_on(open(address));
    let written = server.join().unwrap();
    // It is still a stream: what was taken is there.
    let news = runtime.block_on(client.next());
    assert!(matches!(news, Some(News::Event(_))), "{news:?}");
    written
}

/// A consumer that reads everything.
fn consume(runtime: &tokio::runtime::Runtime) {
    let (address, server) = serve();
    let (events, data_bytes) = runtime.block_on(async {
        let mut client = open(address).await;
        let (mut events, mut data_bytes) = (0, 0);
        loop {
            match client.next().await {
                Some(News::Event(event)) => {
                    events += 1;
                    data_bytes += event.data().len();
                }
                Some(News::Error(interruption)) if interruption.error().kind() == Kind::EndOfStream => break,
                other => panic!("{other:?}"),
            }
        }
        (events, data_bytes)
    });
    assert_eq!(server.join().unwrap(), STREAM_BYTES);
    assert_eq!(events, STREAM_BYTES / EVENT_BYTES);
    assert_eq!(data_bytes, events * event().trim_end().trim_start_matches("data: ").len());
}

async fn open(address: SocketAddr) -> NewsStream {
    let mut client = EventSource::builder(format!("http://{address}/")).news().unwrap();
    let news = client.next().await;
    assert!(matches!(news, Some(News::Open(_))), "{news:?}");
    client
}

fn event() -> String {
    let frame = "data: \n\n";
    format!("data: {}\n\n", "x".repeat(EVENT_BYTES - frame.len()))
}

/// A server of one connection. It ends when everything is written, or when the client takes nothing for a second; it
/// returns how much was written.
fn serve() -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // The request is one segment, and nobody looks at it.
        assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
        stream.write_all(EVENT_STREAM.as_bytes()).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        write_stream(&mut stream)
    });
    (address, server)
}

fn write_stream(stream: &mut TcpStream) -> usize {
    let piece = event().repeat(PIECE_BYTES / EVENT_BYTES);
    let mut written = 0;
    while written < STREAM_BYTES {
        match stream.write(&piece.as_bytes()[written % PIECE_BYTES..]) {
            Ok(bytes) => written += bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("{error}"),
        }
    }
    written
}

/// A line of `/proc/self/status` that is in kB.
fn process_bytes(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
