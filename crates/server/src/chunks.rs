//! A body as a stream of bytes, for frameworks that take those.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use pin_project_lite::pin_project;

pin_project! {
    /// The chunks of a body: what actix-web, poem, salvo and others take in place of an [`http_body::Body`].
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
