//! The subscribers: sockets read by one loop, so that reading is as little work as it can be.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanfare_wire::{Decoded, Decoder};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Connects `count` subscribers, each when the one before has its head, and reads them for ever on a thread of its own.
/// Gives the count of events that they have got together.
pub fn connect(address: SocketAddr, count: usize) -> Arc<AtomicU64> {
    let poll = Poll::new().expect("an epoll");
    let subscribers = (0..count).map(|number| Subscriber::connect(address, &poll, number)).collect();
    let delivered = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&delivered);
    std::thread::spawn(move || read(poll, subscribers, &counting));
    delivered
}

struct Subscriber {
    stream: TcpStream,
    chunks: Chunks,
    decoder: Decoder,
    next: u64,
}

impl Subscriber {
    fn connect(address: SocketAddr, poll: &Poll, number: usize) -> Self {
        let mut stream = std::net::TcpStream::connect(address).expect("the server accepts");
        let request = format!("GET /events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is sent");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
        stream.set_nonblocking(true).expect("a socket");
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE).expect("a socket");
        Self { stream, chunks: Chunks::Size(0), decoder: Decoder::new(), next: 0 }
    }

    /// Events that came, or `None` at the end, which is the run's.
    fn read(&mut self, room: &mut [u8]) -> Option<u64> {
        let before = self.next;
        loop {
            match self.stream.read(room) {
                Ok(0) => return None,
                Ok(length) => {
                    let Self { chunks, decoder, next, .. } = self;
                    chunks.read(&room[..length], |mut piece| {
                        while let Some(decoded) = decoder.decode(&mut piece) {
                            if let Decoded::Event(event) = decoded {
                                let number = event.data.split(' ').next().and_then(|number| number.parse().ok());
                                assert_eq!(number, Some(*next), "an event was lost, doubled or reordered");
                                *next += 1;
                            }
                        }
                    });
                    if length < room.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return None,
            }
        }
        Some(self.next - before)
    }
}

fn read(mut poll: Poll, mut subscribers: Vec<Subscriber>, delivered: &AtomicU64) -> Option<()> {
    let (mut events, mut room) = (Events::with_capacity(1024), vec![0; 64 << 10]);
    // What came while others connected.
    for subscriber in &mut subscribers {
        delivered.fetch_add(subscriber.read(&mut room)?, Ordering::Relaxed);
    }
    loop {
        poll.poll(&mut events, Some(Duration::from_secs(60))).expect("an epoll");
        for event in &events {
            delivered.fetch_add(subscribers[event.token().0].read(&mut room)?, Ordering::Relaxed);
        }
    }
}

/// Where in HTTP/1.1's chunks a body is.
enum Chunks {
    /// In the line with the size.
    Size(usize),
    /// So much data is missing.
    Data(usize),
    /// So much of the line end behind the data is missing.
    End(usize),
}

impl Chunks {
    fn read(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some((&first, rest)) = bytes.split_first() {
            match self {
                Self::Size(size) => {
                    bytes = rest;
                    match first {
                        b'\n' => *self = Self::Data(*size),
                        b'\r' => {}
                        digit => *size = *size * 16 + (digit as char).to_digit(16).expect("a digit") as usize,
                    }
                }
                Self::Data(missing) => {
                    let (data, rest) = bytes.split_at(bytes.len().min(*missing));
                    take(data);
                    *missing -= data.len();
                    bytes = rest;
                    if *missing == 0 {
                        *self = Self::End(2);
                    }
                }
                Self::End(missing) => {
                    bytes = rest;
                    *missing -= 1;
                    if *missing == 0 {
                        *self = Self::Size(0);
                    }
                }
            }
        }
    }
}
