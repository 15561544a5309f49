//! A body as a stream of bytes, for frameworks that take those.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use pin_project_lite::pin_project;

pin_project! {
    /// The chunks of a body: what actix-web, poem, salvo and others take in place of an [`http_body::Body`]. One for each
    /// write, with the first comment and the keep-alives among them; the body's error is the stream's.
    ///
    /// ```
    /// use fanfare_server::{Chunks, Event, EventStream};
    /// # use futures_util::{StreamExt, stream};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (parts, body) = EventStream::new(stream::iter([Event::data("a")])).response().into_parts();
    /// let chunks: Vec<_> = Chunks::new(body).map(|chunk| chunk.expect("it can't fail")).collect().await;
    /// assert_eq!(chunks, [":\n", "data: a\n\n"]);
    /// # }
    /// ```
    #[derive(Debug)]
    pub struct Chunks<B> {
        #[pin]
        body: B,
    }
}

impl<B> Chunks<B> {
    /// The chunks of `body`.
    pub fn new(body: B) -> Self {
        Self { body }
    }
}

impl<B: Body<Data = Bytes>> Stream for Chunks<B> {
    type Item = Result<Bytes, B::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.project().body;
        loop {
            match ready!(body.as_mut().poll_frame(context)) {
                // Event streams have no trailers, but a body that was wrapped may.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}
