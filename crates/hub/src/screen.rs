//! A connection on its way to hyper, which looks at each request first.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::activity::Activity;
use crate::shard::Head;

/// Gives hyper what comes on an HTTP/1.1 connection, except for a plain subscription: it holds that back, so that
/// somebody who needs no buffers can serve it. hyper holds 16 KiB for a connection as long as it is there.
///
/// Only between requests is what comes a head: while none is under way, the last answer is flushed, and none had a
/// body, of which something might still come. What hyper has read ahead it gives back, and then nothing is held back.
#[derive(Debug)]
pub(crate) struct Screen<T> {
    connection: T,
    /// What goes to hyper before anything else.
    read: Bytes,
    held: Vec<u8>,
    activity: Activity,
    is_on: bool,
}

impl<T> Screen<T> {
    /// Of a connection of which `read` was read already, which is for hyper.
    pub(crate) fn new(connection: T, read: Bytes, activity: Activity) -> Self {
        Self { connection, read, held: Vec::new(), activity, is_on: true }
    }

    /// Everything goes to hyper.
    pub(crate) fn off(mut self) -> Self {
        self.is_on = false;
        self
    }

    /// The connection, and the head that was held back.
    pub(crate) fn into_parts(self) -> (T, Vec<u8>) {
        (self.connection, self.held)
    }

    fn pass(&mut self, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = self.read.len().min(into.remaining());
        into.put_slice(&self.read[..length]);
        self.read.advance(length);
        if self.read.is_empty() {
            // The bytes are let go of, not only passed.
            self.read = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Screen<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.read.is_empty() {
            return this.pass(into);
        }
        if !this.is_on || !this.activity.is_between_requests() {
            return Pin::new(&mut this.connection).poll_read(context, into);
        }
        loop {
            let before = into.filled().len();
            ready!(Pin::new(&mut this.connection).poll_read(context, into))?;
            let piece = into.filled().get(before..).unwrap_or_default();
            let has_ended = piece.is_empty();
            if this.held.is_empty() && !piece.starts_with(GET) && !GET.starts_with(piece) {
                return Poll::Ready(Ok(()));
            }
            this.held.extend_from_slice(piece);
            let may_be_whole = Head::may_be_whole(&this.held, piece.len());
            into.set_filled(before);
            let head = if may_be_whole { Head::parse(&this.held) } else { Head::More };
            match head {
                Head::More if !has_ended => {}
                // Nothing but a subscription is a whole `GET`.
                Head::Whole(..) => {
                    // Whoever polls the connection looks for it next.
                    this.activity.hold();
                    return Poll::Pending;
                }
                Head::More | Head::Body(_) | Head::TwoLengths | Head::Other => {
                    this.read = std::mem::take(&mut this.held).into();
                    return this.pass(into);
                }
            }
        }
    }
}

const GET: &[u8] = b"GET /";

impl<T: AsyncWrite + Unpin> AsyncWrite for Screen<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    /// hyper flushes what is below it once it holds nothing back itself.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.connection).poll_flush(context))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}
