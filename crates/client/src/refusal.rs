//! What a server says when its answer is no stream: the start of the body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::Body;
use tokio::task::coop;
use tokio::time::{Sleep, sleep};

use crate::Error;
use crate::limits::{BODY_START_BYTES, BODY_START_WAIT};

/// An answer that was refused, while the start of its body is read. Dropping it aborts the connection.
pub(crate) struct Refusal {
    error: Option<Error>,
    body: reqwest::Body,
    start: Vec<u8>,
    deadline: Pin<Box<Sleep>>,
}

impl Refusal {
    /// A server may not say nothing for longer here than it may in a stream.
    pub(crate) fn new(error: Error, body: reqwest::Body, idle_timeout: Option<Duration>) -> Self {
        let wait = idle_timeout.map_or(BODY_START_WAIT, |timeout| timeout.min(BODY_START_WAIT));
        Self { error: Some(error), body, start: Vec::new(), deadline: Box::pin(sleep(wait)) }
    }

    /// The error, with as much of the body as came in time. `None` if it was given out before.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Error>> {
        while self.start.len() < BODY_START_BYTES {
            let budget = ready!(coop::poll_proceed(cx));
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    budget.made_progress();
                    let data = frame.into_data().unwrap_or_default();
                    let room = BODY_START_BYTES - self.start.len();
                    self.start.extend_from_slice(data.get(..room).unwrap_or(&data));
                }
                // A body that breaks, or can't be decoded, takes nothing from what the answer was.
                Poll::Ready(Some(Err(_)) | None) => break,
                Poll::Pending => {
                    ready!(self.deadline.as_mut().poll(cx));
                    break;
                }
            }
        }
        let start = std::mem::take(&mut self.start);
        Poll::Ready(self.error.take().map(|error| error.with_body_start(start)))
    }
}
