//! A request that is being answered.

use std::fmt;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::response::Parts;
use http::{Method, Request};
use http_body_util::BodyExt;

use crate::http::{Server, TakesOver};

/// The routes at work on a request.
pub(super) struct Exchange(Pin<Box<dyn Future<Output = Option<Answer>> + Send>>);

/// A response that is complete.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
}

impl Exchange {
    /// Asks the routes that hyper asks.
    pub(super) fn begin(server: &Server, mut request: Request<Body>, client: Option<SocketAddr>) -> Self {
        if request.method() == Method::GET {
            request.extensions_mut().insert(TakesOver::Events);
        }
        let response = server.answer(request, client);
        let answer = async move {
            let (parts, body) = response.await.into_parts();
            Some(Answer { parts, body: body.collect().await.ok()?.to_bytes() })
        };
        // A panic there is a bug of ours, for which one connection pays and not a shard with thousands, as one task of
        // hyper would. What it leaves behind is the connection's alone, or locks that nobody takes for poisoned.
        let caught = AssertUnwindSafe(answer).catch_unwind();
        Self(Box::pin(async { caught.await.unwrap_or_default() }))
    }

    /// The answer, if it is there; `None` in place of one that broke off. Else a waker of `wake` is told when to ask
    /// again. Nearly every answer is there at once, and needs none.
    pub(super) fn poll(&mut self, wake: impl Fn() -> Waker) -> Poll<Option<Answer>> {
        match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.0.as_mut().poll(&mut Context::from_waker(&wake())),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
