//! Where clients connect.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::{Peer, Playback, Request, Script};

/// Listens on a free port of the loopback. Connections are taken one by one, by the test or by a [`Playback`].
#[derive(Debug)]
pub struct ScriptedServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl ScriptedServer {
    /// Listens, so that a client may connect from now on.
    ///
    /// # Errors
    ///
    /// If the system has no port to give.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a path, which begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Takes the next connection, and reads its request.
    ///
    /// # Cancel safety
    ///
    /// A connection is lost, and closed, if this is dropped while its request is read.
    ///
    /// # Errors
    ///
    /// If what comes is no HTTP/1.1 request, or one beyond the bounds: 64 KiB of head in UTF-8, 1 MiB of body with a
    /// `Content-Length`.
    pub async fn accept(&self) -> io::Result<Peer> {
        let (mut stream, _) = self.listener.accept().await?;
        let request = Request::read(&mut stream).await?;
        Peer::new(stream, request)
    }

    /// Plays a script for each request, in the order in which the requests are whole, on connections that may
    /// overlap. They may go on for ever, as with [`std::iter::repeat`]. After the last one a request is answered with
    /// 204, by which a server of events tells its clients to stop.
    #[must_use = "dropping it stops the server"]
    pub fn play<S>(self, scripts: S) -> Playback
    where
        S: IntoIterator<Item = Script>,
        S::IntoIter: Send + 'static,
    {
        Playback::start(self.listener, self.address, scripts.into_iter())
    }
}
