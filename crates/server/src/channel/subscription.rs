//! A subscription on its way to becoming a response.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare_log::{Log, Position};
use fanfare_wire::KEEP_ALIVE;
use http::Response;

use crate::LastEventId;
use crate::channel::audience::{Outlet, Phase, Seat, Standing};
use crate::channel::delivery::{ChannelBody, Place};
use crate::channel::interest::Interest;
use crate::channel::shared::Shared;
use crate::channel::subscriber::Subscriber;
use crate::cursor::{Cursor, Gap, GapReason, Start};
use crate::headers::set_own_headers;
use crate::limits::REFUSED_RETRY_SECONDS;

/// A subscription to topics of a [`Channel`](crate::Channel), which begins when it becomes a response.
#[must_use = "a subscription does nothing unless it is returned from a handler"]
pub struct Subscription {
    shared: Arc<Shared>,
    interest: Interest,
    subscriber: Subscriber,
    is_from_start: bool,
    retry: Option<Duration>,
    held: Vec<Box<dyn Any + Send + Sync>>,
}

impl Subscription {
    pub(crate) fn new(shared: Arc<Shared>, interest: Interest) -> Self {
        let subscriber = LastEventId(None).into();
        Self { shared, interest, subscriber, is_from_start: false, retry: None, held: Vec::new() }
    }

    /// Goes on after the event that the client received last; without one, only what comes from now on is sent.
    ///
    /// What is not known any more is answered with everything that is kept, and first of all a gap event. So is an id
    /// that no event can have.
    pub fn after(mut self, last_event_id: LastEventId) -> Self {
        self.subscriber.last_event_id = last_event_id;
        self
    }

    /// The same with all that the request says: behind a `Listener` (feature `listener`) the stream then costs no task and no
    /// buffers.
    pub fn to(mut self, subscriber: Subscriber) -> Self {
        self.subscriber = subscriber;
        self
    }

    /// Sends everything that is kept to a client that names no event to go on after.
    pub fn from_start(mut self) -> Self {
        self.is_from_start = true;
        self
    }

    /// Tells the client at the start to wait `delay` before it reconnects.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// Drops `guard` when the stream has ended, also when the client has gone: a guard that cancels work, or counts.
    pub fn holding(mut self, guard: impl Send + Sync + 'static) -> Self {
        self.held.push(Box::new(guard));
        self
    }

    /// The response: status 200, the headers of [`set_event_stream_headers`](crate::set_event_stream_headers) and
    /// `Content-Encoding: identity`, which keeps compressors away, the body. The subscription begins with the call.
    ///
    /// A channel that [shuts down](crate::Channel::shutdown) answers with a stream that ends at once and asks the client
    /// to come back in a few seconds.
    #[must_use]
    pub fn response(self) -> Response<ChannelBody> {
        let mut response = Response::new(self.body());
        set_own_headers(response.headers_mut());
        response
    }

    /// The response's body alone. A client that has vanished is noticed by the channel's keep-alive.
    #[must_use]
    pub fn body(self) -> ChannelBody {
        let Self { shared, interest, subscriber, is_from_start, retry, held } = self;
        let mut preface = KEEP_ALIVE.to_vec();
        if let Some(delay) = retry {
            fanfare_wire::encode_retry(delay, &mut preface);
        }
        let seated = {
            let mut seats = shared.seats();
            // What was published before is not news: it must not come to those who begin now.
            let wakers = seats.spread(&shared.log);
            let seated = (seats.phase != Phase::Stopping).then(|| {
                let start = start(&shared, subscriber.last_event_id(), is_from_start, seats.spread_to);
                let now = shared.clock.milliseconds();
                let leaves_at = if seats.phase == Phase::Finished { now } else { u64::MAX };
                let standing = Standing::Behind(start.after);
                let outlet = Outlet::Body(None);
                let seat = Seat { interest: Arc::new(interest), standing, outlet, sent_at: now, leaves_at };
                (seats.sit(seat), start)
            });
            drop(seats);
            wakers.into_iter().for_each(std::task::Waker::wake);
            shared.tell_change();
            seated
        };
        let Some((number, start)) = seated else {
            let std::ops::Range { start, end } = REFUSED_RETRY_SECONDS;
            let delay = Duration::from_secs_f64(start + shared.random() * (end - start));
            fanfare_wire::encode_comment("shutting down", &mut preface);
            fanfare_wire::encode_retry(delay, &mut preface);
            return ChannelBody::new(None, preface);
        };
        start.greet(&mut preface);
        if let Some(gap) = &start.gap {
            gap.event(shared.log.span()).encode(&mut preface);
        }
        let body = ChannelBody::new(Some(Place { shared, number, _held: held }), preface);
        #[cfg(feature = "listener")]
        if let Some(connection) = &subscriber.connection {
            return body.offer(connection);
        }
        body
    }
}

/// Where a subscription starts, if everything up to `tail` is history.
fn start(shared: &Shared, last_event_id: &LastEventId, is_from_start: bool, tail: Position) -> Start {
    let text = last_event_id.0.as_ref().map(fanfare_wire::EventId::as_str);
    let cursor = match Cursor::parse(text) {
        Ok(Cursor::Tail) if is_from_start => Cursor::Earliest,
        Ok(cursor) => cursor,
        Err(_) => return lost(shared, text.unwrap_or_default()),
    };
    match cursor.locate(&shared.log, |_| true) {
        Ok(start) if start.is_tail => Start { after: tail, ..start },
        Ok(start) => start,
        // Memory can be read.
        Err(_) => lost(shared, text.unwrap_or_default()),
    }
}

fn lost(shared: &Shared, text: &str) -> Start {
    let requested = text.chars().filter(|character| !character.is_control()).take(64).collect();
    let gap = Some(Gap { requested, reason: GapReason::Unknown });
    Start { after: shared.log.span().start, header: String::new(), gap, is_tail: false, tells_position: false }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for Subscription {
    fn into_response(self) -> axum_core::response::Response {
        self.response().map(axum_core::body::Body::new)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("interest", &self.interest)
            .field("subscriber", &self.subscriber)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
