//! From events to chunks of bytes, as many events to a chunk as are ready together.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_wire::Event;
use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::limits::WRITE_BYTES_MAX;

pin_project! {
    /// A stream of encoded events over a stream of [`Event`]s.
    ///
    /// What is ready together comes as one chunk of about 16 KiB at most: a write per event is what serving many
    /// events costs. Nothing waits for more: a single event is a chunk.
    #[derive(Debug)]
    pub struct Encoded<S, E> {
        #[pin]
        events: Option<S>,
        // What came right behind events that had to be sent first.
        failure: Option<E>,
    }
}

impl<S, E> Encoded<S, E> {
    /// Encodes what `events` yields. After an error comes the end.
    pub fn new(events: S) -> Self {
        Self { events: Some(events), failure: None }
    }
}

impl<S, E> Stream for Encoded<S, E>
where
    S: Stream<Item = Result<Event, E>>,
{
    type Item = Result<Bytes, E>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let mut out = Vec::new();
        while out.len() < WRITE_BYTES_MAX {
            let Some(events) = this.events.as_mut().as_pin_mut() else { break };
            match events.poll_next(context) {
                Poll::Ready(Some(Ok(event))) => event.encode(&mut out),
                Poll::Ready(ended) => {
                    *this.failure = ended.and_then(Result::err);
                    this.events.set(None);
                }
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(if out.is_empty() { this.failure.take().map(Err) } else { Some(Ok(out.into())) })
    }
}
