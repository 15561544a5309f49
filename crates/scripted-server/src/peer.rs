//! One connection, seen from the server.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Request;
use crate::response::{LAST_CHUNK, chunk};

/// A connection whose request was read, and which says nothing by itself. Dropping it closes it.
///
/// Sending waits while the client does not read, as TCP does. It fails once the client has closed the connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    request: Request,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream, request: Request) -> io::Result<Self> {
        // Every piece that a test sends is to leave at once.
        stream.set_nodelay(true)?;
        Ok(Self { stream, request })
    }

    /// What was asked for.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Sends exactly these bytes.
    ///
    /// # Errors
    ///
    /// If the client has closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Sends `bytes` as one chunk, after a head with `Transfer-Encoding: chunked`. An empty chunk would be the end,
    /// and is not sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.send(chunk(bytes.as_ref())).await
    }

    /// Sends the end of a body in chunks. The connection stays open.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn last_chunk(&mut self) -> io::Result<()> {
        self.send(LAST_CHUNK).await
    }

    /// Says nothing for a while, by tokio's clock.
    pub async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Closes the connection as one does that has said everything.
    ///
    /// # Errors
    ///
    /// If the client has reset it.
    pub async fn end(mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Breaks the connection off with a reset. What was sent may be lost on the way.
    ///
    /// # Errors
    ///
    /// If the system refuses to.
    pub fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    /// Waits until the client has closed the connection or reset it. What it sends until then is thrown away.
    pub async fn closed(&mut self) {
        let mut rest = [0; 64];
        while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
    }

    /// The socket, for what this type can't do.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}
