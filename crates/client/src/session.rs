//! The rules of the standard as a state machine: what has happened goes in, what is to be told and done comes out.
//!
//! Nothing here touches a socket, reads a clock or draws a random number; the driver in
//! [`connection`](crate::connection) brings all three.

use std::sync::Arc;
use std::time::Duration;

use fanfare_wire::{Decoded, Decoder, EventId, Limits};
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::content_type::is_event_stream;
use crate::limits::{HEALTHY_AFTER, RECONNECTION_TIME_MAX};
use crate::retry_after::retry_after;
use crate::{Error, Event, Interruption, Kind, News, Opened, RetryPolicy, Skipped};

/// One `EventSource`: where it stands, what it remembers between connections.
///
/// The driver does what [`state`](Self::state) asks for, and reports the outcome with a `push_` call. After
/// [`close`](Self::close) no call returns news any more (C23).
#[derive(Debug)]
pub(crate) struct Session {
    state: State,
    decoder: Decoder,
    retry: RetryPolicy,
    /// What `retry` fields set; it survives reconnects (C24).
    reconnection_time: Duration,
    /// Failures in a row.
    failures: u32,
    opened_at: Duration,
    /// Of the URL that answered last (C28).
    origin: Arc<str>,
    /// What the decoder says, shared with the events that carry it.
    last_event_id: Arc<str>,
}

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Send the request, with the last event id, and push the response's head or a failure.
    Connecting,
    /// Read the body and push it: chunks, its end, or a failure.
    Open,
    /// Wait this long, then push that.
    Waiting(Duration),
    /// Nothing any more.
    Closed,
}

/// What the driver measures and draws, as each failure needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Since any fixed point in the past.
    pub(crate) now: Duration,
    /// From 0 up to 1.
    pub(crate) jitter: f64,
}

impl Session {
    pub(crate) fn new(limits: Limits, retry: RetryPolicy, last_event_id: Option<&EventId>) -> Self {
        let mut decoder = Decoder::with_limits(limits).with_comments();
        if let Some(id) = last_event_id {
            decoder.set_last_event_id(id);
        }
        Self {
            state: State::Connecting,
            last_event_id: decoder.last_event_id().into(),
            decoder,
            reconnection_time: retry.initial_wait(),
            retry,
            failures: 0,
            opened_at: Duration::ZERO,
            origin: Arc::default(),
        }
    }

    /// The head of the answer, after redirects (C15, C16).
    pub(crate) fn push_head(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        url: &Url,
        moment: Moment,
    ) -> Option<News> {
        if self.state != State::Connecting {
            return None;
        }
        if status != StatusCode::OK {
            let error = Error::new(Kind::Status, format!("the server answered {status}")).with_status(status);
            return if self.retry.covers(status) {
                self.reestablish(error, retry_after(headers), moment)
            } else {
                self.fail(error, false)
            };
        }
        if !is_event_stream(headers) {
            let text = match headers.get(http::header::CONTENT_TYPE) {
                Some(value) => format!("the server answered with {value:?} and not text/event-stream"),
                None => "the server answered without a Content-Type, and not with text/event-stream".to_owned(),
            };
            return self.fail(Error::new(Kind::ContentType, text).with_status(status), false);
        }
        self.state = State::Open;
        self.opened_at = moment.now;
        self.origin = url.origin().ascii_serialization().into();
        self.decoder.reconnect();
        Some(News::Open(Opened { url: url.clone(), status }))
    }

    /// Takes `chunk` up to the next thing to tell, or all of it.
    pub(crate) fn push_chunk(&mut self, chunk: &mut &[u8]) -> Option<News> {
        if self.state != State::Open {
            return None;
        }
        while let Some(found) = self.decoder.decode(chunk) {
            return Some(match found {
                Decoded::Event(message) => {
                    self.failures = 0;
                    share(&mut self.last_event_id, message.last_event_id);
                    let (id, origin) = (Arc::clone(&self.last_event_id), Arc::clone(&self.origin));
                    News::Event(Event::message(message.event_type, message.data, id, origin))
                }
                Decoded::Skipped(skipped) => {
                    self.failures = 0;
                    share(&mut self.last_event_id, skipped.last_event_id);
                    let last_event_id = skipped.last_event_id.to_owned();
                    News::Skipped(Skipped { reason: skipped.reason, bytes: skipped.bytes, last_event_id })
                }
                Decoded::Comment(comment) => News::Comment(comment.to_owned()),
                Decoded::Retry(milliseconds) => {
                    self.reconnection_time = Duration::from_millis(milliseconds).min(RECONNECTION_TIME_MAX);
                    continue;
                }
                _ => continue,
            });
        }
        // A block without data tells nothing, but its id counts (P9).
        share(&mut self.last_event_id, self.decoder.last_event_id());
        None
    }

    /// The body ended as it should: a reason to connect again (C18).
    pub(crate) fn push_end(&mut self, moment: Moment) -> Option<News> {
        if self.state != State::Open {
            return None;
        }
        self.reestablish(Error::new(Kind::EndOfStream, "the server ended the stream"), None, moment)
    }

    /// There is no answer, or the body broke (C17).
    pub(crate) fn push_failure(&mut self, error: Error, moment: Moment) -> Option<News> {
        match self.state {
            State::Connecting | State::Open if error.is_final() => self.fail(error, false),
            State::Connecting | State::Open => self.reestablish(error, None, moment),
            State::Waiting(_) | State::Closed => None,
        }
    }

    /// The wait is over.
    pub(crate) fn push_waited(&mut self) {
        if matches!(self.state, State::Waiting(_)) {
            self.state = State::Connecting;
        }
    }

    /// Ends it for good, without any news (C23).
    pub(crate) fn close(&mut self) {
        self.state = State::Closed;
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// What `Last-Event-ID` says in the next request; absent if it is empty (C12, C13).
    pub(crate) fn last_event_id(&self) -> &Arc<str> {
        &self.last_event_id
    }

    pub(crate) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// "Reestablish the connection" (C21).
    fn reestablish(&mut self, error: Error, wait: Option<Duration>, moment: Moment) -> Option<News> {
        let was_open_for = moment.now.saturating_sub(self.opened_at);
        if self.state == State::Open && was_open_for >= HEALTHY_AFTER {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        if !self.retry.allows(self.failures) {
            return self.fail(error, true);
        }
        let backoff = || self.retry.wait(self.reconnection_time, self.failures, moment.jitter);
        let wait = wait.unwrap_or_else(backoff);
        self.state = State::Waiting(wait);
        let failures = self.failures;
        Some(News::Error(Interruption { error, retry_in: Some(wait), failures, has_given_up: false }))
    }

    /// "Fail the connection" (C22).
    fn fail(&mut self, error: Error, has_given_up: bool) -> Option<News> {
        self.state = State::Closed;
        let failures = self.failures;
        Some(News::Error(Interruption { error, retry_in: None, failures, has_given_up }))
    }
}

/// Most events share their id with none but the events before them that had none: allocate only when it changes.
fn share(shared: &mut Arc<str>, text: &str) {
    if **shared != *text {
        *shared = text.into();
    }
}

#[cfg(test)]
mod tests;
