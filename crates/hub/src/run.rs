//! The hub as a server: connections, the check of `Host`, the end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use http::header::{CONNECTION, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Hub;
use crate::http::Problem;
use crate::http::subscribe::refuse;
use crate::limits::{ACCEPT_BACK_OFF, CLOSE_TIMEOUT, HEAD_BYTES_MAX, HEAD_TIMEOUT, REFUSED_CONNECTIONS_MAX};
use crate::origin::is_address_or_localhost;

impl Hub {
    /// Serves `listener` until `shutdown` is ready; then ends every stream, spread over the drain time, and returns.
    ///
    /// While it drains, it still answers: 503 to whoever comes. May be called for several listeners of one hub.
    ///
    /// # Errors
    ///
    /// [`RunError::Exposed`] if others than this machine could connect: without keys anyone may publish.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let address = listener.local_addr()?;
        self.may_listen(address)?;
        let mut server = Server::new(self);
        server.accept(&listener, shutdown).await;
        self.drain();
        tracing::info!(%address, "draining");
        let until = Instant::now() + self.shared.settings.drain;
        server
            .accept(&listener, async {
                tokio::select! { () = self.idle() => {}, () = tokio::time::sleep_until(until) => {} }
            })
            .await;
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

    /// Waits until no stream is open.
    async fn idle(&self) {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
        while self.shared.counters.subscribers.get() > 0 {
            looks.tick().await;
        }
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
    router: Router,
    open: Arc<AtomicUsize>,
    connections_max: usize,
    tasks: JoinSet<()>,
    graceful: GracefulShutdown,
    hub: Hub,
}

impl Server {
    fn new(hub: &Hub) -> Self {
        Self {
            router: hub.router().layer(middleware::from_fn(check_host)),
            open: Arc::default(),
            connections_max: hub.shared.settings.connections_max,
            tasks: JoinSet::new(),
            graceful: GracefulShutdown::new(),
            hub: hub.clone(),
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
                        tracing::error!(%error, "can't accept connections; is the limit on open files (ulimit -n) too low?");
                        tokio::time::sleep(ACCEPT_BACK_OFF).await;
                    }
                },
            }
        }
    }

    fn serve(&mut self, stream: TcpStream) {
        let open = Open::new(&self.open, &self.hub);
        let past_limit = (open.number).saturating_sub(self.connections_max);
        if past_limit > REFUSED_CONNECTIONS_MAX {
            return;
        }
        let router = if past_limit > 0 { full(&self.hub) } else { self.router.clone() };
        let watcher = self.graceful.watcher();
        self.tasks.spawn(async move {
            let _open = open;
            if let Err(error) = connection(stream, router, watcher).await {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }

    /// Lets what is being written finish, then cuts what is left: a subscriber who does not read would never end.
    async fn close(mut self) {
        let finished = tokio::time::timeout(CLOSE_TIMEOUT, self.graceful.shutdown()).await;
        if finished.is_err() {
            tracing::info!(connections = self.open.load(Ordering::Relaxed), "cutting connections that did not end");
        }
        self.tasks.shutdown().await;
    }
}

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), ConnectionError> {
    // An event is a small write that must not wait for the acknowledgement of the one before (Nagle).
    stream.set_nodelay(true)?;
    // hyper's deadline for the head starts with its first byte; this is the one for that byte.
    tokio::time::timeout(HEAD_TIMEOUT, stream.readable()).await??;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEAD_BYTES_MAX as u32);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    watcher.watch(connection.into_owned()).await
}

/// Counts a connection while it is open.
struct Open {
    /// How many there are with it.
    number: usize,
    open: Arc<AtomicUsize>,
    hub: Hub,
}

impl Open {
    fn new(open: &Arc<AtomicUsize>, hub: &Hub) -> Self {
        hub.shared.counters.connections.inc();
        Self { number: open.fetch_add(1, Ordering::Relaxed) + 1, open: open.clone(), hub: hub.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.hub.shared.counters.connections.dec();
    }
}

/// What a connection past the limit is told.
fn full(hub: &Hub) -> Router {
    let answer = async |State(hub): State<Hub>, headers: HeaderMap| {
        let problem = Problem::unavailable("the hub has as many connections as it takes: come back later");
        let mut response = refuse(&hub, &headers, &problem);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    };
    Router::new().fallback(answer).with_state(hub.clone())
}

/// Refuses requests for a name that is not this machine's own: a foreign page can make its own name point to
/// 127.0.0.1, and the browser then takes the hub for a part of that page's site (DNS rebinding).
async fn check_host(request: Request<Body>, next: middleware::Next) -> Response {
    let hosts: Vec<_> = request.headers().get_all(HOST).iter().collect();
    let authority = match (request.uri().authority(), hosts.as_slice()) {
        (Some(authority), _) => Some(Ok(authority.clone())),
        (None, []) => None,
        (None, [host]) => Some(Authority::try_from(host.as_bytes())),
        (None, _) => return Problem::bad_request("there are several Host headers").into_response(),
    };
    match authority {
        // HTTP/1.0 has no Host, and no browser speaks it.
        None => next.run(request).await,
        Some(Err(_)) => Problem::bad_request("the Host header is not a host").into_response(),
        Some(Ok(authority)) if is_address_or_localhost(&authority) => next.run(request).await,
        Some(Ok(authority)) => {
            let detail =
                format!("without keys this hub answers to an IP address or localhost, not to {}", authority.host());
            Problem::misdirected(detail).into_response()
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
