//! The hub as a server: connections, from the first to the last.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::{fmt, io};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client_address::ClientAddress;
use crate::connection::Edge;
use crate::figures::ConnectionRefusal;
use crate::limits::{CLOSE_TIMEOUT, HAND_OVERS_MAX, REFUSED_CONNECTIONS_MAX, REFUSED_PER_ADDRESS_MAX};
use crate::quota::{Kind, Row};
use crate::shard::{HandOver, Shards};
use crate::shared::Shared;
use crate::{Hub, Settings, Tls};

impl Hub {
    /// Serves `listener` until `shutdown` is ready; then ends every stream, spread over the drain time, and returns.
    ///
    /// While it drains, it still answers: 503 to whoever comes. May be called for several listeners of one hub; the
    /// first that shuts down stops the hub, for good.
    ///
    /// # Errors
    ///
    /// [`RunError::Exposed`] if others than this machine could connect, and anyone of them may publish.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        self.serve(listener, None, shutdown).await
    }

    /// The same over TLS. One `tls` may serve several listeners.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn run_tls(
        &self,
        listener: TcpListener,
        tls: Tls,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        self.serve(listener, Some(tls), shutdown).await
    }

    async fn serve(
        &self,
        listener: TcpListener,
        tls: Option<Tls>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let address = listener.local_addr()?;
        self.shared.settings.may_listen(address)?;
        let listener = listener.into_std()?;
        let (sender, hand_overs) = mpsc::channel(HAND_OVERS_MAX);
        let shards = Shards::start(self, &listener, tls.is_some(), &sender)?;
        drop((listener, sender));
        let mut server = Server::new(hand_overs, Edge::new(self, tls, shards.returns()));
        let served = async {
            server.serve_until(&shards, shutdown).await?;
            tracing::info!(%address, "draining");
            // What is open at the end of the drain is cut.
            server.serve_until(&shards, self.stop()).await
        };
        tokio::select! {
            served = served => served?,
            () = shards.keep_time() => {}
        }
        shards.finish();
        server.close(shards).await;
        Ok(())
    }
}

impl Settings {
    /// Whether it is safe to listen on `address`: what [`Hub::run`] asks first.
    ///
    /// # Errors
    ///
    /// [`RunError::Exposed`] if others than this machine could connect, and no key says who may publish.
    pub fn may_listen(&self, address: SocketAddr) -> Result<(), RunError> {
        let is_guarded = self.authorization.guards_publishing();
        if is_guarded || address.ip().is_loopback() { Ok(()) } else { Err(RunError::Exposed(address)) }
    }
}

/// A hub that could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It would be open to other machines.
    #[error(
        "refusing to listen on {0} without a publisher key: anyone who can reach it could publish. \
         Set --publisher-key or --publisher-jwks-url, or listen on 127.0.0.1"
    )]
    Exposed(SocketAddr),
    /// The listener does not work.
    #[error("the listener does not work")]
    Listener(#[from] io::Error),
    /// No shard is left to accept connections.
    #[error("no shard is left to accept connections: the log says why")]
    Shards,
}

/// The connections of one listener that its shards handed over.
struct Server {
    hand_overs: mpsc::Receiver<HandOver>,
    edge: Arc<Edge>,
    tasks: JoinSet<()>,
}

impl Server {
    fn new(hand_overs: mpsc::Receiver<HandOver>, edge: Edge) -> Self {
        Self { hand_overs, edge: Arc::new(edge), tasks: JoinSet::new() }
    }

    async fn serve_until(&mut self, shards: &Shards, until: impl Future<Output = ()>) -> Result<(), RunError> {
        let mut until = pin!(until);
        loop {
            tokio::select! {
                biased;
                () = &mut until => return Ok(()),
                Some(_) = self.tasks.join_next() => {}
                connection = self.hand_overs.recv() => {
                    // A shard lives as long as it can hand over, unless it failed; then it has said why.
                    let connection = connection.ok_or(RunError::Shards)?;
                    shards.make_way();
                    self.serve(connection);
                }
            }
        }
    }

    fn serve(&mut self, connection: HandOver) {
        let edge = self.edge.clone();
        self.tasks.spawn(async move {
            if let Err(error) = edge.serve(connection).await {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }

    /// Lets what is being answered finish, then cuts what is left: a subscriber who does not read would never end.
    async fn close(mut self, shards: Shards) {
        self.edge.close();
        let finished = async {
            while self.tasks.join_next().await.is_some() {}
            // Nothing comes any more when the last shard is gone, and with it the listener.
            while self.hand_overs.recv().await.is_some() {}
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, finished).await.is_err() {
            tracing::info!("cutting connections that did not end");
        }
        drop(shards);
        self.tasks.shutdown().await;
        while self.hand_overs.recv().await.is_some() {}
    }
}

/// Counts a connection while it is open, in all and for its client.
pub(crate) struct Open {
    hub: Arc<Shared>,
    row: Option<Row>,
}

/// Why a connection is one too many. Whoever asks on it is told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// The hub has as many as it takes.
    Hub,
    /// The client's address has as many as it may.
    Address,
}

/// A connection that there is no room for, not even to be told so.
#[derive(Debug)]
pub(crate) struct NoRoom;

impl Open {
    /// Counts one, and says if it is one too many, on all listeners.
    pub(crate) fn new(hub: &Arc<Shared>) -> Result<(Self, Option<Excess>), NoRoom> {
        let count = usize::try_from(hub.counters.connections.inc()).unwrap_or(0) + 1;
        let open = Self { hub: hub.clone(), row: None };
        let past_limit = count.saturating_sub(hub.settings.connections_max);
        match past_limit {
            0 => return Ok((open, None)),
            1..=REFUSED_CONNECTIONS_MAX => hub.counters.count_refused_connection(ConnectionRefusal::Full),
            _ => {
                hub.counters.count_refused_connection(ConnectionRefusal::Dropped);
                return Err(NoRoom);
            }
        }
        Ok((open, Some(Excess::Hub)))
    }

    /// Counts it for `peer` too, unless that is a trusted proxy, and says if it is one too many for it.
    pub(crate) fn count_for(&mut self, peer: IpAddr) -> Result<Option<Excess>, NoRoom> {
        let settings = &self.hub.settings;
        let Some(client) = ClientAddress::of_connection(settings, peer) else { return Ok(None) };
        let Some(max) = client.connections_max(settings) else { return Ok(None) };
        let (row, count) = self.hub.quotas.take(client.party(), Kind::Connection);
        self.row = Some(row);
        match count.saturating_sub(max) {
            0 => Ok(None),
            1..=REFUSED_PER_ADDRESS_MAX => {
                self.hub.counters.count_refused_connection(ConnectionRefusal::Address);
                Ok(Some(Excess::Address))
            }
            _ => {
                self.hub.counters.count_refused_connection(ConnectionRefusal::Dropped);
                Err(NoRoom)
            }
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.hub.counters.connections.dec();
        if let Some(row) = self.row {
            self.hub.quotas.release(row, Kind::Connection);
        }
    }
}
