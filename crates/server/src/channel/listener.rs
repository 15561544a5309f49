//! A listener whose connections a channel can take over.
//!
//! hyper keeps a task, a read buffer and a write buffer for each connection, some 15 KiB, and writes an event by waking the
//! task, polling the body and framing what it gives. A subscriber's connection needs none of that once its response has
//! begun: it is a socket to which the same bytes go as to all others.
//!
//! What hands it over is the connection itself, which sees what hyper writes. When that is exactly the head of a
//! response in chunks and then the first chunk as the channel gave it, nobody stands between the two: no compression, no
//! other body around it. Then the socket is taken away, and hyper finds the connection closed. Anything else stays
//! with hyper, and so do HTTP/2 and whatever is no subscription.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::channel::delivery::Place;
use crate::channel::socket::adopt;
use crate::limits::PREFACE_BYTES_MAX;

/// A listener for [`axum::serve()`], from whose plain HTTP/1.1 connections a [`Channel`](crate::Channel) takes its subscribers.
///
/// ```no_run
/// use fanfare_server::{Channel, Connection, Listener, Subscriber, Subscription};
/// use axum::{Router, extract::State, routing::get};
///
/// async fn events(State(channel): State<Channel>, subscriber: Subscriber) -> Subscription {
///     channel.subscribe(["news"]).to(subscriber)
/// }
///
/// # async fn example() -> std::io::Result<()> {
/// let router = Router::new().route("/events", get(events)).with_state(Channel::new());
/// let listener = Listener::new(tokio::net::TcpListener::bind("127.0.0.1:3000").await?);
/// axum::serve(listener, router.into_make_service_with_connect_info::<Connection>()).await
/// # }
/// ```
///
/// A subscriber that was taken and takes nothing itself, because it has vanished or does not read, is dropped by the kernel after a minute
/// (Linux), if there is anything to send: the channel's keep-alive sees to that. Its socket holds at most 512 KiB.
///
/// Graceful shutdown of the server does not wait for connections that were taken: await
/// [`Channel::shutdown`](crate::Channel::shutdown) before.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
}

impl Listener {
    /// Accepts what `listener` does, with `TCP_NODELAY`.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self { listener }
    }
}

impl axum::serve::Listener for Listener {
    type Io = ConnectionIo;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (ConnectionIo, SocketAddr) {
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        // An event is small and must not wait for an acknowledgement; without the option it is only later.
        let _ = stream.set_nodelay(true);
        let line = Line { stream: Some(stream), offered: Offered::Nothing, written: Vec::new() };
        (ConnectionIo(Connection { line: Arc::new(Mutex::new(line)), peer }), peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that a [`Listener`] accepted, for hyper to read and write. With it the connection ends, unless it was taken.
#[derive(Debug)]
pub struct ConnectionIo(Connection);

impl Drop for ConnectionIo {
    /// Requests hold handles, and whoever keeps one must not keep the socket.
    fn drop(&mut self) {
        self.0.line().stream = None;
    }
}

/// As axum's `ConnectInfo` the handle to a connection that a [`Listener`] accepted.
#[derive(Clone)]
pub struct Connection {
    line: Arc<Mutex<Line>>,
    peer: SocketAddr,
}

struct Line {
    /// `None` once it was taken.
    stream: Option<TcpStream>,
    offered: Offered,
    /// What was written since a body was offered.
    written: Vec<u8>,
}

/// What became of a body that offers to leave hyper.
enum Offered {
    Nothing,
    /// Its response is being made.
    Expected,
    /// It waits for its first chunk to be out.
    Waits {
        place: Place,
        preface: Bytes,
        waker: Waker,
    },
    /// Something stands between it and the socket: it stays.
    Declined(Place),
    Taken,
}

impl Connection {
    /// The other end's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The connection of a request, if it can be taken over.
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        let is_plain = parts.version == Version::HTTP_11
            && parts.method == Method::GET
            && !parts.headers.contains_key(CONTENT_LENGTH)
            && !parts.headers.contains_key(TRANSFER_ENCODING);
        let ConnectInfo(connection) = parts.extensions.get::<ConnectInfo<Self>>().filter(|_| is_plain)?;
        Some(connection.clone())
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, Listener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.io().0.clone()
    }
}

impl Line {
    fn wrote(&mut self, bytes: &[u8]) {
        let is_watched = matches!(self.offered, Offered::Expected | Offered::Waits { .. });
        // Of what is too long nobody can say whether it is a head and one chunk: it stays with hyper.
        if is_watched && self.written.len() <= PREFACE_BYTES_MAX {
            self.written.extend_from_slice(bytes);
        }
    }

    /// Everything that hyper had is written: the moment to take the socket.
    fn flushed(&mut self, context: &Context<'_>) {
        let Offered::Waits { place, preface, waker } = std::mem::replace(&mut self.offered, Offered::Nothing) else {
            return;
        };
        let written = std::mem::take(&mut self.written);
        match self.stream.take() {
            Some(stream) if is_head_and(&written, &preface) => {
                self.offered = Offered::Taken;
                adopt(stream, place);
                // hyper looks at the connection, and finds it closed.
                context.waker().wake_by_ref();
            }
            stream => {
                self.stream = stream;
                self.offered = Offered::Declined(place);
            }
        }
        waker.wake();
    }
}

/// Whether `written` is the head of a response and then exactly that chunk.
fn is_head_and(written: &[u8], chunk: &[u8]) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    // A size with letters is the same in capitals, as hyper writes it.
    let Some(at) = written.len().checked_sub(chunk.len()) else { return false };
    let (head, first) = written.split_at(at);
    let line = chunk.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let is_same =
        first.get(..line).is_some_and(|size| size.eq_ignore_ascii_case(chunk.get(..line).unwrap_or_default()))
            && first.get(line..) == chunk.get(line..);
    let Some(head) = Some(head).filter(|_| is_same) else { return false };
    head.starts_with(b"HTTP/1.1 200 ") && head.windows(END.len()).position(|bytes| bytes == END) == Some(head.len() - 4)
}

/// A body's offer to leave hyper, from the making of its response on.
pub(crate) struct Offer {
    connection: Connection,
}

/// What a body does about its offer.
pub(crate) enum Answer {
    /// It waits to be taken.
    Waits,
    /// It stays, and here is its place.
    Stays(Place),
    /// It is served elsewhere.
    Taken,
}

impl Offer {
    pub(crate) fn new(connection: &Connection) -> Self {
        let mut line = connection.line();
        line.offered = Offered::Expected;
        line.written = Vec::new();
        drop(line);
        Self { connection: connection.clone() }
    }

