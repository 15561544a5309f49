//! The hub as a server: connections, from the first to the last.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::{Router, middleware};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Hub;
use crate::activity::Activity;
use crate::limits::{
    ACCEPT_BACK_OFF, ACCEPT_ERROR_LOG_INTERVAL, CLOSE_TIMEOUT, FIRST_REQUEST_TIMEOUT, HEAD_BYTES_MAX, IDLE_TIMEOUT,
    REFUSED_CONNECTIONS_MAX, REFUSED_TIMEOUT,
};

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
        self.may_listen(address)?;
        let mut server = Server::new(self);
        server.accept(&listener, shutdown).await;
        tracing::info!(%address, "draining");
        let drained = async {
            // What is open at the end of the drain is cut.
            let _ = tokio::time::timeout(self.shared.settings.drain, self.stop()).await;
        };
        server.accept(&listener, drained).await;
        drop(listener);
        server.close().await;
        Ok(())
    }

    /// Whether it is safe to listen on `address`: what [`run`](Self::run) asks first.
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
}

/// The connections of one listener.
struct Server {
    hub: Hub,
    router: Router,
    full: Router,
    tasks: JoinSet<()>,
    graceful: GracefulShutdown,
    error_logged: Option<Instant>,
}

impl Server {
    fn new(hub: &Hub) -> Self {
        Self {
            hub: hub.clone(),
            router: hub.server(),
            full: hub.full_server(),
            tasks: JoinSet::new(),
            graceful: GracefulShutdown::new(),
            error_logged: None,
        }
    }

    async fn accept(&mut self, listener: &TcpListener, until: impl Future<Output = ()>) {
        let mut until = pin!(until);
        loop {
            tokio::select! {
                biased;
                () = &mut until => return,
                Some(_) = self.tasks.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.serve(stream),
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        self.log_accept_error(&error);
                        tokio::time::sleep(ACCEPT_BACK_OFF).await;
                    }
                },
            }
        }
    }

    fn serve(&mut self, stream: TcpStream) {
        let open = Open::new(&self.hub);
        let past_limit = open.number.saturating_sub(self.hub.shared.settings.connections_max);
        if past_limit > REFUSED_CONNECTIONS_MAX {
            return;
        }
        let (router, idle_timeout) =
            if past_limit > 0 { (&self.full, REFUSED_TIMEOUT) } else { (&self.router, IDLE_TIMEOUT) };
        let (router, watcher) = (router.clone(), self.graceful.watcher());
        self.tasks.spawn(async move {
            let _open = open;
            if let Err(error) = connection(stream, router, idle_timeout, watcher).await {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }

    /// Once a minute: out of files, it comes ten times a second.
    fn log_accept_error(&mut self, error: &io::Error) {
        if self.error_logged.is_none_or(|logged| logged.elapsed() > ACCEPT_ERROR_LOG_INTERVAL) {
            self.error_logged = Some(Instant::now());
            tracing::error!(%error, "can't accept connections; is the limit on open files (ulimit -n) too low?");
        }
    }

    /// Lets what is being written finish, then cuts what is left: a subscriber who does not read would never end.
    async fn close(mut self) {
        if tokio::time::timeout(CLOSE_TIMEOUT, self.graceful.shutdown()).await.is_err() {
            tracing::info!(connections = self.tasks.len(), "cutting connections that did not end");
        }
        self.tasks.shutdown().await;
    }
}

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    router: Router,
    idle_timeout: Duration,
    watcher: Watcher,
) -> Result<(), ConnectionError> {
    // An event is a small write that must not wait for the acknowledgement of the one before (Nagle).
    stream.set_nodelay(true)?;
    let activity = Activity::default();
    let router = router.layer(middleware::from_fn_with_state(activity.clone(), Activity::measure));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEAD_BYTES_MAX as u32);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::select! {
        served = watcher.watch(connection.into_owned()) => served,
        () = activity.idle(FIRST_REQUEST_TIMEOUT, idle_timeout) => Err("no request came in time".into()),
    }
}

/// Counts a connection while it is open.
struct Open {
    /// How many there are with it, on all listeners.
    number: usize,
    hub: Hub,
}

impl Open {
    fn new(hub: &Hub) -> Self {
        let before = hub.shared.counters.connections.inc();
        Self { number: usize::try_from(before).unwrap_or(0) + 1, hub: hub.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.hub.shared.counters.connections.dec();
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
