//! The hub as a server: connections, from the first to the last.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use axum::{Router, middleware};
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::activity::Activity;
use crate::limits::{
    CLOSE_TIMEOUT, FIRST_REQUEST_TIMEOUT, HAND_OVERS_MAX, HEAD_BYTES_MAX, IDLE_TIMEOUT, REFUSED_TIMEOUT,
};
use crate::rewound::Rewound;
use crate::shard::{HandOver, Shards};
use crate::shared::Shared;
use crate::{Hub, Settings};

impl Hub {
    /// Serves `listener` until `shutdown` is ready; then ends every stream, spread over the drain time, and returns.
    ///
    /// While it drains, it still answers: 503 to whoever comes. May be called for several listeners of one hub; the
    /// first that shuts down stops the hub, for good.
    ///
    /// # Errors
    ///
    /// [`RunError::Exposed`] if others than this machine could connect: without keys anyone may publish.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let address = listener.local_addr()?;
        self.shared.settings.may_listen(address)?;
        let listener = listener.into_std()?;
        let (sender, hand_overs) = mpsc::channel(HAND_OVERS_MAX);
        let shards = Shards::start(self, &listener, &sender)?;
        drop((listener, sender));
        let mut server = Server::new(self, hand_overs);
        let served = async {
            server.serve_until(&shards, shutdown).await?;
            tracing::info!(%address, "draining");
            let drained = async {
                // What is open at the end of the drain is cut.
                let _ = tokio::time::timeout(self.shared.settings.drain, self.stop()).await;
            };
            server.serve_until(&shards, drained).await
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
    /// [`RunError::Exposed`] if others than this machine could connect.
    pub fn may_listen(&self, address: SocketAddr) -> Result<(), RunError> {
        if address.ip().is_loopback() { Ok(()) } else { Err(RunError::Exposed(address)) }
    }
}

/// A hub that could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It would be open to other machines.
    #[error(
        "refusing to listen on {0} without a publisher key: anyone who can reach it could publish. \
         Listen on 127.0.0.1, or put a proxy that checks who publishes in front"
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
    router: Router,
    full: Router,
    tasks: JoinSet<()>,
    graceful: GracefulShutdown,
}

impl Server {
    fn new(hub: &Hub, hand_overs: mpsc::Receiver<HandOver>) -> Self {
        Self {
            hand_overs,
            router: hub.server().router(),
            full: hub.full_server().router(),
            tasks: JoinSet::new(),
            graceful: GracefulShutdown::new(),
        }
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

    fn serve(&mut self, HandOver { stream, read, open, is_first, is_past_limit }: HandOver) {
        let (router, idle_timeout) =
            if is_past_limit { (&self.full, REFUSED_TIMEOUT) } else { (&self.router, IDLE_TIMEOUT) };
        let (router, watcher) = (router.clone(), self.graceful.watcher());
        self.tasks.spawn(async move {
            let _open = open;
            if let Err(error) = connection(stream, read, is_first, router, idle_timeout, watcher).await {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }

    /// Lets what is being answered finish, then cuts what is left: a subscriber who does not read would never end.
    async fn close(mut self, shards: Shards) {
        let finished = async {
            self.graceful.shutdown().await;
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

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: std::net::TcpStream,
    read: Bytes,
    is_first: bool,
    router: Router,
    idle_timeout: Duration,
    watcher: Watcher,
) -> Result<(), ConnectionError> {
    let stream = Rewound::new(read, TcpStream::from_std(stream)?);
    let activity = Activity::default();
    let router = router.layer(middleware::from_fn_with_state(activity.clone(), Activity::measure));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEAD_BYTES_MAX as u32);
    if !is_first {
        builder = builder.http1_only();
    }
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::select! {
        served = watcher.watch(connection.into_owned()) => served,
        () = activity.idle(FIRST_REQUEST_TIMEOUT, idle_timeout) => Err("no request came in time".into()),
    }
}

/// Counts a connection while it is open.
pub(crate) struct Open(Arc<Shared>);

impl Open {
    /// Counts one, and says how many there are with it, on all listeners.
    pub(crate) fn new(hub: &Arc<Shared>) -> (Self, usize) {
        let before = hub.counters.connections.inc();
        (Self(hub.clone()), usize::try_from(before).unwrap_or(0) + 1)
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters.connections.dec();
    }
}
