//! The response body: a first comment, chunks of encoded events, and comments while there are none.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fanfare_wire::KEEP_ALIVE;
use futures_core::Stream;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

pin_project! {
    /// The body of an event stream over any stream of encoded events.
    ///
    /// It first yields a preface, so that the head of the response is not held back for the first event. It is pulled:
    /// a subscriber that does not read costs what the socket holds, and the stream behind is not polled for it.
    pub struct EventBody<S> {
        preface: Option<Bytes>,
        #[pin]
        encoded: Option<S>,
        keep_alive: Option<Duration>,
        // Made on the first poll: only then is a runtime sure to be there.
        #[pin]
        idle: Option<Sleep>,
        // Behind locks that are never taken, so that the body is `Sync` if its events are, as warp wants it.
        until: Option<Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>>,
        held: Mutex<Vec<Box<dyn Any + Send>>>,
    }
}

impl<S> EventBody<S> {
    /// A body of what `encoded` yields, which starts with a comment. Without a keep-alive.
    pub fn new(encoded: S) -> Self {
        Self {
            preface: Some(Bytes::from_static(KEEP_ALIVE)),
            encoded: Some(encoded),
            keep_alive: None,
            idle: None,
            until: None,
            held: Mutex::default(),
        }
    }

    /// Tells the client to wait `delay` before it reconnects, right after the first comment.
    #[must_use]
    pub fn retry(mut self, delay: Duration) -> Self {
        let mut preface = KEEP_ALIVE.to_vec();
        fanfare_wire::encode_retry(delay, &mut preface);
        self.preface = Some(preface.into());
        self
    }

    /// Sends a comment when nothing was sent for `interval`: proxies close idle connections, commonly after 30 to 60
    /// seconds (S5), and a peer that has vanished is only noticed by a write. Zero is none.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = Some(interval).filter(|interval| !interval.is_zero());
        self
    }

    /// Ends the stream when `stop` is ready and there is nothing to send: a server that shuts down would wait for its
    /// subscribers for ever.
    #[must_use]
    pub fn until(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.until = Some(Mutex::new(Box::pin(stop)));
        self
    }

    /// Drops `guard` when the stream has ended or the body is dropped.
    #[must_use]
    pub fn holding(mut self, guard: impl Send + 'static) -> Self {
        self.held.get_mut().unwrap_or_else(PoisonError::into_inner).push(Box::new(guard));
        self
    }
}

impl<S: fmt::Debug> fmt::Debug for EventBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBody")
            .field("encoded", &self.encoded)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

impl<S, E> Body for EventBody<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    type Data = Bytes;
    type Error = E;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let mut this = self.project();
        if let Some(preface) = this.preface.take() {
            return Poll::Ready(Some(Ok(Frame::data(preface))));
        }
        let polled = match this.encoded.as_mut().as_pin_mut() {
            Some(encoded) => encoded.poll_next(context),
            None => Poll::Ready(None),
        };
        if polled.is_pending()
            && let Some(until) = this.until
            && until.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(context).is_ready()
        {
            this.encoded.set(None);
            *this.until = None;
            this.held.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
            return Poll::Ready(None);
        }
        if let Poll::Ready(chunk) = polled {
            this.idle.set(None);
            if chunk.is_none() {
                this.encoded.set(None);
                this.held.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
            }
            return Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)));
        }
        let Some(interval) = *this.keep_alive else { return Poll::Pending };
        if this.idle.is_none() {
            this.idle.set(Some(tokio::time::sleep(interval)));
        }
        let Some(mut idle) = this.idle.as_mut().as_pin_mut() else { return Poll::Pending };
        ready!(idle.as_mut().poll(context));
        idle.reset(Instant::now() + interval);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(KEEP_ALIVE)))))
    }

    fn is_end_stream(&self) -> bool {
        self.preface.is_none() && self.encoded.is_none()
    }
}
