//! Values as events.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use fanfare_wire::Event;
use futures_core::Stream;
use pin_project_lite::pin_project;
use serde::Serialize;

use crate::{EventStream, Infallibly};

impl<S, T> EventStream<Json<Infallibly<S>>>
where
    S: Stream<Item = T>,
    T: Serialize,
{
    /// Streams each value of `values` as an event with its JSON as data.
    ///
    /// ```
    /// use fanfare_server::{Event, EventStream};
    /// use serde::Serialize;
    /// # use futures_util::stream;
    ///
    /// #[derive(Serialize)]
    /// struct Delta {
    ///     text: &'static str,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let deltas = stream::iter(["Once", " upon a time"]).map(|text| Delta { text });
    /// # use futures_util::StreamExt;
    /// let response = EventStream::json(deltas).end_with(Event::data("[DONE]")).response();
    /// # use http_body_util::BodyExt;
    /// # let bytes = response.into_body().collect().await.expect("it is JSON").to_bytes();
    /// # assert_eq!(bytes, ":\ndata: {\"text\":\"Once\"}\n\ndata: {\"text\":\" upon a time\"}\n\ndata: [DONE]\n\n");
    /// # }
    /// ```
    pub fn json(values: S) -> Self {
        Self::fallible(Json { values: Infallibly::new(values) })
    }
}

impl<S, T, E> EventStream<Json<S>>
where
    S: Stream<Item = Result<T, E>>,
    T: Serialize,
    E: Error + Send + Sync + 'static,
{
    /// Streams the values of a stream that may fail, as one of a language model's does. [`error_event`](Self::error_event)
    /// tells the client of a failure.
    ///
    /// ```
    /// use fanfare_server::{Event, EventStream};
    /// # use futures_util::stream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let values = stream::iter([Ok(1), Err(std::io::Error::other("out of numbers"))]);
    /// let stream = EventStream::try_json(values).error_event(|error| Event::data(error.into_source().to_string()));
    /// # use http_body_util::BodyExt;
    /// let bytes = stream.response().into_body().collect().await.expect("errors are events").to_bytes();
    /// assert_eq!(bytes, ":\ndata: 1\n\ndata: out of numbers\n\n");
    /// # }
    /// ```
    pub fn try_json(values: S) -> Self {
        Self::fallible(Json { values })
    }
}

pin_project! {
    /// A stream of events over a stream of values, from [`EventStream::json`] and [`EventStream::try_json`].
    #[derive(Debug)]
    pub struct Json<S> {
        #[pin]
        values: S,
    }
}

impl<S, T, E> Stream for Json<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Serialize,
    E: Error + Send + Sync + 'static,
{
    type Item = Result<Event, JsonError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = |value: Result<T, E>| {
            let value = value.map_err(|error| JsonError { is_of_stream: true, source: Box::new(error) })?;
            let json = serde_json::to_string(&value);
            json.map(Event::data).map_err(|error| JsonError { is_of_stream: false, source: Box::new(error) })
        };
        self.project().values.poll_next(context).map(|value| value.map(event))
    }
}

/// A stream of values that broke off: it failed, or a value has no JSON.
#[derive(Debug)]
pub struct JsonError {
    is_of_stream: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl JsonError {
    /// The stream's own error, or that of a value which is no JSON.
    #[must_use]
    pub fn into_source(self) -> Box<dyn Error + Send + Sync> {
        self.source
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_of_stream { "the stream of values failed" } else { "a value can't be written as JSON" })
    }
}

impl Error for JsonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
