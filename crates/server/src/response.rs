//! A stream of events as an HTTP response.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_wire::Event;
use futures_core::Stream;
use http::Response;
use pin_project_lite::pin_project;

use crate::headers::set_own_headers;
use crate::{Encoded, EventBody};

/// A response that streams events, for axum (feature `axum`) or anything that serves an [`http_body::Body`].
///
/// It has no keep-alive, and no word on reconnecting, unless asked for. The first error of the stream, and whatever makes the body be
/// dropped, ends it.
#[must_use = "a response does nothing unless it is returned from a handler"]
pub struct EventStream<S> {
    events: S,
    retry: Option<Duration>,
    keep_alive: Option<Duration>,
    until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    held: Vec<Box<dyn Any + Send>>,
}

impl<S: fmt::Debug> fmt::Debug for EventStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("events", &self.events)
            .field("retry", &self.retry)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

impl<S: Stream<Item = Event>> EventStream<Infallibly<S>> {
    /// Streams what `events` yields, until it ends. A client reconnects after the end: answer it with 204 if it shall
    /// not (S9).
    pub fn new(events: S) -> Self {
        Self::fallible(Infallibly::new(events))
    }
}

impl<S, E> EventStream<S>
where
    S: Stream<Item = Result<Event, E>>,
{
    /// Streams what `events` yields, until it ends or fails. A failure cuts the connection, and the client reconnects.
    pub fn fallible(events: S) -> Self {
        Self { events, retry: None, keep_alive: None, until: None, held: Vec::new() }
    }

    /// Tells the client at the start to wait `delay` before it reconnects. Browsers wait some 3 to 5 seconds unless told.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// Sends a comment when nothing was sent for `interval`; 15 seconds suit most proxies (S5). Zero is none.
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = Some(interval);
        self
    }

    /// Ends the stream when `stop` is ready and there is nothing to send, so that the server can shut down. The client
    /// reconnects, to wherever it is served next.
    ///
    /// ```
    /// use fanfare_server::EventStream;
    /// # use futures_util::stream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let silence = EventStream::new(stream::pending()).until(async { drop(stopped.await) });
    /// let body = silence.response().into_body();
    /// drop(stop);
    /// # use http_body_util::BodyExt;
    /// assert_eq!(body.collect().await.expect("it can't fail").to_bytes(), ":\n");
    /// # }
    /// ```
    pub fn until(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.until = Some(Box::pin(stop));
        self
    }

    /// Drops `guard` when the stream has ended, also when the client has gone: a guard that cancels work, or counts.
    pub fn holding(mut self, guard: impl Send + 'static) -> Self {
        self.held.push(Box::new(guard));
        self
    }

    /// The response: status 200, the headers of [`set_event_stream_headers`](crate::set_event_stream_headers) and
    /// `Content-Encoding: identity`, which keeps compressors away, the body.
    pub fn response(self) -> Response<EventBody<Encoded<S, E>>> {
        let mut body = EventBody::new(Encoded::new(self.events));
        if let Some(delay) = self.retry {
            body = body.retry(delay);
        }
        if let Some(interval) = self.keep_alive {
            body = body.keep_alive(interval);
        }
        if let Some(stop) = self.until {
            body = body.until(stop);
        }
        for guard in self.held {
            body = body.holding(guard);
        }
        let mut response = Response::new(body);
        set_own_headers(response.headers_mut());
        response
    }
}

impl<S> EventStream<S> {
    /// The same stream with its events in something else.
    pub(crate) fn map_events<T>(self, wrap: impl FnOnce(S) -> T) -> EventStream<T> {
        let Self { events, retry, keep_alive, until, held } = self;
        EventStream { events: wrap(events), retry, keep_alive, until, held }
    }
}

#[cfg(feature = "axum")]
impl<S, E> axum_core::response::IntoResponse for EventStream<S>
where
    S: Stream<Item = Result<Event, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    fn into_response(self) -> axum_core::response::Response {
        self.response().map(axum_core::body::Body::new)
    }
}

pin_project! {
    /// A stream as one of results, none of them an error.
    #[derive(Debug)]
    pub struct Infallibly<S> {
        #[pin]
        events: S,
    }
}

impl<S> Infallibly<S> {
    pub(crate) fn new(events: S) -> Self {
        Self { events }
    }
}

impl<S: Stream> Stream for Infallibly<S> {
    type Item = Result<S::Item, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().events.poll_next(context).map(|event| event.map(Ok))
    }
}
