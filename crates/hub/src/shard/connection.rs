//! A connection from its first byte until it is a subscriber's or hyper's: requests come in, answers go out.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::IpAddr;
use std::task::Poll;

use bytes::Bytes;
use http::Method;
use http::response::Parts;
use mio::net::TcpStream;

use crate::http::{Accepted, Declined, Server};
use crate::limits::ANSWERS_BYTES_MAX;
use crate::run::Open;
use crate::shard::exchange::{Answer, Exchange};
use crate::shard::hand_over::Stage;
use crate::shard::head::Head;
use crate::shard::response::{self, Date};
use crate::shard::wheel::NEVER;

/// A connection that makes requests. While it makes none it holds no buffer.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) open: Open,
    /// Who is at the other end.
    pub(super) peer: IpAddr,
    /// What came and is not answered.
    input: Vec<u8>,
    /// Answers that the socket had no room for. While there are any nothing more is answered or read.
    output: Vec<u8>,
    /// The request that is being answered.
    exchange: Option<Exchange>,
    /// Bytes of the input that belong to it. What may be declined is kept until it is answered.
    asked: usize,
    /// hyper has to answer what comes next.
    is_declined: bool,
    /// How much of the input was looked at, and how much there must be before it is worth another look: a head that
    /// comes byte by byte would else be parsed as often.
    seen: usize,
    needs: usize,
    /// There may be more to read.
    pub(super) is_readable: bool,
    /// The peer says nothing more, after what is still to be read.
    pub(super) is_read_closed: bool,
    /// The answer can be made now.
    pub(super) is_woken: bool,
    /// It is to be closed when its answers are sent.
    is_ending: bool,
    pub(super) is_registered: bool,
    pub(super) has_asked: bool,
    /// The tick at which it is given up, or hyper waits on.
    pub(super) deadline: u32,
}

/// What a shard lends to the connection whose turn it is.
pub(super) struct Desk<'a> {
    pub(super) server: &'a Server,
    pub(super) date: &'a Date,
    /// Where bytes are read to.
    pub(super) room: &'a mut [u8],
    pub(super) input: &'a mut Vec<u8>,
    pub(super) output: &'a mut Vec<u8>,
    /// How many requests may be answered yet.
    pub(super) requests: &'a mut usize,
    pub(super) ticks: Ticks,
}

/// The tick that it is, and how many a connection may let pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks {
    pub(super) now: u32,
    pub(super) idle: u32,
    pub(super) body: u32,
}

/// What came of a turn.
#[derive(Debug)]
pub(super) enum Turn {
    /// It waits for its socket or for its answer.
    Waits,
    /// It was not all: the others come first.
    Again,
    /// It is over.
    Gone,
    /// hyper takes it from here. In the desk's input is what was read.
    HandOver,
    /// It is a subscriber from here on. In the desk's output is what it is sent before all else.
    Subscribes(Box<(Parts, Accepted)>),
}

impl Connection {
    /// One of which `read` was read, and which has come so far.
    pub(super) fn new(stream: TcpStream, open: Open, peer: IpAddr, read: Bytes, stage: Stage) -> Self {
        Self {
            stream,
            open,
            peer,
            input: read.into(),
            output: Vec::new(),
            exchange: None,
            asked: 0,
            is_declined: false,
            seen: 0,
            needs: 0,
            is_readable: true,
            is_read_closed: false,
            is_woken: false,
            is_ending: false,
            is_registered: false,
            has_asked: stage == Stage::Later,
            deadline: NEVER,
        }
    }

    /// Whether its time is up. It has time while an answer is under way; a peer that does not take it is the
    /// business of `SEND_TIMEOUT`.
    pub(super) fn is_late(&self, now: u32) -> bool {
        self.deadline <= now && !self.is_under_way()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.exchange.is_some() || !self.output.is_empty()
    }

    /// Gives up on it: what was read, if the body of a request is awaited. hyper then waits for the rest.
    pub(super) fn give_up(&mut self) -> Option<Bytes> {
        (self.needs > 0).then(|| mem::take(&mut self.input).into())
    }

    /// Answers requests, in order, until there is none, an answer has to be awaited, or it is the turn of others.
    ///
    /// `wake` makes a waker for an answer that is not there at once.
    pub(super) fn turn(&mut self, desk: &mut Desk<'_>, wake: impl Fn() -> std::task::Waker) -> Turn {
        // Buffers are the shard's, so that one that is idle holds none.
        desk.input.clear();
        desk.input.extend_from_slice(&mem::take(&mut self.input));
        desk.output.clear();
        desk.output.extend_from_slice(&mem::take(&mut self.output));
        if !desk.output.is_empty() {
            self.deadline = desk.ticks.now + desk.ticks.idle;
        }
        let turn = match self.flush(desk) {
            Ok(true) => self.answer_requests(desk, wake).unwrap_or(Turn::Gone),
            Ok(false) => Turn::Waits,
            Err(_) => Turn::Gone,
        };
        match turn {
            Turn::Waits | Turn::Again => {
                self.input = desk.input.as_slice().into();
                if self.flush(desk).is_err() || self.is_ending && desk.output.is_empty() {
                    return Turn::Gone;
                }
                self.output = desk.output.as_slice().into();
                if self.output.is_empty() { turn } else { Turn::Waits }
            }
            Turn::Gone | Turn::HandOver | Turn::Subscribes(_) => turn,
        }
    }

