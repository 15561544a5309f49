//! The loop of a shard: sockets, events, time.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, StatusCode};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use crate::Hub;
use crate::figures::Refusal;
use crate::http::{Accepted, Declined, TakesOver};
use crate::limits::{
    ACCEPT_ERROR_LOG_INTERVAL, FIRST_REQUEST_TIMEOUT, HEAD_BYTES_MAX, HEARD_BYTES_MAX, READY_EVENTS_MAX,
    REFUSED_CONNECTIONS_MAX, SLICE_ACCEPTS_MAX, SLICE_SENDS_MAX,
};
use crate::run::Open;
use crate::shard::arrivals::{Arrival, Arrivals, Progress};
use crate::shard::bell::Bell;
use crate::shard::fanout::{Ending, Fanout, ticks};
use crate::shard::hand_over::{self, HandOver};
use crate::shard::head::Head;
use crate::shard::remote::Remote;
use crate::shard::response;
use crate::shared::Phase;

/// A shard, before and while it runs.
pub(super) struct Driver {
    hub: Hub,
    router: Router,
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
    arrivals: Arrivals,
    hand_overs: hand_over::Sender,
    fanout: Fanout<TcpStream>,
    tick: Duration,
    room: Box<[u8]>,
}

const BELL: Token = Token(0);
const LISTENER: Token = Token(1);

