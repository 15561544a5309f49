//! A subscription over TLS and HTTP/1.1, served without hyper, whose buffers are twice what TLS itself takes.

use std::io;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tower::ServiceExt;
use tracing::debug_span;

use crate::Hub;
use crate::http::{Accepted, RequestId, TakesOver};
use crate::limits::HEARD_BYTES_MAX;
use crate::shard::response::Date;
use crate::shard::{LAST_CHUNK, chunk, response};

/// Answers `request` and streams until one side ends it, and with it the connection.
///
/// What a subscriber does not take stays in its socket and in one record of TLS; a peer that takes nothing for long is
/// ended by the socket's own time-out.
pub(crate) async fn serve(
    hub: &Hub,
    router: Router,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut request: Request<Body>,
) -> io::Result<()> {
    request.extensions_mut().insert(TakesOver::All);
    let Ok(response) = router.oneshot(request).await;
    let (mut parts, body) = response.into_parts();
    let (mut date, mut bytes) = (Date::default(), Vec::new());
    date.set(hub.shared.clock.now());
    let Some(accepted) = parts.extensions.remove::<Accepted>() else {
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response::whole(&parts, &body, &date, &mut bytes);
        stream.write_all(&bytes).await?;
        return stream.shutdown().await;
    };
    response::stream_head(&parts, &date, &mut bytes);
    stream.write_all(&bytes).await?;
    let id = RequestId::of(&parts.headers);
    drop((parts, date, bytes));
    let span = debug_span!("subscribe", id = id.as_ref().map(RequestId::as_str));
    let mut body = pin!(span.in_scope(|| accepted.into_body(hub)));
    let mut heard = 0;
    loop {
        let mut room = [0; 64];
        let frame = tokio::select! {
            biased;
            length = stream.read(&mut room) => {
                // It has nothing to say; its end is noticed.
                let length = length?;
                heard += length;
                if length == 0 || heard > HEARD_BYTES_MAX as usize {
                    return Ok(());
                }
                continue;
            }
            frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)) => frame,
        };
        let Some(Ok(frame)) = frame else { break };
        let data = frame.into_data().unwrap_or_default();
        let (head, length) = (chunk::Head::of(data.len()), chunk::len(data.len()));
        let mut sent = 0;
        while sent < length {
            sent += match stream.write_vectored(&chunk::rest(&head, &data, sent)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => written,
            };
        }
        stream.flush().await?;
    }
    stream.write_all(LAST_CHUNK).await?;
    stream.shutdown().await
}
