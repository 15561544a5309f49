//! Connections from their first byte to the end of their first request's head.

use std::io::{self, ErrorKind, Read};

use bytes::Bytes;
use mio::net::TcpStream;
use slab::Slab;

use crate::run::Open;
use crate::shard::head::Head;
use crate::shard::wheel::{NEVER, Wheel};

/// A connection that has not made a request yet.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) open: Open,
    /// What came of the head. Its end may be awaited long, so it is not held in advance.
    read: Vec<u8>,
    deadline: u32,
}

/// What came of an arrival.
#[derive(Debug)]
pub(super) enum Progress {
    /// It has more to say.
    Waits,
    /// It is closed.
    Gone,
    /// It has made its request, and these are its bytes.
    Asked(Box<Head>, Bytes),
}

impl Arrival {
    pub(super) fn new(stream: TcpStream, open: Open) -> Self {
        Self { stream, open, read: Vec::new(), deadline: NEVER }
    }

    /// Reads what there is, by way of `room`.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Progress {
        loop {
            let length = match self.stream.read(room) {
                Ok(0) => return Progress::Gone,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waits,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Progress::Gone,
            };
            // Nearly always the head comes whole, and is read where it lies.
            let piece = &room[..length];
            let bytes = if self.read.is_empty() {
                piece
            } else {
                self.read.extend_from_slice(piece);
                &self.read
            };
            let head = if Head::may_be_whole(bytes, length) { Head::parse(bytes) } else { Head::More };
            match head {
                Head::More if self.read.is_empty() => self.read.extend_from_slice(piece),
                Head::More => {}
                head => return Progress::Asked(Box::new(head), Bytes::copy_from_slice(bytes)),
            }
        }
    }
}

/// Those that wait for more, with their deadlines.
#[derive(Debug)]
pub(super) struct Arrivals {
    arrivals: Slab<Arrival>,
    deadlines: Wheel,
    due: Vec<u32>,
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self { arrivals: Slab::new(), deadlines: Wheel::new(), due: Vec::new() }
    }

    /// Keeps an arrival for so many ticks. `register` makes its socket known under its number.
    pub(super) fn keep(
        &mut self,
        arrival: Arrival,
        ticks: u32,
        register: impl FnOnce(u32, &mut TcpStream) -> io::Result<()>,
    ) {
        let number = self.arrivals.insert(arrival) as u32;
        let deadline = self.deadlines.arm(number, self.deadlines.now() + ticks + 1);
        let arrival = &mut self.arrivals[number as usize];
        arrival.deadline = deadline;
        if let Err(error) = register(number, &mut arrival.stream) {
            tracing::debug!(%error, "a connection can't be watched");
            self.arrivals.remove(number as usize);
        }
    }

    /// Reads on where there is something to read. Gives the arrival back when it is through.
    pub(super) fn read(&mut self, number: u32, room: &mut [u8]) -> Option<(Arrival, Head, Bytes)> {
        match self.arrivals.get_mut(number as usize)?.read(room) {
            Progress::Waits => None,
            Progress::Gone => {
                self.arrivals.remove(number as usize);
                None
            }
            Progress::Asked(head, bytes) => Some((self.arrivals.remove(number as usize), *head, bytes)),
        }
    }

    /// Closes those whose time is up.
    pub(super) fn advance(&mut self, now: u32) {
        self.deadlines.advance(now, &mut self.due);
        for number in self.due.drain(..) {
            if self.arrivals.get(number as usize).is_some_and(|arrival| arrival.deadline <= now) {
                self.arrivals.remove(number as usize);
            }
        }
    }
}