    fn answer_requests(&mut self, desk: &mut Desk<'_>, wake: impl Fn() -> std::task::Waker) -> io::Result<Turn> {
        loop {
            if let Some(exchange) = &mut self.exchange {
                if !mem::take(&mut self.is_woken) {
                    return Ok(Turn::Waits);
                }
                let Poll::Ready(answer) = exchange.poll(&wake) else { return Ok(Turn::Waits) };
                self.exchange = None;
                let asked = mem::take(&mut self.asked);
                match answer {
                    None => self.is_ending = true,
                    Some(Answer { parts, .. }) if parts.extensions.get::<Declined>().is_some() => {
                        self.is_declined = true;
                    }
                    Some(Answer { mut parts, body }) => {
                        desk.input.drain(..asked);
                        self.seen = 0;
                        if let Some(accepted) = parts.extensions.remove::<Accepted>() {
                            return Ok(Turn::Subscribes(Box::new((parts, accepted))));
                        }
                        response::whole(&parts, &body, desk.date, desk.output);
                        self.deadline = desk.ticks.now + desk.ticks.idle;
                    }
                }
            }
            if self.is_ending || desk.output.len() > ANSWERS_BYTES_MAX && !self.flush(desk)? {
                return Ok(Turn::Waits);
            }
            if let Some(turn) = self.next_request(desk)? {
                return Ok(turn);
            }
        }
    }

    /// Begins with the next request. Gives a turn that ends here instead.
    fn next_request(&mut self, desk: &mut Desk<'_>) -> io::Result<Option<Turn>> {
        loop {
            let head = if self.is_declined { Head::Other } else { self.look(desk.input) };
            match head {
                Head::More => {}
                Head::Body(length) => {
                    if self.needs == 0 {
                        self.deadline = desk.ticks.now + desk.ticks.body;
                    }
                    self.needs = length;
                }
                Head::Whole(request, length) => {
                    if *desk.requests == 0 {
                        return Ok(Some(Turn::Again));
                    }
                    *desk.requests -= 1;
                    if request.method() == Method::GET {
                        self.asked = length;
                    } else {
                        desk.input.drain(..length);
                    }
                    (self.seen, self.needs) = (0, 0);
                    self.has_asked = true;
                    self.exchange = Some(Exchange::begin(desk.server, *request, self.peer));
                    self.is_woken = true;
                    return Ok(None);
                }
                Head::TwoLengths => {
                    let id = desk.server.guard.refuse_bytes(self.peer);
                    response::bad_request(&id, desk.date, desk.output);
                    desk.input.clear();
                    self.is_ending = true;
                    return Ok(Some(Turn::Waits));
                }
                Head::Other => {
                    // Its answer comes after those before.
                    return Ok(Some(if self.flush(desk)? { Turn::HandOver } else { Turn::Waits }));
                }
            }
            self.seen = desk.input.len();
            if !self.is_readable {
                return Ok(Some(Turn::Waits));
            }
            match self.stream.read(desk.room) {
                // hyper knows what a body that ends early means.
                Ok(0) if self.needs > 0 => {
                    self.is_readable = false;
                    return Ok(Some(if self.flush(desk)? { Turn::HandOver } else { Turn::Waits }));
                }
                Ok(0) => {
                    self.is_ending = true;
                    return Ok(Some(Turn::Waits));
                }
                Ok(length) => {
                    desk.input.extend_from_slice(&desk.room[..length]);
                    // Less than there was room for is all there was, and epoll tells of more; but of an end that came
                    // with it, it has told already.
                    self.is_readable = length == desk.room.len() || self.is_read_closed;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    return Ok(Some(Turn::Waits));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What the input begins with, if there is something new to see.
    fn look(&self, input: &[u8]) -> Head {
        let new = input.len() - self.seen.min(input.len());
        let is_worth_it = if self.needs > 0 { input.len() >= self.needs } else { Head::may_be_whole(input, new) };
        if new > 0 && is_worth_it { Head::parse(input) } else { Head::More }
    }

    /// Sends what there is. Returns whether that was all.
    fn flush(&mut self, desk: &mut Desk<'_>) -> io::Result<bool> {
        while !desk.output.is_empty() {
            match self.stream.write(desk.output) {
                Ok(sent) => drop(desk.output.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
