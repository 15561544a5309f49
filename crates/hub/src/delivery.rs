//! One subscriber on the general path: a body that reads the log from its cursor whenever its connection has room.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use fanfare_log::{Batch, Position, ReadError};
use fanfare_wire::KEEP_ALIVE;
use http_body::{Body, Frame};
use tracing::{Level, Span};

use crate::audience::{News, Seats, join, revoker};
use crate::compression::{CodedStream, Coding};
use crate::conflation::Conflation;
use crate::cursor::{Gap, GapReason, Start};
use crate::figures::{Held, StreamEnd};
use crate::lag::Lag;
use crate::limits::FRAME_BYTES_MAX;
use crate::revocation::Lease;
use crate::shared::{Phase, Shared};
use crate::slow_policy::SlowPolicy;
use crate::subscription::{Subscription, read_budget};

/// The body of a subscription's response. Nothing is queued for it: it holds a seat with a position, and reads on when
/// it is polled.
pub(crate) struct Delivery {
    hub: Arc<Shared>,
    seat: usize,
    /// Its access can be taken back. Boxed, because most have none.
    lease: Option<Box<Lease>>,
    /// What is pending still of what was read last.
    chunk: Bytes,
    /// How it has ended, if it has.
    end: Option<StreamEnd>,
    /// How far it is behind, if its stream is to end when that is too far.
    lag: Option<Box<Lag>>,
    /// What it has read ahead, if it wants the latest events alone while it is behind.
    ahead: Option<Box<Conflation>>,
    /// Where it stands in its coding, if it has one.
    coded: Option<Box<(CodedStream, Held)>>,
    /// The request it answers and when it began, if the log tells of the end.
    begun: Option<Box<(Span, Instant)>>,
}

/// What there is for a subscriber.
enum Next {
    /// In the subscriber's coding.
    Events(Bytes),
    /// Not in it yet.
    Text(Bytes),
    /// Nothing, and it is woken when there is.
    Waits,
    /// Nothing among many: others come between.
    Yields,
    End(StreamEnd),
}

impl Delivery {
    pub(crate) fn new(hub: Arc<Shared>, subscription: Subscription, start: &Start) -> Self {
        hub.counters.subscribers.inc();
        hub.counters.general_subscribers.inc();
        hub.counters.subscriptions.inc();
        let begun = tracing::enabled!(Level::DEBUG).then(|| Box::new((Span::current(), Instant::now())));
        // A comment first, so that the head is not held back until there is an event.
        let mut greeting = KEEP_ALIVE.to_vec();
        hub.greet(start, &mut greeting);
        let revocation = subscription.revocation().cloned();
        let tail = *hub.tail.borrow();
        let is_watched = subscription.slow() == SlowPolicy::Disconnect;
        let lag = is_watched.then(|| Box::new(Lag::at(start.after.max(tail))));
        let seat = hub.audience.sit(&hub, subscription, start.after);
        let lease = revocation.map(|revocation| Box::new(revocation.watch(revoker(&hub, seat))));
        Self { hub, seat, lease, chunk: greeting.into(), end: None, lag, ahead: None, coded: None, begun }
    }

    /// The same in a coding.
    pub(crate) fn in_coding(mut self, coding: Coding, start: &Start) -> Self {
        let now = start.is_tail.then(|| self.hub.clock.now());
        let mut coded = CodedStream::new(coding, now);
        self.chunk = coded.text(&self.chunk);
        self.coded = Some(Box::new((coded, self.hub.counters.compressed(coding))));
        self
    }

    /// Up to where the subscriber was sent what is for it, once it has all that this had for it.
    pub(crate) fn cursor(&self) -> Position {
        self.hub.audience.seats().cursor(self.seat).unwrap_or_else(|| *self.hub.tail.borrow())
    }

    /// Whether what comes next is the rest of what was begun.
    pub(crate) fn is_within_chunk(&self) -> bool {
        !self.chunk.is_empty()
    }

