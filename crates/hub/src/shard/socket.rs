//! What a shard needs of a socket, so that a test can put a scripted one in its place.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::Duration;

use mio::net::TcpStream;

/// The sending side of a connection. Nothing here waits.
pub(super) trait Socket {
    /// Sends some of `bytes`, and says how many: 0 if there is no room now.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// The same for the bytes of several pieces, one after the other.
    fn send_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Has the connection end with a reset when it is dropped: what is unsent is thrown away at once, where an orderly
    /// end would wait in the kernel behind bytes that nobody reads.
    fn reset(&mut self);
}

impl Socket for TcpStream {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sent(self.write(bytes))
    }

    fn send_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        sent(self.write_vectored(pieces))
    }

    fn reset(&mut self) {
        // If it can't be, the end is an orderly one, and TCP_USER_TIMEOUT bounds it.
        let _ = socket2::SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}

fn sent(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        result => result,
    }
}
