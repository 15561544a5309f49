//! A connection that no shard keeps: TLS, HTTP/2, and requests that are no subscriptions.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use crate::activity::{Activity, Measured};
use crate::audience::TASK;
use crate::figures::{ConnectionKind, ConnectionRefusal};
use crate::http::ClientAddress;
use crate::limits::{
    FIRST_REQUEST_TIMEOUT, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, HEAD_BYTES_MAX, HTTP2_CONNECTION_WINDOW_BYTES,
    HTTP2_LOCAL_RESETS_MAX, HTTP2_PENDING_RESETS_MAX, HTTP2_PING_INTERVAL, HTTP2_PING_TIMEOUT, HTTP2_SEND_BUFFER_BYTES,
    HTTP2_STREAM_WINDOW_BYTES, HTTP2_STREAMS_MAX, IDLE_TIMEOUT, REFUSED_TIMEOUT, TLS_BUFFER_BYTES,
};
use crate::run::Open;
use crate::screen::Screen;
use crate::shard::{HandOver, Head, Returns};
use crate::{Hub, Tls, secure};

pub(crate) type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

/// What the connections of a listener have in common.
#[derive(Debug)]
pub(crate) struct Edge {
    hub: Hub,
    router: Router,
    full: Router,
    tls: Option<Tls>,
    handshakes: Semaphore,
    returns: Returns,
    closing: watch::Sender<bool>,
}

impl Edge {
    pub(crate) fn new(hub: &Hub, tls: Option<Tls>, returns: Returns) -> Self {
        Self {
            hub: hub.clone(),
            router: hub.server().router(),
            full: hub.full_server().router(),
            tls,
            handshakes: Semaphore::new(HANDSHAKES_MAX),
            returns,
            closing: watch::Sender::new(false),
        }
    }

    /// Lets connections finish what they are at, and take nothing more.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Serves a connection to its end, or until it goes back to a shard.
    pub(crate) async fn serve(&self, connection: HandOver) -> Result<(), ConnectionError> {
        let HandOver { stream, read, open, is_first, is_past_limit } = connection;
        let router = if is_past_limit { self.full.clone() } else { self.router.clone() };
        let client = stream.peer_addr().ok();
        let closing = self.closing.subscribe();
        let stream = TcpStream::from_std(stream)?;
        let counters = &self.hub.shared.counters;
        // Each in a box, so that the task is not as large as the largest of them for ever.
        let Some(tls) = &self.tls else {
            let is_http2 = is_first && Box::pin(is_http2(&stream, &read)).await?;
            let kind = if is_http2 { ConnectionKind::Http2 } else { ConnectionKind::Http1 };
            let _held = counters.general_connection(kind);
            let http = Http { stream, read, open, router, client, is_past_limit, closing };
            if is_http2 {
                return Box::pin(http.http2()).await;
            }
            if let Some(Held { stream, head, open }) = Box::pin(http.http1()).await? {
                let (stream, read) = (stream.into_std()?, head.into());
                self.returns.give(HandOver { stream, read, open, is_first: false, is_past_limit });
            }
            return Ok(());
        };
        let held = counters.general_connection(ConnectionKind::TlsHandshake);
        let handshake = Box::pin(tokio::time::timeout(HANDSHAKE_TIMEOUT, self.handshake(stream, tls))).await;
        drop(held);
        let handshake = handshake.unwrap_or_else(|_| Err("the TLS handshake took too long".into()));
        let stream = handshake.inspect_err(|_| counters.count_refused_connection(ConnectionRefusal::TlsHandshake))?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let kind = if is_http2 { ConnectionKind::TlsHttp2 } else { ConnectionKind::TlsHttp1 };
        let _held = counters.general_connection(kind);
        let http = Http { stream, read, open, router: router.clone(), client, is_past_limit, closing };
        if is_http2 {
            return Box::pin(http.http2()).await;
        }
        let Some(Held { stream, head, open: _open }) = Box::pin(http.http1()).await? else { return Ok(()) };
        let Head::Whole(mut request, _) = Head::parse(&head) else { return Ok(()) };
        name_client(&mut request, client);
        drop(head);
        Ok(Box::pin(secure::serve(&self.hub, router, stream, *request)).await?)
    }

    /// A peer that says nothing takes no place among the handshakes, whose state is what costs memory.
    async fn handshake(&self, mut stream: TcpStream, tls: &Tls) -> Result<Box<TlsStream<TcpStream>>, ConnectionError> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0].is_ascii_uppercase() {
            stream.write_all(PLAIN_HTTP).await?;
            return Err("plain HTTP where TLS is spoken".into());
        }
        let _place = self.handshakes.acquire().await?;
        let mut stream = tls.acceptor().accept(stream).await?;
        stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        Ok(Box::new(stream))
    }
}

/// Whether it is HTTP/2 that is spoken from the start, without TLS.
async fn is_http2(stream: &TcpStream, read: &[u8]) -> Result<bool, ConnectionError> {
    let mut room = [0; PREFACE.len()];
    let length = if read.is_empty() {
        let peeked = tokio::time::timeout(FIRST_REQUEST_TIMEOUT, stream.peek(&mut room)).await;
        peeked.map_err(|_| IDLE)??
    } else {
        0
    };
    Ok(read.starts_with(PREFACE) || room[..length].starts_with(PREFACE))
}

