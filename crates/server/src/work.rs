//! Work that ends when its client goes.

use std::pin::Pin;
use std::task::{Context, Poll};

use fanfare_wire::Event;
use futures_core::Stream;
use tokio::task::JoinHandle;

use crate::EventStream;
use crate::sender::{Capacity, EventReceiver, EventSender, TooSlow};

impl EventStream<Work> {
    /// Runs `work` as a task of its own with a handle to send through, and streams what it sends. The task is aborted when
    /// the client goes: the request to a language model, the query of a database that it waits for are dropped with it.
    /// Must be called in a tokio runtime.
    ///
    /// ```
    /// use fanfare_server::{Capacity, Event, EventStream};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let stream = EventStream::work(Capacity::default(), |sender| async move {
    ///     for token in ["Once", " upon", " a time"] {
    ///         // What takes long is awaited here.
    ///         if sender.send(Event::data(token)).await.is_err() {
    ///             return;
    ///         }
    ///     }
    /// });
    /// let response = stream.end_with(Event::data("[DONE]")).response();
    /// # use http_body_util::BodyExt;
    /// # let bytes = response.into_body().collect().await.expect("it does not fail").to_bytes();
    /// # assert_eq!(bytes, ":\ndata: Once\n\ndata:  upon\n\ndata:  a time\n\ndata: [DONE]\n\n");
    /// # }
    /// ```
    pub fn work<F>(capacity: Capacity, work: impl FnOnce(EventSender) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, stream) = EventStream::sender(capacity);
        let task = tokio::spawn(work(sender));
        stream.map_events(|events| Work { events, task })
    }
}

/// The stream of what a task sends, from [`EventStream::work`]. The task is aborted when this is dropped.
#[derive(Debug)]
pub struct Work {
    events: EventReceiver,
    task: JoinHandle<()>,
}

impl Stream for Work {
    type Item = Result<Event, TooSlow>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.events).poll_next(context)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.task.abort();
    }
}
