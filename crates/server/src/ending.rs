//! How streams end: with an event of their own, and errors as events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fanfare_wire::Event;
use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::EventStream;

impl<S, E> EventStream<S>
where
    S: Stream<Item = Result<Event, E>>,
{
    /// Sends `event` when everything else was sent: `[DONE]`, as clients of language models wait for, or an event upon which
    /// a page calls `close()`. Not after an error.
    pub fn end_with(self, event: Event) -> EventStream<EndWith<S>> {
        self.map_events(|events| EndWith { events, last: Some(event) })
    }

    /// Sends an error as the event that `describe` makes of it, and ends, where it would cut the connection: a browser would
    /// then reconnect and try again. Nothing follows it, also no [`end_with`](Self::end_with) that was asked for before.
    ///
    /// ```
    /// use fanfare_server::{Event, EventStream, EventType};
    /// # use futures_util::stream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rows = stream::iter([Ok(Event::data("1")), Err(std::io::Error::other("the database has gone"))]);
    /// // Not `error`: in a browser that is the type of its own events.
    /// let failed = EventType::new("failed")?;
    /// let response = EventStream::fallible(rows)
    ///     .end_with(Event::data("[DONE]"))
    ///     .error_event(move |error| Event::data(error.to_string()).with_type(failed.clone()))
    ///     .response();
    /// # use http_body_util::BodyExt;
    /// let bytes = response.into_body().collect().await?.to_bytes();
    /// assert_eq!(bytes, ":\ndata: 1\n\nevent: failed\ndata: the database has gone\n\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn error_event<F: FnMut(E) -> Event>(self, describe: F) -> EventStream<ErrorEvent<S, F>> {
        self.map_events(|events| ErrorEvent { events, describe, has_failed: false })
    }
}

pin_project! {
    /// A stream of events and one more at its end, from [`EventStream::end_with`](crate::EventStream::end_with).
    #[derive(Debug)]
    pub struct EndWith<S> {
        #[pin]
        events: S,
        last: Option<Event>,
    }
}

impl<S, E> Stream for EndWith<S>
where
    S: Stream<Item = Result<Event, E>>,
{
    type Item = Result<Event, E>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if this.last.is_none() {
            return Poll::Ready(None);
        }
        let next = ready!(this.events.poll_next(context));
        match next {
            Some(Ok(event)) => Poll::Ready(Some(Ok(event))),
            Some(Err(error)) => {
                *this.last = None;
                Poll::Ready(Some(Err(error)))
            }
            None => Poll::Ready(this.last.take().map(Ok)),
        }
    }
}

pin_project! {
    /// A stream of events whose first error becomes its last event, from
/// [`EventStream::error_event`](crate::EventStream::error_event).
    #[derive(Debug)]
    pub struct ErrorEvent<S, F> {
        #[pin]
        events: S,
        describe: F,
        has_failed: bool,
    }
}

impl<S, E, F> Stream for ErrorEvent<S, F>
where
    S: Stream<Item = Result<Event, E>>,
    F: FnMut(E) -> Event,
{
    type Item = Result<Event, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.has_failed {
            return Poll::Ready(None);
        }
        let next = ready!(this.events.poll_next(context));
        Poll::Ready(next.map(|event| {
            Ok(event.unwrap_or_else(|error| {
                *this.has_failed = true;
                (this.describe)(error)
            }))
        }))
    }
}
