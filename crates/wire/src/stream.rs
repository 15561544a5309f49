//! Events from an asynchronous source of bytes.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::owned::next_message;
use crate::{Decoder, MessageError, OwnedMessage};

/// A stream of the events in a stream of byte chunks, such as a response's body.
///
/// It ends with the source; an event that is unfinished then is none (P11). Nothing is read ahead: the source is polled
/// when its last chunk is used up.
///
/// ```
/// use fanfare_wire::MessageStream;
/// use futures_util::{StreamExt, stream};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let chunks = stream::iter(["data: o", "ne\n\nda", "ta: two\n\n"].map(Ok::<_, std::io::Error>));
/// let mut events = MessageStream::new(chunks);
/// while let Some(event) = events.next().await {
///     println!("{}", event?.data);
/// }
/// # Ok::<(), fanfare_wire::MessageError<std::io::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[derive(Debug)]
pub struct MessageStream<S, B> {
    source: S,
    decoder: Decoder,
    chunk: Option<B>,
    /// How much of the chunk was taken.
    taken: usize,
}

impl<S, B> MessageStream<S, B> {
    /// Decodes what `source` yields, with the default limits. A source that is not `Unpin` goes into a `Box::pin`.
    pub fn new(source: S) -> Self {
        Self::with_decoder(source, Decoder::new())
    }

    /// Decodes what `source` yields, with the limits and the last event id of `decoder`.
    pub fn with_decoder(source: S, decoder: Decoder) -> Self {
        Self { source, decoder, chunk: None, taken: 0 }
    }

    /// The decoder, for the last event id.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }
}

// Nothing in it is pinned but the source, which need not be.
impl<S: Unpin, B> Unpin for MessageStream<S, B> {}

impl<S, B, E> Stream for MessageStream<S, B>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: AsRef<[u8]>,
{
    type Item = Result<OwnedMessage, MessageError<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(chunk) = &this.chunk {
                let bytes = chunk.as_ref();
                let mut rest = bytes.get(this.taken..).unwrap_or_default();
                let found = next_message(&mut this.decoder, &mut rest);
                this.taken = bytes.len() - rest.len();
                if found.is_some() {
                    return Poll::Ready(found);
                }
            }
            this.chunk = None;
            this.taken = 0;
            match ready!(Pin::new(&mut this.source).poll_next(context)) {
                Some(Ok(chunk)) => this.chunk = Some(chunk),
                Some(Err(error)) => return Poll::Ready(Some(Err(MessageError::Source(error)))),
                None => return Poll::Ready(None),
            }
        }
    }
}
