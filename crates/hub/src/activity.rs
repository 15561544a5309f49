//! Whether a connection does anything.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;

/// The requests under way on one connection, from head to the end of the response's body.
///
/// A peer that says nothing, stops within a head, or opens HTTP/2 and no stream holds a place that others could have;
/// one that merely receives a stream slowly does not. One measure serves every protocol.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activity(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    under_way: AtomicUsize,
    begun: AtomicUsize,
    changed: Notify,
    had_body: AtomicBool,
    is_unflushed: AtomicBool,
    is_held: AtomicBool,
}

impl Activity {
    /// Counts a request until its answer's body is dropped.
    pub(crate) fn begin(&self, has_body: bool) -> UnderWay {
        self.0.had_body.fetch_or(has_body, Ordering::AcqRel);
        self.0.begun.fetch_add(1, Ordering::AcqRel);
        self.0.under_way.fetch_add(1, Ordering::AcqRel);
        self.0.changed.notify_one();
        UnderWay(self.clone())
    }

    /// Whether whatever comes next on a connection of HTTP/1.1 is the head of a request. Not told of one whose requests
    /// had bodies: one that was answered early may still be on its way.
    pub(crate) fn is_between_requests(&self) -> bool {
        let Requests { under_way, is_unflushed, had_body, .. } = &*self.0;
        under_way.load(Ordering::Acquire) == 0
            && !is_unflushed.load(Ordering::Acquire)
            && !had_body.load(Ordering::Acquire)
    }

    /// What was answered is out.
    pub(crate) fn flushed(&self) {
        if self.0.under_way.load(Ordering::Acquire) == 0 {
            self.0.is_unflushed.store(false, Ordering::Release);
        }
    }

    /// A request is held back, for somebody else to serve.
    pub(crate) fn hold(&self) {
        self.0.is_held.store(true, Ordering::Release);
    }

    pub(crate) fn let_go(&self) {
        self.0.is_held.store(false, Ordering::Release);
    }

    pub(crate) fn is_held(&self) -> bool {
        self.0.is_held.load(Ordering::Acquire)
    }

    /// Returns when no request was under way for `first` since the start, or for `later` since the last one ended.
    pub(crate) async fn idle(&self, first: Duration, later: Duration) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // From here on a change is seen, so that none falls between the look and the wait.
            changed.as_mut().enable();
            if self.0.under_way.load(Ordering::Acquire) > 0 {
                changed.await;
                continue;
            }
            let limit = if self.0.begun.load(Ordering::Acquire) == 0 { first } else { later };
            if tokio::time::timeout(limit, changed).await.is_err() {
                return;
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct UnderWay(Activity);

/// A body whose request is under way until it ends. It still tells its size: a known one is sent as `Content-Length`,
/// which costs less than chunks at both ends.
pub(crate) struct Measured {
    body: Body,
    _under_way: UnderWay,
}

impl Measured {
    pub(crate) fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.is_unflushed.store(true, Ordering::Release);
        self.0.0.under_way.fetch_sub(1, Ordering::AcqRel);
        self.0.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const FIRST: Duration = Duration::from_secs(10);
    const LATER: Duration = Duration::from_secs(75);

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_idle_after_the_first_limit() {
        let start = Instant::now();
        Activity::default().idle(FIRST, LATER).await;
        assert_eq!(start.elapsed(), FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_holds_it_and_the_later_limit_begins_at_its_end() {
        let (start, activity) = (Instant::now(), Activity::default());
        let requests = activity.clone();
        tokio::spawn(async move {
            tokio::time::sleep(FIRST / 2).await;
            let first = requests.begin(false);
            let second = requests.begin(false);
            tokio::time::sleep(LATER * 3).await;
            drop(first);
            tokio::time::sleep(LATER * 3).await;
            drop(second);
        });
        activity.idle(FIRST, LATER).await;
        assert_eq!(start.elapsed(), FIRST / 2 + LATER * 7);
    }
}
