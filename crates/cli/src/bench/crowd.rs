//! All subscribers on one thread: their sockets, and what is read from them.
//!
//! One epoll loop and no task for each: a runtime's wake-up and a buffer for each of 19,000 would weigh more than the server that
//! is measured.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use super::limits::{
    CONNECT_PATIENCE, CONNECTING_MAX, CONNECTIONS_PER_SOURCE, POLL_INTERVAL, READ_BYTES, READS_IN_A_ROW, READY_MAX,
};
use super::plan::Plan;
use super::progress::ProgressLine;
use super::shared::Shared;
use super::subscriber::{Progress, Subscriber};
use super::tally::Tally;
use crate::Failure;

pub(super) struct Crowd {
    poll: Poll,
    ready: Events,
    members: Members,
}

/// How the subscribers came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connected {
    pub(super) subscribers: usize,
    pub(super) elapsed: Duration,
}

/// Everything but what is borrowed while events are gone through.
struct Members {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    registry: Registry,
    members: Vec<Member>,
    /// How many have their answer.
    answered: usize,
    /// Whose turn was over before everything was read.
    unfinished: Vec<usize>,
    buffer: Vec<u8>,
    tally: Tally,
}

struct Member {
    /// None once it is closed.
    stream: Option<TcpStream>,
    subscriber: Subscriber,
    is_slow: bool,
    /// Of the request, in bytes.
    sent: usize,
    is_sent: bool,
}

impl Crowd {
    pub(super) fn new(plan: Arc<Plan>, shared: Arc<Shared>) -> std::io::Result<Self> {
        let poll = Poll::new()?;
        let members = Members {
            registry: poll.registry().try_clone()?,
            members: Vec::with_capacity(plan.subscribers),
            answered: 0,
            unfinished: Vec::new(),
            buffer: vec![0; READ_BYTES],
            tally: Tally::new(&plan),
            plan,
            shared,
        };
        Ok(Self { poll, ready: Events::with_capacity(READY_MAX), members })
    }

    /// Connects everyone, [`CONNECTING_MAX`] at a time, until each has its answer or the run is stopped.
    pub(super) fn connect(&mut self, progress: &mut ProgressLine) -> Result<Connected, Failure> {
        let start = Instant::now();
        let (mut last_answered, mut last_answer) = (0, start);
        let wanted = self.members.plan.subscribers;
        while self.members.answered < wanted && !self.members.shared.is_stopped() {
            while self.members.members.len() < wanted.min(self.members.answered + CONNECTING_MAX) {
                self.members.connect()?;
            }
            self.turn(POLL_INTERVAL)?;
            if self.members.answered > last_answered {
                (last_answered, last_answer) = (self.members.answered, Instant::now());
            } else if last_answer.elapsed() > CONNECT_PATIENCE {
                return Err(Failure::unreachable(format!(
                    "{last_answered} of {wanted} subscribers are connected and for {} s the hub has answered none of the \
                     others: see what it logs, or use fewer --subscribers",
                    CONNECT_PATIENCE.as_secs()
                )));
            }
            progress.show(|| format!("connecting: {last_answered} of {wanted}"));
        }
        Ok(Connected { subscribers: self.members.answered, elapsed: start.elapsed() })
    }

    /// Waits for whatever comes, no longer than `wait`, and counts it.
    pub(super) fn turn(&mut self, wait: Duration) -> Result<(), Failure> {
        let wait = if self.members.unfinished.is_empty() { wait } else { Duration::ZERO };
        match self.poll.poll(&mut self.ready, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(Failure { code: 1, message: format!("can't wait for sockets: {error}") }),
        }
        for index in std::mem::take(&mut self.members.unfinished) {
            self.members.read(index, false)?;
        }
        for event in &self.ready {
            self.members.handle(event)?;
        }
        Ok(())
    }

    /// Goes on reading for a while.
    pub(super) fn linger(&mut self, time: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        while let Some(left) = time.checked_sub(start.elapsed()) {
            self.turn(left.min(POLL_INTERVAL))?;
        }
        Ok(())
    }

    pub(super) fn tally(&mut self) -> &mut Tally {
        &mut self.members.tally
    }

    pub(super) fn into_tally(self) -> Tally {
        self.members.tally
    }

    /// Deliveries that are missing of so many published events, with everyone who is `counted`: also those whose stream
    /// has ended, or only those to whom they can still come.
    pub(super) fn missing(&self, published: u64, counted: Counted) -> u64 {
        let readers = self.members.members.iter().filter(|member| !member.is_slow);
        let readers = readers.filter(|member| counted == Counted::Everyone || member.subscriber.is_open());
        readers.map(|member| member.subscriber.missing(&self.members.plan, published)).sum()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Everyone,
    Open,
}

impl Members {
    fn connect(&mut self) -> Result<(), Failure> {
        let index = self.members.len();
        let address = self.plan.target.address;
        let mut stream = open(address, index).map_err(|error| unreachable(index, address, &error))?;
        // Readable stays of interest from the beginning, which saves a system call for each subscriber.
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, Token(index), interest).map_err(|e| unreachable(index, address, &e))?;
        self.members.push(Member {
            stream: Some(stream),
            subscriber: Subscriber::new(self.plan.topic(index)),
            is_slow: self.plan.is_slow(index),
            sent: 0,
            is_sent: false,
        });
        Ok(())
    }

    fn handle(&mut self, event: &Event) -> Result<(), Failure> {
        let index = event.token().0;
        let Some(member) = self.members.get(index).filter(|member| member.stream.is_some()) else { return Ok(()) };
        if !member.is_sent {
            self.ask(index, event)?;
        } else if member.is_slow && member.subscriber.is_open() {
            if event.is_error() || event.is_write_closed() {
                self.tally.slow_ended += 1;
                self.close(index);
            }
            return Ok(());
        }
        if event.is_readable() || event.is_error() {
            self.read(index, event.is_read_closed() || event.is_error())?;
        }
        Ok(())
    }

