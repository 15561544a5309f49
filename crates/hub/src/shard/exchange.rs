//! A request that is being answered.

use std::fmt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http::response::Parts;
use http::{Method, Request};
use http_body_util::BodyExt;

use crate::client_address::Peer;
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
    /// Asks the routes that hyper asks, for `peer`.
    pub(super) fn begin(server: &Server, mut request: Request<Body>, peer: IpAddr) -> Self {
        request.extensions_mut().insert(Peer(peer));
        if request.method() == Method::GET {
            request.extensions_mut().insert(TakesOver::Events);
        }
        // Put together from parts and not awaited in blocks, each of which would hold what it awaits twice: once captured and
        // once at work. That made 9.6 KB to move and to allocate for each request, of 2.4.
        let answer = server
            .answer(request)
            .map(Response::into_parts)
            .then(async |(parts, body)| Some(Answer { parts, body: body.collect().await.ok()?.to_bytes() }));
        // A panic there is a bug of ours, for which one connection pays and not a shard with thousands, as one task of
        // hyper would. What it leaves behind is the connection's alone, or locks that nobody takes for poisoned.
        let caught = AssertUnwindSafe(answer).catch_unwind();
        Self(Box::pin(caught.map(Result::unwrap_or_default)))
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