    /// Asks what became of it. The first to ask brings the place, and the first chunk as it is to be on the wire.
    pub(crate) fn answer(&self, brought: Option<(Place, Bytes)>, context: &Context<'_>) -> Answer {
        let mut line = self.connection.line();
        match (std::mem::replace(&mut line.offered, Offered::Nothing), brought) {
            (_, Some((place, preface))) => {
                line.offered = Offered::Waits { place, preface, waker: context.waker().clone() };
                Answer::Waits
            }
            (Offered::Waits { place, preface, .. }, None) => {
                line.offered = Offered::Waits { place, preface, waker: context.waker().clone() };
                Answer::Waits
            }
            (Offered::Declined(place), None) => Answer::Stays(place),
            (Offered::Taken, None) => {
                line.offered = Offered::Taken;
                Answer::Taken
            }
            (Offered::Nothing | Offered::Expected, None) => Answer::Taken,
        }
    }
}

impl Drop for Offer {
    /// The client has gone before its place was taken.
    fn drop(&mut self) {
        let mut line = self.connection.line();
        if !matches!(line.offered, Offered::Taken) {
            let offered = std::mem::replace(&mut line.offered, Offered::Nothing);
            line.written = Vec::new();
            drop(line);
            drop(offered);
        }
    }
}

impl AsyncRead for ConnectionIo {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.line().stream {
            Some(stream) => Pin::new(stream).poll_read(context, into),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for ConnectionIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut line = self.0.line();
        let Some(stream) = &mut line.stream else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let written = ready!(Pin::new(stream).poll_write(context, bytes))?;
        line.wrote(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut line = self.0.line();
        let Some(stream) = &mut line.stream else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let written = ready!(Pin::new(stream).poll_write_vectored(context, pieces))?;
        let mut rest = written;
        for piece in pieces {
            let length = rest.min(piece.len());
            rest -= length;
            line.wrote(piece.get(..length).unwrap_or_default());
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes what is below it once it holds nothing back itself.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.0.line();
        if let Some(stream) = &mut line.stream {
            ready!(Pin::new(stream).poll_flush(context))?;
            line.flushed(context);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.line().stream {
            Some(stream) => Pin::new(stream).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::is_head_and;

    fn check(written: &str, expected: bool) {
        assert_eq!(is_head_and(written.as_bytes(), b"a\r\n: 3456789\n\r\n"), expected, "{written:?}");
    }

    #[test]
    fn only_a_head_and_the_very_chunk_are_taken_over() {
        let (head, chunk) = ("HTTP/1.1 200 OK\r\na: b\r\n\r\n", "A\r\n: 3456789\n\r\n");
        check(&format!("{head}{chunk}"), true);
        check(&format!("{head}{}", chunk.to_lowercase()), true);
        for between in ["1\r\nx\r\n", "x\r\n\r\n", "x"] {
            check(&format!("{head}{between}{chunk}"), false);
        }
        check(&format!("{head}{chunk}x"), false);
        check(&format!("{head}A\r\n: 345678X\n\r\n"), false);
        check(&format!("HTTP/1.1 404 Not Found\r\n\r\n{chunk}"), false);
        for part in [head, chunk, ""] {
            check(part, false);
        }
    }
}