    /// Sends the request, or what is left of it.
    fn ask(&mut self, index: usize, event: &Event) -> Result<(), Failure> {
        let address = self.plan.target.address;
        let request = request(&self.plan, index);
        let member = &mut self.members[index];
        let Some(stream) = &mut member.stream else { return Ok(()) };
        if let Some(error) = stream.take_error().ok().flatten() {
            return Err(unreachable(index, address, &error));
        }
        if !event.is_writable() {
            return Ok(());
        }
        while member.sent < request.len() {
            match stream.write(&request.as_bytes()[member.sent..]) {
                Ok(sent) => member.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unreachable(index, address, &error)),
            }
        }
        member.is_sent = true;
        Ok(())
    }

    /// Reads what there is.
    ///
    /// A read that does not fill the buffer has emptied the socket, as epoll(7) says of streams, so that the read that
    /// would block is saved with each delivery. If the peer has closed, the end is still to be read.
    fn read(&mut self, index: usize, is_closed: bool) -> Result<(), Failure> {
        let member = &mut self.members[index];
        let Some(stream) = &mut member.stream else { return Ok(()) };
        let was_open = member.subscriber.is_open();
        for _ in 0..READS_IN_A_ROW {
            let progress = match stream.read(&mut self.buffer) {
                Ok(0) => Progress::Ended,
                Ok(length) => {
                    let bytes = &self.buffer[..length];
                    // After the read: an event that is measured was published after this was said.
                    self.tally.measure(self.shared.window());
                    let progress = member.subscriber.take(bytes, self.shared.now_ns(), &self.plan, &mut self.tally);
                    if progress == Progress::Same && (length == self.buffer.len() || is_closed) {
                        continue;
                    }
                    progress
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => Progress::Ended,
            };
            return self.follow(index, progress, was_open);
        }
        self.unfinished.push(index);
        Ok(())
    }

    fn follow(&mut self, index: usize, progress: Progress, was_open: bool) -> Result<(), Failure> {
        let member = &mut self.members[index];
        match progress {
            Progress::Same => {}
            Progress::Open => {
                self.answered += 1;
                if !member.is_slow {
                    // The end of a stream that was over at once comes with the same event.
                    self.unfinished.push(index);
                } else if let Some(stream) = &mut member.stream {
                    // From now on it does not read, and is only told when its connection has broken.
                    let reregistered = self.registry.reregister(stream, Token(index), Interest::WRITABLE);
                    reregistered.map_err(|error| unreachable(index, self.plan.target.address, &error))?;
                }
            }
            Progress::Ended if was_open => {
                self.tally.ended += 1;
                self.close(index);
            }
            Progress::Ended => {
                return Err(Failure::unreachable(format!(
                    "subscriber {} of {} was cut off without an event stream: see what the hub logs, raise its limits on \
                     connections and open files, or use fewer --subscribers",
                    index + 1,
                    self.plan.subscribers
                )));
            }
            Progress::Refused(reason) => {
                return Err(Failure::refused(format!(
                    "subscriber {} of {} was answered with {reason}; {}",
                    index + 1,
                    self.plan.subscribers,
                    advice(&reason)
                )));
            }
        }
        Ok(())
    }

    fn close(&mut self, index: usize) {
        let member = &mut self.members[index];
        member.subscriber.end();
        if let Some(mut stream) = member.stream.take() {
            // Closing the socket takes it out of the set anyway.
            let _ = self.registry.deregister(&mut stream);
        }
    }
}

/// Begins to connect.
///
/// Linux looks for a free local port in half of the range first, and one after the other when that is used up: then the
/// last of 19,000 take a millisecond each, which is no figure of the server's. On the loopback there are more source addresses.
fn open(address: SocketAddr, index: usize) -> std::io::Result<TcpStream> {
    #[cfg(target_os = "linux")]
    if let SocketAddr::V4(target) = address
        && target.ip().is_loopback()
        && index >= CONNECTIONS_PER_SOURCE
    {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
        use std::net::{Ipv4Addr, SocketAddrV4};

        let number = u32::try_from(index / CONNECTIONS_PER_SOURCE).unwrap_or_default();
        let source = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        bind(&socket, &SocketAddrV4::new(source, 0))?;
        match connect(&socket, &target) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        return Ok(TcpStream::from_std(socket.into()));
    }
    TcpStream::connect(address)
}

/// What may be done about an answer that is no event stream.
fn advice(reason: &str) -> &'static str {
    match reason.split(' ').next() {
        Some("401" | "403") => "give a --token that lets it subscribe and publish to bench/…",
        Some("429" | "503") => "raise the hub's limits, or use fewer --subscribers",
        _ => "is this the URL of a Fanfare hub?",
    }
}

fn request(plan: &Plan, index: usize) -> String {
    let topic = Plan::topic_name(plan.topic(index));
    let mut request = format!("GET {}/events/{topic} HTTP/1.1\r\n", plan.target.prefix);
    // Not the type alone: a hub answers that, a browser's, with an empty stream where it means 503.
    for (name, value) in
        plan.target.subscribe_headers(index).into_iter().chain([("Accept", "text/event-stream, */*;q=0.1")])
    {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request + "\r\n"
}

fn unreachable(index: usize, address: SocketAddr, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::AddrNotAvailable => {
            "every local port to it is taken: widen net.ipv4.ip_local_port_range, or use fewer --subscribers"
        }
        _ => "see what the hub logs, or use fewer --subscribers",
    };
    Failure::unreachable(format!("subscriber {} can't connect to {address}: {error}; {advice}", index + 1))
}