/// What no request begins with: a shard waits for as much.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// For whoever typed `http` in place of `https`. The first byte of TLS is no letter.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 40\r\n\
    connection: close\r\n\r\nThis address speaks TLS: take https://.\n";

/// A connection that speaks HTTP, with what is needed to serve it.
struct Http<T> {
    stream: T,
    read: Bytes,
    open: Open,
    router: Router,
    client: Option<SocketAddr>,
    /// It is one too many, and must not come to a shard.
    is_past_limit: bool,
    closing: watch::Receiver<bool>,
}

impl<T> Http<T> {
    fn idle_timeout(&self) -> Duration {
        if self.is_past_limit { REFUSED_TIMEOUT } else { IDLE_TIMEOUT }
    }
}

/// A connection whose next request is a plain subscription.
struct Held<T> {
    stream: T,
    head: Vec<u8>,
    open: Open,
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Http<T> {
    async fn http2(self) -> Result<(), ConnectionError> {
        let (activity, idle_timeout) = (Activity::default(), self.idle_timeout());
        let service = Requests { router: self.router, client: self.client, activity: activity.clone() };
        let stream = Screen::new(self.stream, self.read, activity.clone()).off();
        let mut connection = pin!(http2_builder().serve_connection(TokioIo::new(stream), service));
        let mut closing = pin!(closed(self.closing));
        let mut idle = pin!(activity.idle(FIRST_REQUEST_TIMEOUT, idle_timeout));
        let mut is_closing = false;
        let _open = self.open;
        loop {
            tokio::select! {
                served = &mut connection => return Ok(served?),
                () = &mut closing, if !is_closing => {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut idle => return Err(IDLE.into()),
            }
        }
    }

    /// Serves requests until the end, or until there is one that somebody else serves better.
    async fn http1(self) -> Result<Option<Held<T>>, ConnectionError> {
        let (activity, idle_timeout) = (Activity::default(), self.idle_timeout());
        let mut stream = Screen::new(self.stream, self.read, activity.clone());
        if self.is_past_limit {
            stream = stream.off();
        }
        loop {
            let service = Requests { router: self.router.clone(), client: self.client, activity: activity.clone() };
            let mut connection = http1_builder().serve_connection(TokioIo::new(stream), service);
            let served = {
                let mut idle = pin!(activity.idle(FIRST_REQUEST_TIMEOUT, idle_timeout));
                let mut closing = pin!(closed(self.closing.clone()));
                let mut is_closing = false;
                std::future::poll_fn(|context| {
                    if !is_closing && closing.as_mut().poll(context).is_ready() {
                        is_closing = true;
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                    match Pin::new(&mut connection).poll(context) {
                        Poll::Ready(served) => Poll::Ready(Some(served.map_err(ConnectionError::from))),
                        Poll::Pending if activity.is_held() => Poll::Ready(None),
                        Poll::Pending => idle.as_mut().poll(context).map(|()| Some(Err(IDLE.into()))),
                    }
                })
                .await
            };
            if let Some(served) = served {
                return served.map(|()| None);
            }
            let parts = connection.into_parts();
            let (connection, held) = parts.io.into_inner().into_parts();
            if parts.read_buf.is_empty() {
                return Ok(Some(Held { stream: connection, head: held, open: self.open }));
            }
            // hyper had the beginning of a request, which makes of what followed something else.
            let read = [&parts.read_buf[..], &held].concat().into();
            activity.let_go();
            stream = Screen::new(connection, read, activity.clone()).off();
        }
    }
}

const IDLE: &str = "no request came in time";

async fn closed(mut closing: watch::Receiver<bool>) {
    if closing.wait_for(|is_closing| *is_closing).await.is_err() {
        std::future::pending().await
    }
}

/// Asks the router, and keeps count. Its futures are in boxes: a task of HTTP/2 would else stay as large as they are for
/// as long as it streams.
struct Requests {
    router: Router,
    client: Option<SocketAddr>,
    activity: Activity,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Measured>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let under_way = self.activity.begin(!request.body().is_end_stream());
        let mut request = request.map(Body::new);
        name_client(&mut request, self.client);
        let answer = self.router.clone().oneshot(request);
        Box::pin(async { Ok(answer.await?.map(|body| Measured::new(body, under_way))) })
    }
}

/// Says on the request where it comes from.
fn name_client(request: &mut Request<Body>, client: Option<SocketAddr>) {
    if let Some(client) = client {
        request.extensions_mut().insert(ClientAddress(client));
    }
}

/// Starts the tasks of HTTP/2, one a stream, and lets each know how it can be ended.
#[derive(Clone)]
struct Tasks;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let task = Arc::new(OnceLock::new());
        let spawned = tokio::spawn(TASK.scope(task.clone(), future));
        let _ = task.set(spawned.abort_handle());
    }
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder
}

fn http2_builder() -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(Tasks);
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(HTTP2_LOCAL_RESETS_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    builder
}