    /// Whether nothing more may be sent, because what the subscriber was granted has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        let is_revoked = self.lease.as_ref().is_some_and(|lease| lease.is_revoked());
        let is_over = is_revoked || self.hub.audience.seats().is_expired(self.seat);
        if is_over && self.end.is_none() {
            self.end = Some(self.forced_end());
        }
        is_over
    }

    fn next(&mut self, context: &Context<'_>) -> Next {
        let (subscription, cursor, news) = {
            let mut seats = self.hub.audience.seats();
            let (heralded, now) = (seats.heralded, seats.now);
            let Some(seat) = seats.come(self.seat) else { return Next::End(self.forced_end()) };
            // Whoever reads slowly is cut off here; the rest comes after the cursor, if there is a new token.
            if now >= seat.expires_at {
                return Next::End(self.forced_end());
            }
            let (cursor, sent_at) = (seat.cursor, seat.sent_at);
            if cursor >= heralded {
                // What was acknowledged before it goes is still delivered.
                if now >= seat.leaves_at && cursor >= *self.hub.tail.borrow() {
                    let has_token_end = seat.expires_at != u32::MAX;
                    return Next::End(self.orderly_end(has_token_end));
                }
                if seats.is_heartbeat_due(sent_at) {
                    self.sends(&mut seats);
                    return Next::Text(Bytes::from_static(KEEP_ALIVE));
                }
                if let Some(seat) = seats.table.get_mut(self.seat) {
                    seat.waker = Some(context.waker().clone());
                }
                return Next::Waits;
            }
            let subscription = seat.subscription.clone();
            // Where more has come since, all of it goes out now: a read of its own costs less than being woken again.
            let tail = *self.hub.tail.borrow();
            let news = seats.news.clone().filter(|news| news.from == cursor && news.batch.end >= tail);
            (subscription, cursor, news)
        };
        if let Some(news) = news {
            self.ahead = None;
            return self.take(&subscription, &news.batch, Some(&news));
        }
        self.read_on(&subscription, cursor).unwrap_or_else(|error| self.can_not_read(cursor, &error))
    }

    fn read_on(&mut self, subscription: &Subscription, cursor: Position) -> Result<Next, ReadError> {
        let (log, selectors) = (&*self.hub.log, subscription.selectors());
        if subscription.slow() == SlowPolicy::Conflate {
            return self.read_ahead(subscription, cursor);
        }
        if let Some(lag) = &mut self.lag {
            lag.reached(cursor);
            let max = self.hub.settings.slow_disconnect_events;
            if lag.exceeds(max, log, selectors, |record| subscription.admits_ref(record))? {
                return Ok(Next::End(StreamEnd::TooFarBehind));
            }
        }
        let batch = log.read(cursor, subscription.topics(), read_budget(selectors))?;
        Ok(self.take(subscription, &batch, None))
    }

    /// Reads on for whoever wants the latest event of each topic alone.
    fn read_ahead(&mut self, subscription: &Subscription, cursor: Position) -> Result<Next, ReadError> {
        let new = || Box::new(Conflation::after(cursor, &self.hub.conflations));
        let mut ahead = self.ahead.take().unwrap_or_else(new);
        let step = ahead.step(&*self.hub.log, subscription.selectors(), |record| subscription.admits(record))?;
        self.ahead = Some(ahead).filter(|ahead| !ahead.is_empty());
        let count = step.due.len();
        {
            let mut seats = self.hub.audience.seats();
            let now = seats.now;
            let Some(seat) = seats.table.get_mut(self.seat) else { return Ok(Next::End(self.forced_end())) };
            seat.cursor = step.position.unwrap_or(seat.cursor);
            if count > 0 {
                seat.sends_at(now);
            }
        }
        if count == 0 {
            return Ok(Next::Yields);
        }
        let chunk = join(step.due.iter().map(|(_, frame)| frame));
        self.count(count, &chunk);
        Ok(Next::Text(chunk))
    }

    fn can_not_read(&mut self, cursor: Position, error: &ReadError) -> Next {
        if matches!(error, ReadError::Expired) {
            return self.fell_behind(cursor);
        }
        // The connection is lost, and no event: the subscriber comes back with its cursor.
        tracing::error!(%error, source = ?error.source(), "a subscriber was cut off");
        Next::End(StreamEnd::Failed)
    }

    fn count(&self, events: usize, chunk: &Bytes) {
        self.hub.counters.delivered.inc_by(events as u64);
        self.hub.counters.delivered_bytes.inc_by(chunk.len() as u64);
    }

    /// The frames of those records that are admitted, in one piece.
    fn take(&mut self, subscription: &Subscription, batch: &Batch, news: Option<&News>) -> Next {
        let admitted = batch.records.iter().filter(|record| subscription.admits(record));
        let count = admitted.clone().count();
        if let Some(lag) = &mut self.lag {
            admitted.clone().for_each(|record| lag.sent(record.position));
        }
        {
            let mut seats = self.hub.audience.seats();
            let now = seats.now;
            let Some(seat) = seats.table.get_mut(self.seat) else { return Next::End(self.forced_end()) };
            seat.cursor = batch.end;
            if count > 0 {
                seat.sends_at(now);
            }
        }
        if count == 0 {
            return Next::Yields;
        }
        let chunk = match (&mut self.coded, news) {
            (Some(coded), _) => {
                coded.0.records(&self.hub.contexts, subscription.selectors(), admitted, self.hub.clock.now())
            }
            (None, Some(news)) if count == batch.records.len() => news.whole(),
            _ => join(admitted.map(|record| &record.frame)),
        };
        self.count(count, &chunk);
        Next::Events(chunk)
    }

    /// The history has passed the cursor. Without a gap event the connection is lost instead, and the answer to the
    /// reconnect tells: never silence.
    fn fell_behind(&mut self, cursor: Position) -> Next {
        let gap = Gap { requested: cursor.to_string(), reason: GapReason::Lagged };
        let start = self.hub.log.span().start;
        let mut event = Vec::new();
        if !self.hub.tell(&gap, start, &mut event) {
            return Next::End(StreamEnd::Lagged);
        }
        let tail = *self.hub.tail.borrow();
        self.lag = self.lag.is_some().then(|| Box::new(Lag::at(start.max(tail))));
        let mut seats = self.hub.audience.seats();
        if let Some(seat) = seats.table.get_mut(self.seat) {
            seat.cursor = start;
        }
        self.sends(&mut seats);
        Next::Text(event.into())
    }

    /// Why a stream ends that its client and the hub leave alone.
    fn orderly_end(&self, has_token_end: bool) -> StreamEnd {
        match *self.hub.phase.borrow() {
            Phase::Draining { .. } => StreamEnd::Drained,
            Phase::Running if has_token_end => StreamEnd::TokenExpired,
            Phase::Running => StreamEnd::Aged,
        }
    }

    /// Why a stream ends whose place was taken from it.
    fn forced_end(&self) -> StreamEnd {
        if self.lease.as_ref().is_some_and(|lease| lease.is_revoked()) { StreamEnd::Revoked } else { StreamEnd::CutOff }
    }

    /// Notes that something is sent now.
    fn sends(&self, seats: &mut Seats) {
        let now = seats.now;
        if let Some(seat) = seats.table.get_mut(self.seat) {
            seat.sends_at(now);
        }
    }
}