fn arrival_token(number: u32) -> Token {
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
        let mut listener = mio::net::TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut phase = hub.shared.phase.subscribe();
        phase.mark_changed();
        Ok(Self {
            hub: hub.clone(),
            router: hub.server(),
            poll,
            remote,
            phase,
            listener,
            is_tls,
            is_accepting: true,
            rests_at: None,
            error_logged_at: None,
            arrivals: Arrivals::new(),
            hand_overs: hand_over::Sender::new(hand_overs),
            fanout: Fanout::new(hub.shared.clone(), tick, hub.shared.seed()),
            tick,
            room: vec![0; HEAD_BYTES_MAX].into(),
        })
    }

    pub(super) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(READY_EVENTS_MAX);
        let mut has_news = true;
        let mut may_accept = true;
        while !self.remote.is_stopped() {
            let is_busy = has_news || may_accept || !self.fanout.is_idle();
            let wait = if is_busy || !self.remote.bell.may_sleep() { Some(Duration::ZERO) } else { None };
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != ErrorKind::Interrupted
            {
                return Err(error);
            }
            let was_rung = self.remote.bell.was_rung();
            events.iter().for_each(|event| self.ready(event));
            if was_rung {
                self.look_at_phase();
                for HandOver { stream, read, open, .. } in self.remote.returned() {
                    let arrival = Arrival::new(TcpStream::from_std(stream), open);
                    self.asked(arrival, Head::parse(&read), read, false);
                }
            }
            has_news = (has_news || was_rung) && self.fanout.follow();
            let time = if was_rung { self.remote.new_time() } else { None };
            if let Some(now) = time {
                self.advance(now);
            }
            may_accept = self.has_way() && self.is_accepting && self.rests_at.is_none() && self.accept();
            self.fanout.slice(SLICE_SENDS_MAX);
            if let Some(now) = time {
                self.remote.has_seen(now);
            }
        }
        self.fanout.cut();
        Ok(())
    }

    fn ready(&mut self, event: &Event) {
        let Token(token) = event.token();
        match event.token() {
            BELL => {}
            LISTENER => self.is_accepting = true,
            _ => {
                let number = (token >> 1) as u32 - 1;
                if token & 1 == 0 {
                    if let Some((arrival, head, bytes)) = self.arrivals.read(number, &mut self.room) {
                        self.asked(arrival, head, bytes, true);
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
        self.arrivals.advance(now);
        let Fanout { wheel, due, .. } = &mut self.fanout;
        wheel.advance(now, due);
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
                Ok((stream, _)) => self.arrive(stream),
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
        if self.error_logged_at.is_none_or(|at| now - at >= ticks(ACCEPT_ERROR_LOG_INTERVAL, self.tick)) {
            self.error_logged_at = Some(now);
            tracing::error!(
                %error,
                "can't accept connections; if it is out of files, raise the limit (ulimit -n, LimitNOFILE) or lower --max-connections"
            );
        }
    }

    fn arrive(&mut self, stream: TcpStream) {
        let (open, number) = Open::new(&self.hub.shared);
        let past_limit = number.saturating_sub(self.hub.shared.settings.connections_max);
        if past_limit > REFUSED_CONNECTIONS_MAX {
            return;
        }
        if past_limit > 0 || self.is_tls {
            let (stream, is_past_limit) = (stream.into(), past_limit > 0);
            return self.hand_overs.send(HandOver { stream, read: Bytes::new(), open, is_past_limit });
        }
        let mut arrival = Arrival::new(stream, open);
        match arrival.read(&mut self.room) {
            Progress::Gone => {}
            Progress::Asked(head, bytes) => self.asked(arrival, *head, bytes, false),
            Progress::Waits => {
                let registry = self.poll.registry();
                self.arrivals.keep(arrival, ticks(FIRST_REQUEST_TIMEOUT, self.tick), |number, stream| {
                    registry.register(stream, arrival_token(number), Interest::READABLE)
                });
            }
        }
    }

    /// Answers the first request of a connection, or has hyper answer it.
    fn asked(&mut self, arrival: Arrival, head: Head, read: Bytes, is_registered: bool) {
        let Arrival { mut stream, open, .. } = arrival;
        match head {
            Head::Subscription(request) => match self.answer(*request) {
                Some(response) => self.answered(stream, open, response, is_registered),
                None => self.hand_over(stream, open, read, is_registered),
            },
            Head::TwoLengths => {
                let refusal = Refusal { status: StatusCode::BAD_REQUEST.as_u16() };
                self.hub.shared.counters.refused.get_or_create(&refusal).inc();
                refuse(&mut stream, BAD_REQUEST);
            }
            Head::Other | Head::More => self.hand_over(stream, open, read, is_registered),
        }
    }

    fn hand_over(&mut self, mut stream: TcpStream, open: Open, read: Bytes, is_registered: bool) {
        if is_registered && let Err(error) = self.poll.registry().deregister(&mut stream) {
            return tracing::debug!(%error, "a connection can't be handed over");
        }
        self.hand_overs.send(HandOver { stream: stream.into(), read, open, is_past_limit: false });
    }

    /// Asks the router, as hyper would. `None` if the answer is not there at once.
    fn answer(&self, mut request: Request<Body>) -> Option<Response> {
        request.extensions_mut().insert(TakesOver::Events);
        let Ok(response) = self.router.clone().oneshot(request).now_or_never()?;
        response.extensions().get::<Declined>().is_none().then_some(response)
    }

    fn answered(&mut self, mut stream: TcpStream, open: Open, mut response: Response, is_registered: bool) {
        let now = self.hub.shared.clock.now();
        let Some(accepted) = response.extensions_mut().remove::<Accepted>() else {
            if let Some(bytes) = response::whole(response, now) {
                refuse(&mut stream, &bytes);
            }
            return;
        };
        let head = response::stream_head(response.status(), response.headers(), now);
        let Some(number) = self.fanout.subscribe(stream, open, &head, accepted) else { return };
        let Some(one) = self.fanout.subscribers.get_mut(number as usize) else { return };
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
            self.fanout.close(number, Ending::Reset);
        }
    }

    /// A subscriber has nothing to say. What it says is dropped, and its end is noticed.
    fn hear(&mut self, number: u32) {
        let Some(one) = self.fanout.subscribers.get_mut(number as usize) else { return };
        loop {
            match one.socket.read(&mut self.room) {
                Ok(0) => break,
                Ok(length) => {
                    one.heard = one.heard.saturating_add(length as u32);
                    if one.heard > HEARD_BYTES_MAX {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.fanout.close(number, Ending::Reset);
    }
}

/// A complete answer, after which the connection is closed. A new socket has room for it.
fn refuse(stream: &mut TcpStream, answer: &[u8]) {
    let _ = stream.write(answer);
    let _ = stream.shutdown(Shutdown::Write);
}

const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
