//! A connection that no shard keeps: TLS, HTTP/2, and requests that are no subscriptions.

use std::time::Duration;

use axum::{Router, middleware};
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;

use crate::Tls;
use crate::activity::Activity;
use crate::limits::{
    FIRST_REQUEST_TIMEOUT, HANDSHAKE_TIMEOUT, HANDSHAKES_MAX, HEAD_BYTES_MAX, HTTP2_CONNECTION_WINDOW_BYTES,
    HTTP2_LOCAL_RESETS_MAX, HTTP2_PENDING_RESETS_MAX, HTTP2_PING_INTERVAL, HTTP2_PING_TIMEOUT, HTTP2_SEND_BUFFER_BYTES,
    HTTP2_STREAM_WINDOW_BYTES, HTTP2_STREAMS_MAX,
};
use crate::rewound::Rewound;

pub(crate) type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

/// What the connections of a listener have in common.
#[derive(Debug)]
pub(crate) struct Edge {
    tls: Option<Tls>,
    handshakes: Semaphore,
}

impl Edge {
    pub(crate) fn new(tls: Option<Tls>) -> Self {
        Self { tls, handshakes: Semaphore::new(HANDSHAKES_MAX) }
    }

    /// Serves a connection of which `read` was read already, to its end.
    pub(crate) async fn serve(
        &self,
        stream: std::net::TcpStream,
        read: Bytes,
        router: Router,
        idle_timeout: Duration,
        watcher: Watcher,
    ) -> Result<(), ConnectionError> {
        let stream = TcpStream::from_std(stream)?;
        // In boxes, so that the task is not as large as the largest of them for ever.
        match &self.tls {
            None => Box::pin(http(Rewound::new(read, stream), router, idle_timeout, watcher)).await,
            Some(tls) => {
                let handshake = Box::pin(tokio::time::timeout(HANDSHAKE_TIMEOUT, self.handshake(stream, tls)));
                let stream = handshake.await.map_err(|_| "the TLS handshake took too long")??;
                Box::pin(http(stream, router, idle_timeout, watcher)).await
            }
        }
    }

    /// A peer that says nothing takes no place among the handshakes, whose state is what costs memory.
    async fn handshake(&self, mut stream: TcpStream, tls: &Tls) -> Result<TlsStream<TcpStream>, ConnectionError> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0].is_ascii_uppercase() {
            stream.write_all(PLAIN_HTTP).await?;
            return Err("plain HTTP where TLS is spoken".into());
        }
        let _place = self.handshakes.acquire().await?;
        Ok(tls.acceptor().accept(stream).await?)
    }
}

/// For whoever typed `http` in place of `https`. The first byte of TLS is no letter.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 40\r\n\
    connection: close\r\n\r\nThis address speaks TLS: take https://.\n";

/// HTTP/1.1 or HTTP/2, as the first bytes say: with TLS those of the protocol that ALPN agreed on.
async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    idle_timeout: Duration,
    watcher: Watcher,
) -> Result<(), ConnectionError> {
    let activity = Activity::default();
    let router = router.layer(middleware::from_fn_with_state(activity.clone(), Activity::measure));
    let connection = builder().serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).into_owned();
    tokio::select! {
        served = watcher.watch(connection) => served,
        () = activity.idle(FIRST_REQUEST_TIMEOUT, idle_timeout) => Err("no request came in time".into()),
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
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