impl Body for Delivery {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.chunk.is_empty() {
            let mut seats = self.hub.audience.seats();
            if seats.is_expired(self.seat) {
                drop(seats);
                // Half an event, which no client takes for one.
                self.chunk.clear();
                self.end = Some(self.forced_end());
            } else {
                self.sends(&mut seats);
            }
        } else if self.end.is_none() {
            match self.next(context) {
                Next::Events(events) => self.chunk = events,
                Next::Text(text) => {
                    self.chunk = self.coded.as_mut().map_or_else(|| text.clone(), |coded| coded.0.text(&text));
                }
                Next::Waits => return Poll::Pending,
                Next::Yields => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Next::End(end) => {
                    let farewell = if end == StreamEnd::Drained { self.hub.farewell() } else { Vec::new() };
                    self.end = Some(end);
                    self.chunk = match self.coded.take() {
                        Some(mut coded) if farewell.is_empty() => coded.0.end(),
                        Some(mut coded) => [coded.0.text(&farewell), coded.0.end()].concat().into(),
                        None => farewell.into(),
                    };
                }
            }
        }
        if self.chunk.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.chunk.len().min(FRAME_BYTES_MAX);
        let frame =
            if length == self.chunk.len() { std::mem::take(&mut self.chunk) } else { self.chunk.split_to(length) };
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_some() && self.chunk.is_empty()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let seat = self.hub.audience.seats().leave(self.seat);
        let was_cut_off = seat.as_ref().is_some_and(|seat| seat.is_cut_off);
        drop(seat);
        let end = if was_cut_off { self.forced_end() } else { self.end.unwrap_or(StreamEnd::Client) };
        self.hub.counters.count_end(end);
        if let Some((span, begun)) = self.begun.as_deref() {
            let (reason, seconds) = (end.as_str(), begun.elapsed().as_secs());
            span.in_scope(|| tracing::debug!(reason, duration_s = seconds, "a stream has ended"));
        }
        self.hub.counters.general_subscribers.dec();
        self.hub.counters.subscribers.dec();
    }
}
