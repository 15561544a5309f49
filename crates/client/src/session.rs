//! The rules of the standard as a state machine: what has happened goes in, what is to be told and done comes out.
//!
//! Nothing here touches a socket, reads a clock or draws a random number; the driver in
//! [`connection`](crate::connection) brings all three.

use std::sync::Arc;
use std::time::Duration;

use fanfare_wire::{Decoded, Decoder, EventId, Limits};

use crate::error::Attempt;
use crate::event::Stamp;
use crate::retry_after::retry_after;
use crate::stop::{Delivery, Stop};
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
    stop: Stop,
    /// What `retry` fields set; it survives reconnects (C24).
    reconnection_time: Option<Duration>,
    /// How often it connected or tried to, with the attempt that is under way.
    attempt: u64,
    /// Failures in a row.
    failures: u32,
    opened_at: Duration,
    /// What the decoder says is the last event id, and the origin of the URL that answered last, for the events to share.
    stamp: Arc<Stamp>,
}

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Send the request, with the last event id, and push that a stream opened, or a failure.
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
    pub(crate) fn new(limits: Limits, retry: RetryPolicy, stop: Stop, last_event_id: Option<&EventId>) -> Self {
        let mut decoder = Decoder::with_limits(limits).with_comments();
        if let Some(id) = last_event_id {
            decoder.set_last_event_id(id);
        }
        Self {
            state: State::Connecting,
            stamp: Arc::new(Stamp { last_event_id: decoder.last_event_id().into(), origin: Arc::default() }),
            decoder,
            reconnection_time: None,
            retry,
            stop,
            attempt: 1,
            failures: 0,
            opened_at: Duration::ZERO,
        }
    }

    /// The answer is a stream (C20).
    pub(crate) fn push_open(&mut self, opened: Opened, moment: Moment) -> Option<News> {
        if self.state != State::Connecting {
            return None;
        }
        self.state = State::Open;
        self.opened_at = moment.now;
        let origin = opened.url().origin().ascii_serialization().into();
        self.stamp = Arc::new(Stamp { origin, ..Stamp::clone(&self.stamp) });
        self.decoder.reconnect();
        Some(News::Open(opened))
    }

    /// Takes `chunk` up to the next thing to tell, or all of it.
    pub(crate) fn push_chunk(&mut self, chunk: &mut &[u8]) -> Option<News> {
        if self.state != State::Open {
            return None;
        }
        while let Some(found) = self.decoder.decode(chunk) {
            return Some(match found {
                Decoded::Event(message) => {
                    self.failures = self.retry.failures_after_event(self.failures);
                    set_last_event_id(&mut self.stamp, message.last_event_id);
                    let event = Event::message(message.event_type, message.data, &self.stamp);
                    match self.stop.stops_at(&event) {
                        None => {}
                        Some(Delivery::Delivered) => self.state = State::Closed,
                        Some(Delivery::Withheld) => {
                            self.state = State::Closed;
                            return None;
                        }
                    }
                    News::Event(event)
                }
                Decoded::Skipped(skipped) => {
                    self.failures = self.retry.failures_after_event(self.failures);
                    set_last_event_id(&mut self.stamp, skipped.last_event_id);
                    tracing::warn!(reason = ?skipped.reason, bytes = skipped.bytes, "an event over the limit was skipped");
                    let last_event_id = skipped.last_event_id.to_owned();
                    News::Skipped(Skipped { reason: skipped.reason, bytes: skipped.bytes, last_event_id })
                }
                Decoded::Comment(comment) => {
                    let news = News::Comment(comment.to_owned());
                    // A block without data may have come right before it, and nothing after it in this chunk (P9).
                    set_last_event_id(&mut self.stamp, self.decoder.last_event_id());
                    news
                }
                Decoded::Retry(milliseconds) => {
                    self.reconnection_time = Some(Duration::from_millis(milliseconds));
                    continue;
                }
                _ => continue,
            });
        }
        // A block without data tells nothing, but its id counts (P9).
        set_last_event_id(&mut self.stamp, self.decoder.last_event_id());
        None
    }

    /// The body ended as it should: a reason to connect again (C18), unless it is all that was wanted.
    pub(crate) fn push_end(&mut self, moment: Moment) -> Option<News> {
        if self.state == State::Open && self.stop.is_at_end {
            self.state = State::Closed;
        }
        self.push_failure(Error::new(Kind::EndOfStream, "the server ended the stream"), moment)
    }

    /// There is no answer, or none that is a stream, or the body broke or ended (C15 to C18).
    pub(crate) fn push_failure(&mut self, error: Error, moment: Moment) -> Option<News> {
        if !matches!(self.state, State::Connecting | State::Open) {
            return None;
        }
        self.count_failure(moment);
        let is_covered = || error.kind() == Kind::Status && error.status().is_some_and(|it| self.retry.covers(it));
        if error.is_final() && !is_covered() {
            return Some(self.fail(error, false));
        }
        if !self.retry.allows(self.failures) {
            return Some(self.fail(error, true));
        }
        Some(self.reestablish(error, moment))
    }

    /// The wait is over.
    pub(crate) fn push_waited(&mut self) {
        if matches!(self.state, State::Waiting(_)) {
            self.state = State::Connecting;
            self.attempt = self.attempt.saturating_add(1);
        }
    }

    /// Ends it for good, without any news (C23).
    pub(crate) fn close(&mut self) {
        self.state = State::Closed;
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Which attempt is under way or was the last, from 1.
    pub(crate) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// What `Last-Event-ID` says in the next request; absent if it is empty (C12, C13).
    pub(crate) fn last_event_id(&self) -> &Arc<str> {
        &self.stamp.last_event_id
    }

    pub(crate) fn stamp(&self) -> &Arc<Stamp> {
        &self.stamp
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    fn count_failure(&mut self, moment: Moment) {
        let was_open_for = moment.now.saturating_sub(self.opened_at);
        if self.state == State::Open && self.retry.is_healthy_after(was_open_for) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// "Reestablish the connection" (C21).
    fn reestablish(&mut self, error: Error, moment: Moment) -> News {
        let retry_after = error.headers().and_then(retry_after);
        let wait = self.retry.wait(retry_after.or(self.reconnection_time), self.failures, moment.jitter);
        self.state = State::Waiting(wait);
        self.interruption(error, Some(wait), false)
    }

    /// "Fail the connection" (C22).
    fn fail(&mut self, error: Error, has_given_up: bool) -> News {
        self.state = State::Closed;
        self.interruption(error, None, has_given_up)
    }

    fn interruption(&self, error: Error, retry_in: Option<Duration>, has_given_up: bool) -> News {
        let attempt = Attempt { number: self.attempt, failures: self.failures, retry_in, has_given_up };
        News::Error(Interruption { error: error.with_attempt(attempt) })
    }
}

/// Many streams have no ids, or few: allocates only when it changes, and compares only what is not empty.
#[inline]
fn set_last_event_id(stamp: &mut Arc<Stamp>, text: &str) {
    let is_empty = text.is_empty() && stamp.last_event_id.is_empty();
    if !is_empty && *stamp.last_event_id != *text {
        *stamp = Arc::new(Stamp { last_event_id: text.into(), origin: Arc::clone(&stamp.origin) });
    }
}

#[cfg(test)]
mod tests;
