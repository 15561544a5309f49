//! Subscribers whose sockets are the channel's own.
//!
//! The herald writes to those who are live: one system call each, of bytes that all share, and no task is woken. Whoever's
//! socket has no room, or is not live yet, is written to by a task of its own until it is live, which then only waits
//! for the peer to leave.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use fanfare_log::Position;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::channel::audience::{Outlet, Seats, Standing};
use crate::channel::delivery::{Next, Place};
use crate::channel::shared::Shared;
use crate::chunked::{self, LAST_CHUNK};
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::limits::SEND_TIMEOUT;
use crate::limits::{HEARD_BYTES_MAX, SEND_BUFFER_BYTES, SLICE_SENDS_MAX};

/// A subscriber's socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// What the herald could not send of the last chunk.
    unsent: Mutex<Bytes>,
    /// Rung when its task is to write.
    bell: Notify,
    task: OnceLock<AbortHandle>,
}

/// Serves a subscriber on a socket whose response has begun.
pub(crate) fn adopt(stream: TcpStream, place: Place) {
    let socket = Arc::new(Socket::new(stream));
    if let Some(seat) = place.shared.seats().table.get_mut(place.number) {
        seat.outlet = Outlet::Socket(Arc::clone(&socket));
    }
    let task = tokio::spawn(serve(Arc::clone(&socket), place));
    // Nobody else sets it.
    let _ = socket.task.set(task.abort_handle());
}

async fn serve(socket: Arc<Socket>, place: Place) {
    let mut heard = 0;
    loop {
        // In a box that is gone while the subscriber is live.
        if !matches!(Box::pin(socket.catch_up(&place)).await, Ok(Caught::Up)) {
            return;
        }
        loop {
            tokio::select! {
                is_there = socket.hear(&mut heard) => if !is_there { return },
                () = socket.bell.notified() => break,
            }
        }
    }
}

/// How catching up ended.
enum Caught {
    Up,
    /// The stream is complete.
    End,
}

impl Socket {
    fn new(stream: TcpStream) -> Self {
        // Not inherited from the listener: its other connections may serve large files to far places. Where an option can't be
        // set, a peer that takes nothing only holds more for longer.
        let socket = SockRef::from(&stream);
        let _ = socket.set_send_buffer_size(SEND_BUFFER_BYTES);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = socket.set_tcp_user_timeout(Some(SEND_TIMEOUT));
        Self { stream, unsent: Mutex::default(), bell: Notify::new(), task: OnceLock::new() }
    }

