//! The loop of a shard: sockets, events, time.

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::Hub;
use crate::figures::{ConnectionRefusal, StreamEnd};
use crate::http::{Accepted, Server};
use crate::limits::{
    ACCEPT_ERROR_LOG_INTERVAL, ANSWERS_BYTES_MAX, BODY_PATIENCE, FIRST_REQUEST_TIMEOUT, HEAD_BYTES_MAX,
    HEARD_BYTES_MAX, IDLE_TIMEOUT, READY_EVENTS_MAX, REQUEST_BYTES_MAX, SLICE_ACCEPTS_MAX, SLICE_REQUESTS_MAX,
    SLICE_SENDS_MAX,
};
use crate::run::{NoRoom, Open};
use crate::shard::bell::Bell;
use crate::shard::connection::{Connection, Desk, Ticks, Turn};
use crate::shard::connections::Connections;
use crate::shard::fanout::{Fanout, ticks};
use crate::shard::hand_over::{self, HandOver, Stage};
use crate::shard::remote::Remote;
use crate::shard::response::{self, Date};
use crate::shared::Phase;

/// A shard, before and while it runs.
pub(super) struct Driver {
    hub: Hub,
    server: Server,
    poll: Poll,
    remote: Arc<Remote>,
    phase: watch::Receiver<Phase>,
    listener: mio::net::TcpListener,
    /// What comes is not for a shard to read.
    is_tls: bool,
    /// There may be connections to accept.
    is_accepting: bool,
    /// Accepting failed at this tick, and rests until the next: out of files it would fail again at once.
    rests_at: Option<u32>,
    error_logged_at: Option<u32>,
    connections: Connections,
    hand_overs: hand_over::Sender,
    fanout: Fanout<TcpStream>,
    tick: Duration,
    /// What a connection is lent while it is its turn.
    room: Box<[u8]>,
    input: Vec<u8>,
    output: Vec<u8>,
    date: Date,
    runtime: Handle,
}

const BELL: Token = Token(0);
const LISTENER: Token = Token(1);

fn connection_token(number: u32) -> Token {
    Token((number as usize + 1) << 1)
}

fn subscriber_token(number: u32) -> Token {
    Token((number as usize + 1) << 1 | 1)
}

impl Driver {
    pub(super) fn new(
        hub: &Hub,
        listener: TcpListener,
        is_tls: bool,
        hand_overs: mpsc::Sender<HandOver>,
        tick: Duration,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let remote = Arc::new(Remote::new(Arc::new(Bell::new(&poll, BELL)?)));
        let mut fanout = Fanout::new(hub.shared.clone(), tick, hub.shared.seed());
        fanout.advance = remote.bell.advance.clone();
        let mut listener = mio::net::TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut phase = hub.shared.phase.subscribe();
        phase.mark_changed();
        Ok(Self {
            hub: hub.clone(),
            server: hub.server(),
            poll,
            remote,
            phase,
            listener,
            is_tls,
            is_accepting: true,
            rests_at: None,
            error_logged_at: None,
            connections: Connections::default(),
            hand_overs: hand_over::Sender::new(hand_overs),
            fanout,
            tick,
            room: vec![0; HEAD_BYTES_MAX].into(),
            input: Vec::new(),
            output: Vec::new(),
            date: Date::default(),
            runtime: Handle::current(),
        })
    }

