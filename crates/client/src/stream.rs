//! The streams: pulled by the consumer, down to the socket.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use url::Url;

use crate::connection::Connection;
use crate::credentials::Redacted;
use crate::session::State;
use crate::{Error, Event, Interruption, Kind, News, ReadyState};

/// A stream of events, from [`EventSourceBuilder::stream`](crate::EventSourceBuilder::stream).
///
/// It connects when it is first polled, and reconnects by itself. It yields an error only when it will not connect
/// again, and then ends. It ends without an error
///
/// * when the server asked for that with 204 (C15),
/// * at the event or the end that the builder's [`stop_before`](crate::EventSourceBuilder::stop_before),
///   [`stop_after`](crate::EventSourceBuilder::stop_after) or [`stop_at_end`](crate::EventSourceBuilder::stop_at_end)
///   name, and
/// * under [`RetryPolicy::never`](crate::RetryPolicy::never), when the server ends the stream properly.
///
/// [`NewsStream`] tells the rest.
///
/// Back-pressure is that of TCP: who does not poll does not read, and nothing is queued in between. Dropping it aborts
/// the connection.
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Events {
    news: NewsStream,
}

/// A stream of everything that happens, from [`EventSourceBuilder::news`](crate::EventSourceBuilder::news): events,
/// and also comments, interruptions and their reasons. The last is an interruption that it does not come back from; it
/// is missing after a stop that was asked for, and after [`close`](Self::close).
///
/// ```no_run
/// use fanfare_client::{EventSource, News};
///
/// # async fn example() -> Result<(), fanfare_client::Error> {
/// let mut news = EventSource::builder("http://localhost:3000/events").news()?;
/// while let Some(news) = news.next().await {
///     match news {
///         News::Open(opened) => println!("open, from {}", opened.url()),
///         News::Event(event) => println!("{}", event.data()),
///         News::Comment(_) => println!("still there"),
///         other => println!("{other:?}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct NewsStream {
    connection: Connection,
}

impl Events {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { news: NewsStream::new(connection) }
    }

    /// The next event, or `None` after the end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped before it is ready.
    ///
    /// # Errors
    ///
    /// Why it will not connect again.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Ends the stream and aborts the connection (C23).
    pub fn close(&mut self) {
        self.news.close();
    }

    /// Where the connection stands.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.news.ready_state()
    }

    /// The URL that was asked for; redirects do not change it (C4).
    #[must_use]
    pub fn url(&self) -> &Url {
        self.news.url()
    }

    /// The last event id, to be kept for the next run. Empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.news.last_event_id()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        loop {
            match ready!(self.news.connection.poll_news(cx)) {
                Some(News::Event(event)) => return Poll::Ready(Some(Ok(event))),
                Some(News::Error(interruption)) if interruption.retry_in().is_none() => {
                    return Poll::Ready(self.last_word(interruption).map(Err));
                }
                Some(_) => {}
                None => return Poll::Ready(None),
            }
        }
    }

    /// The error to end with, unless the end is what somebody wanted.
    fn last_word(&self, interruption: Interruption) -> Option<Error> {
        let error = interruption.into_error();
        let was_told_to_stop = error.status() == Some(http::StatusCode::NO_CONTENT);
        let is_wanted = error.kind() == Kind::EndOfStream && self.news.connection.session().retry().is_never();
        (!was_told_to_stop && !is_wanted).then_some(error)
    }
}

impl Stream for Events {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl FusedStream for Events {
    fn is_terminated(&self) -> bool {
        self.news.is_terminated()
    }
}

impl NewsStream {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The next news, or `None` after the end. Nothing is lost when the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<News> {
        poll_fn(|cx| self.connection.poll_news(cx)).await
    }

    /// Ends the stream and aborts the connection (C23).
    pub fn close(&mut self) {
        self.connection.close();
    }

    /// Where the connection stands.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        ReadyState::of(self.connection.session().state())
    }

    /// The URL that was asked for; redirects do not change it (C4).
    #[must_use]
    pub fn url(&self) -> &Url {
        self.connection.url()
    }

    /// The last event id, to be kept for the next run. Empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.connection.session().last_event_id()
    }
}

impl Stream for NewsStream {
    type Item = News;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<News>> {
        self.connection.poll_news(cx)
    }
}

impl FusedStream for NewsStream {
    fn is_terminated(&self) -> bool {
        self.connection.session().state() == State::Closed
    }
}

impl fmt::Debug for NewsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewsStream").field("url", &Redacted(self.url())).field("state", &self.ready_state()).finish()
    }
}