    async fn catch_up(&self, place: &Place) -> io::Result<Caught> {
        loop {
            let unsent = std::mem::take(&mut *self.unsent.lock().unwrap_or_else(PoisonError::into_inner));
            self.write(&unsent).await?;
            match place.next(Waker::noop()) {
                Next::Events { framed: Some(framed), .. } => self.write(&framed).await?,
                Next::Events { plain, framed: None } => self.write(&chunked::encode(&plain)).await?,
                Next::Nothing => return Ok(Caught::Up),
                Next::End(words) => {
                    self.write(&chunked::encode(&words)).await?;
                    self.write(LAST_CHUNK).await?;
                    return Ok(Caught::End);
                }
            }
        }
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the peer is still there: it has nothing to say.
    async fn hear(&self, heard: &mut usize) -> bool {
        if self.stream.readable().await.is_err() {
            return false;
        }
        let mut room = [0; 64];
        match self.stream.try_read(&mut room) {
            Ok(0) => false,
            Ok(length) => {
                *heard += length;
                *heard <= HEARD_BYTES_MAX
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// Something to write to one who is visited.
struct Visit {
    number: usize,
    socket: Arc<Socket>,
    chunk: Bytes,
    end: Position,
}

/// Writes to everybody who is to be visited.
pub(crate) async fn visit(shared: &Shared) {
    let mut visits = Vec::with_capacity(SLICE_SENDS_MAX);
    let mut sent = Vec::with_capacity(SLICE_SENDS_MAX);
    loop {
        choose(shared, &mut visits);
        if visits.is_empty() {
            return;
        }
        // Without the table in hand: each is a system call.
        sent.extend(visits.iter().map(|visit| visit.socket.stream.try_write(&visit.chunk).unwrap_or(0)));
        note_all(shared, visits.drain(..).zip(sent.drain(..)));
        tokio::task::yield_now().await;
    }
}

fn choose(shared: &Shared, visits: &mut Vec<Visit>) {
    let mut seats = shared.seats();
    let now = shared.clock.milliseconds();
    while visits.len() < SLICE_SENDS_MAX {
        let Some(number) = seats.visits.pop_front() else { return };
        let spread_to = seats.spread_to;
        let Some(seat) = seats.table.get_mut(number) else { continue };
        let (Standing::Visited(from), Outlet::Socket(socket)) = (seat.standing, &seat.outlet) else { continue };
        let socket = Arc::clone(socket);
        if from >= spread_to {
            if now >= seat.leaves_at {
                seat.standing = Standing::Behind(from);
                socket.bell.notify_one();
            } else {
                visits.push(Visit { number, socket, chunk: Bytes::from_static(KEEP_ALIVE_CHUNK), end: from });
            }
            continue;
        }
        let interest = Arc::clone(&seat.interest);
        let chunk = seats.chunk(&shared.log, &interest, from);
        let Some(seat) = seats.table.get_mut(number) else { continue };
        match chunk {
            Ok(chunk) if !chunk.framed.is_empty() => {
                visits.push(Visit { number, socket, chunk: chunk.framed, end: chunk.end });
            }
            Ok(chunk) => stands_at(&mut seats, number, chunk.end),
            // Its own task tells it of the gap.
            Err(_) => {
                seat.standing = Standing::Behind(from);
                socket.bell.notify_one();
            }
        }
    }
}

fn note_all(shared: &Shared, visits: impl Iterator<Item = (Visit, usize)>) {
    let mut seats = shared.seats();
    let now = shared.clock.milliseconds();
    visits.for_each(|(visit, sent)| note(&mut seats, visit, sent, now));
}

fn note(seats: &mut Seats, visit: Visit, sent: usize, now: u64) {
    let Visit { number, socket, chunk, end } = visit;
    let Some(seat) = seats.table.get_mut(number) else { return };
    // The number may be another's by now.
    if !matches!(&seat.outlet, Outlet::Socket(now) if Arc::ptr_eq(now, &socket)) {
        return;
    }
    seat.sent_at = now;
    if sent == chunk.len() {
        stands_at(seats, number, end);
    } else {
        seat.standing = Standing::Behind(end);
        *socket.unsent.lock().unwrap_or_else(PoisonError::into_inner) = chunk.slice(sent..);
        socket.bell.notify_one();
    }
}

/// One who is visited has everything up to `position`.
fn stands_at(seats: &mut Seats, number: usize, position: Position) {
    let is_live = position >= seats.spread_to;
    let Some(seat) = seats.table.get_mut(number) else { return };
    if is_live {
        seat.standing = Standing::Live;
    } else {
        seat.standing = Standing::Visited(position);
        seats.visits.push_back(number);
    }
}

const KEEP_ALIVE_CHUNK: &[u8] = b"2\r\n:\n\r\n";

/// Closes the sockets of those who take nothing.
pub(crate) fn cut(shared: &Shared) {
    for (_, seat) in &shared.seats().table {
        if let Outlet::Socket(socket) = &seat.outlet
            && let Some(task) = socket.task.get()
        {
            task.abort();
        }
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    /// That the kernel then ends the connection is its own matter, and takes a minute.
    #[tokio::test]
    async fn what_a_peer_does_not_take_is_bounded_in_bytes_and_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let connecting = TcpStream::connect(listener.local_addr().expect("it is bound"));
        let (client, accepted) = tokio::join!(connecting, listener.accept());
        let _client = client.expect("it listens");
        let socket = Socket::new(accepted.expect("somebody connects").0);
        let options = SockRef::from(&socket.stream);
        assert_eq!(options.tcp_user_timeout().expect("it can be read"), Some(SEND_TIMEOUT));
        // The kernel takes twice of what it is told, for its own needs, and no more than it is configured to.
        let bytes = options.send_buffer_size().expect("it can be read");
        assert!(bytes <= 2 * SEND_BUFFER_BYTES, "{bytes} bytes");
    }
}