    pub(super) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        // What answers a request may start a task or a timer.
        let runtime = self.runtime.clone();
        let _entered = runtime.enter();
        let mut events = Events::with_capacity(READY_EVENTS_MAX);
        let mut has_news = true;
        let mut may_accept = true;
        while !self.remote.is_stopped() && !self.is_finished() {
            let is_busy = has_news || may_accept || self.connections.queued() > 0 || !self.fanout.is_idle();
            let wait = if is_busy || !self.remote.bell.may_sleep() { Some(Duration::ZERO) } else { None };
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != ErrorKind::Interrupted
            {
                return Err(error);
            }
            let mut was_rung = self.remote.bell.was_rung();
            events.iter().for_each(|event| self.ready(event));
            if was_rung {
                self.wake_up();
            }
            self.answer_requests();
            // What the shard publishes itself rings without a system call, because it is awake. Whoever else rang in the
            // meantime is heard here too, so all that a ring may mean comes after this.
            if self.remote.bell.was_rung() {
                was_rung = true;
                self.wake_up();
            }
            if was_rung {
                self.look_at_phase();
                self.remote.take_revoked().into_iter().for_each(|number| self.fanout.revoke(number));
                for HandOver { stream, read, open, peer, stage, .. } in self.remote.returned() {
                    self.welcome(Connection::new(TcpStream::from_std(stream), open, peer, read, stage));
                }
            }
            let time = if was_rung { self.remote.new_time() } else { None };
            if let Some(now) = time {
                self.advance(now);
            }
            has_news = (has_news || was_rung) && self.fanout.follow();
            may_accept = self.has_way() && self.is_accepting && self.rests_at.is_none() && self.accept();
            self.fanout.slice(SLICE_SENDS_MAX);
            if let Some(now) = time {
                self.remote.has_seen(now);
            }
        }
        self.fanout.cut();
        Ok(())
    }

    /// Whether it was told to finish, and has.
    fn is_finished(&self) -> bool {
        self.remote.is_finishing() && !self.connections.are_under_way()
    }

    fn ready(&mut self, event: &Event) {
        let Token(token) = event.token();
        match event.token() {
            BELL => {}
            LISTENER => self.is_accepting = true,
            _ => {
                let number = (token >> 1) as u32 - 1;
                if token & 1 == 0 {
                    if let Some(connection) = self.connections.get_mut(number) {
                        connection.is_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                        connection.is_read_closed |= event.is_read_closed();
                        self.connections.enqueue(number);
                    }
                    return;
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.hear(number);
                }
                if event.is_writable() {
                    self.fanout.writable(number);
                }
            }
        }
    }

    /// Has those go on whose answer can be made now.
    fn wake_up(&mut self) {
        for number in self.remote.take_woken() {
            if let Some(connection) = self.connections.get_mut(number) {
                connection.is_woken = true;
                self.connections.enqueue(number);
            }
        }
    }

    /// Answers a few requests of those for whom something has happened, each in its turn.
    fn answer_requests(&mut self) {
        let mut requests = SLICE_REQUESTS_MAX;
        // Once for each: whoever has more to ask comes again after the others.
        for _ in 0..self.connections.queued() {
            if requests == 0 {
                return;
            }
            if let Some(number) = self.connections.next() {
                self.serve(number, &mut requests);
            }
        }
    }

    fn look_at_phase(&mut self) {
        if self.phase.has_changed().unwrap_or(false)
            && let Phase::Draining { window, .. } = *self.phase.borrow_and_update()
        {
            // The last tick is kept for what is late.
            self.fanout.drain(ticks(window, self.tick).saturating_sub(2));
        }
    }

    fn advance(&mut self, now: u32) {
        self.rests_at = self.rests_at.filter(|rests_at| *rests_at >= now);
        let Fanout { wheel, due, .. } = &mut self.fanout;
        wheel.advance(now, due);
        for number in self.connections.late(now) {
            if let Some(mut connection) = self.connections.remove(number)
                && let Some(read) = connection.give_up()
            {
                self.hand_over(connection, read);
            }
        }
    }

    /// Whether hyper takes what is handed over. While it does not, nothing more is accepted.
    fn has_way(&mut self) -> bool {
        if self.hand_overs.flush() {
            return true;
        }
        self.remote.has_waiting.store(true, Ordering::Release);
        // Room that came in between rings no bell.
        self.hand_overs.flush()
    }

    /// Accepts a few connections. Returns whether there may be more.
    fn accept(&mut self) -> bool {
        for _ in 0..SLICE_ACCEPTS_MAX {
            match self.listener.accept() {
                // One for which there is no room at all is closed unheard.
                Ok((stream, peer)) => drop(self.arrive(stream, peer.ip().to_canonical())),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        self.is_accepting = false;
                        return false;
                    }
                    // The fault of one connection.
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset => {}
                    _ => {
                        self.rest(&error);
                        return false;
                    }
                },
            }
        }
        true
    }

    /// Says why, once a minute: out of files, it comes with each tick.
    fn rest(&mut self, error: &io::Error) {
        let now = self.fanout.wheel.now();
        self.rests_at = Some(now);
        self.hub.shared.counters.count_refused_connection(ConnectionRefusal::Accept);
        if self.error_logged_at.is_none_or(|at| now - at >= ticks(ACCEPT_ERROR_LOG_INTERVAL, self.tick)) {
            self.error_logged_at = Some(now);
            tracing::error!(
                %error,
                "can't accept connections; if it is out of files, raise the limit (ulimit -n, LimitNOFILE) or lower --max-connections"
            );
        }
    }

    fn arrive(&mut self, stream: TcpStream, peer: IpAddr) -> Result<(), NoRoom> {
        let (mut open, hub_excess) = Open::new(&self.hub.shared)?;
        let excess = hub_excess.or(open.count_for(peer)?);
        // Only for whom a trusted proxy asks, if it says so, tells who is at the other end.
        if excess.is_some() || self.is_tls || self.hub.shared.settings.trusts(peer) {
            let (stream, read, stage) = (stream.into(), Bytes::new(), Stage::Accepted);
            self.hand_overs.send(HandOver { stream, read, open, peer, stage, excess });
        } else {
            self.welcome(Connection::new(stream, open, peer, Bytes::new(), Stage::First));
        }
        Ok(())
    }

    fn welcome(&mut self, mut connection: Connection) {
        let patience = if connection.has_asked { IDLE_TIMEOUT } else { FIRST_REQUEST_TIMEOUT };
        connection.deadline = self.fanout.wheel.now() + ticks(patience, self.tick) + 1;
        let number = self.connections.insert(connection);
        // Nearly always the request is there already.
        self.serve(number, &mut 1);
    }

    /// Has a connection take its turn.
    fn serve(&mut self, number: u32, requests: &mut usize) {
        self.date.set(self.hub.shared.clock.now());
        let remote = &self.remote;
        let mut desk = Desk {
            server: &self.server,
            date: &self.date,
            room: &mut self.room,
            input: &mut self.input,
            output: &mut self.output,
            requests,
            ticks: Ticks {
                now: self.fanout.wheel.now(),
                idle: ticks(IDLE_TIMEOUT, self.tick) + 1,
                body: ticks(BODY_PATIENCE, self.tick) + 1,
            },
        };
        let Some(connection) = self.connections.get_mut(number) else { return };
        match connection.turn(&mut desk, || remote.waker(number)) {
            Turn::Waits => self.watch(number),
            Turn::Again => {
                self.watch(number);
                self.connections.enqueue(number);
            }
            Turn::Gone => drop(self.connections.remove(number)),
            Turn::HandOver => {
                if let Some(connection) = self.connections.remove(number) {
                    self.hand_over(connection, Bytes::copy_from_slice(&self.input));
                }
            }
            Turn::Subscribes(accepted) => {
                if let Some(connection) = self.connections.remove(number) {
                    let (parts, accepted) = *accepted;
                    self.subscribe(connection, &parts, accepted);
                }
            }
        }
        if self.input.capacity() > REQUEST_BYTES_MAX * 2 {
            self.input = Vec::new();
        }
        if self.output.capacity() > ANSWERS_BYTES_MAX * 4 {
            self.output = Vec::new();
        }
    }

    /// Has epoll tell of a connection, once for all.
    fn watch(&mut self, number: u32) {
        let Some(connection) = self.connections.get_mut(number).filter(|one| !one.is_registered) else { return };
        connection.is_registered = true;
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut connection.stream, connection_token(number), interest) {
            tracing::debug!(%error, "a connection can't be watched");
            self.connections.remove(number);
        }
    }

    fn hand_over(&mut self, connection: Connection, read: Bytes) {
        let Connection { mut stream, open, peer, is_registered, has_asked, .. } = connection;
        if is_registered && let Err(error) = self.poll.registry().deregister(&mut stream) {
            return tracing::debug!(%error, "a connection can't be handed over");
        }
        let stage = if has_asked { Stage::Later } else { Stage::First };
        self.hand_overs.send(HandOver { stream: stream.into(), read, open, peer, stage, excess: None });
    }

    /// Makes a subscriber of a connection, and sends it what is in the output, and the head of its stream.
    fn subscribe(&mut self, connection: Connection, parts: &Parts, accepted: Accepted) {
        let Connection { stream, open, is_registered, .. } = connection;
        response::stream_head(parts, &self.date, &mut self.output);
        let revocation = accepted.subscription.revocation().cloned();
        let Some(number) = self.fanout.subscribe(stream, open, &self.output, accepted) else { return };
        self.fanout.name(number, &parts.headers);
        let Some(one) = self.fanout.subscribers.get_mut(number as usize) else { return };
        one.lease = revocation.map(|revocation| Box::new(revocation.watch(self.remote.revoker(number))));
        // Edge-triggered, and once for all: room in the socket is only told of to those whose send found none.
        let (token, interest) = (subscriber_token(number), Interest::READABLE | Interest::WRITABLE);
        let registry = self.poll.registry();
        let registered = if is_registered {
            registry.reregister(&mut one.socket, token, interest)
        } else {
            registry.register(&mut one.socket, token, interest)
        };
        if let Err(error) = registered {
            tracing::error!(%error, "a subscriber can't be watched");
            self.fanout.close(number, StreamEnd::Failed);
        }
    }

    /// A subscriber has nothing to say. What it says is dropped, and its end is noticed.
    fn hear(&mut self, number: u32) {
        let Some(one) = self.fanout.subscribers.get_mut(number as usize) else { return };
        let end = loop {
            match one.socket.read(&mut self.room) {
                Ok(0) => break StreamEnd::Client,
                Ok(length) => {
                    one.heard = one.heard.saturating_add(length as u32);
                    if one.heard > HEARD_BYTES_MAX {
                        break StreamEnd::CutOff;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break StreamEnd::of_socket(&error),
            }
        };
        self.fanout.close(number, end);
    }
}
