//! The body of a subscription's response.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fanfare_log::{Log, Position, ReadError};
use fanfare_wire::KEEP_ALIVE;
use http_body::{Body, Frame};

use crate::channel::audience::{Outlet, Standing};
#[cfg(feature = "listener")]
use crate::channel::listener::{Answer, Offer};
use crate::channel::shared::Shared;
#[cfg(feature = "listener")]
use crate::chunked;
use crate::cursor::{Gap, GapReason};

/// The body of a [`Subscription`](crate::Subscription)'s response: it reads the channel's history from its position on,
/// whenever it is polled. Dropping it ends the subscription.
pub struct ChannelBody {
    place: Option<Place>,
    preface: Option<Bytes>,
    /// It offers to leave the connection's own driver, once its first chunk is out.
    #[cfg(feature = "listener")]
    offer: Option<Offer>,
    #[cfg(feature = "listener")]
    first: Bytes,
}

/// A seat, which is given up when this is dropped, and what was to be held as long.
pub(crate) struct Place {
    pub(crate) shared: Arc<Shared>,
    pub(crate) number: usize,
    pub(crate) _held: Vec<Box<dyn Any + Send + Sync>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.leave(self.number);
    }
}

/// What there is for a subscriber.
pub(crate) enum Next {
    /// Events, also as a chunk of HTTP/1.1 where the channel writes itself.
    #[cfg_attr(not(feature = "listener"), expect(dead_code, reason = "only sockets want it framed"))]
    Events { plain: Bytes, framed: Option<Bytes> },
    /// Nothing, and it will be told.
    Nothing,
    /// The last words.
    End(Bytes),
}

impl ChannelBody {
    pub(crate) fn new(place: Option<Place>, preface: Vec<u8>) -> Self {
        Self {
            place,
            preface: Some(preface.into()),
            #[cfg(feature = "listener")]
            offer: None,
            #[cfg(feature = "listener")]
            first: Bytes::new(),
        }
    }

    /// A body without anything.
    pub(crate) fn empty() -> Self {
        Self { preface: None, ..Self::new(None, Vec::new()) }
    }

    /// Offers to leave the connection's own driver once the preface is out.
    #[cfg(feature = "listener")]
    pub(crate) fn offer(mut self, connection: &crate::Connection) -> Self {
        self.offer = Some(Offer::new(connection));
        self
    }
}

impl Place {
    /// What comes next for a seat that is live or behind. If there is nothing, `waker` is woken when there is.
    pub(crate) fn next(&self, waker: &Waker) -> Next {
        let Self { shared, number, .. } = self;
        let mut seats = shared.seats();
        let now = shared.clock.milliseconds();
        loop {
            let spread_to = seats.spread_to;
            let Some(seat) = seats.table.get_mut(*number) else { return Next::End(Bytes::new()) };
            let from = match seat.standing {
                Standing::Live => {
                    if now >= seat.leaves_at {
                        return Next::End(shared.farewell.get().cloned().unwrap_or_default());
                    }
                    if now.saturating_sub(seat.sent_at) >= shared.keep_alive {
                        seat.sent_at = now;
                        return Next::Events { plain: Bytes::from_static(KEEP_ALIVE), framed: None };
                    }
                    match &mut seat.outlet {
                        Outlet::Body(waiting) => *waiting = Some(waker.clone()),
                        #[cfg(feature = "listener")]
                        Outlet::Socket(_) => {}
                    }
                    return Next::Nothing;
                }
                Standing::Behind(from) => from,
                #[cfg(feature = "listener")]
                Standing::Visited(_) => return Next::Nothing,
            };
            if from >= spread_to {
                seat.standing = Standing::Live;
                continue;
            }
            let interest = Arc::clone(&seat.interest);
            let (events, framed, end) = match seats.chunk(&shared.log, &interest, from) {
                #[cfg(feature = "listener")]
                Ok(chunk) => (chunk.events, Some(chunk.framed), chunk.end),
                #[cfg(not(feature = "listener"))]
                Ok(chunk) => (chunk.events, None, chunk.end),
                Err(error) => {
                    let (event, start) = gap(shared, from, &error);
                    (event, None, start.min(spread_to))
                }
            };
            let Some(seat) = seats.table.get_mut(*number) else { return Next::End(Bytes::new()) };
            seat.standing = Standing::Behind(end);
            if !events.is_empty() {
                seat.sent_at = now;
                return Next::Events { plain: events, framed };
            }
        }
    }
}

/// What a subscriber is told whom history has passed by, and where it goes on.
fn gap(shared: &Shared, from: Position, error: &ReadError) -> (Bytes, Position) {
    debug_assert!(matches!(error, ReadError::Expired), "memory can be read");
    let span = shared.log.span();
    let mut bytes = Vec::new();
    Gap { requested: from.to_string(), reason: GapReason::Lagged }.event(span).encode(&mut bytes);
    (bytes.into(), span.start)
}

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if let Some(preface) = this.preface.take() {
            #[cfg(feature = "listener")]
            if this.offer.is_some() {
                this.first = chunked::encode(&preface);
            }
            return Poll::Ready(Some(Ok(Frame::data(preface))));
        }
        #[cfg(feature = "listener")]
        if let Some(offer) = &this.offer {
            let brought = this.place.take().map(|place| (place, std::mem::take(&mut this.first)));
            match offer.answer(brought, context) {
                Answer::Waits => return Poll::Pending,
                Answer::Stays(place) => (this.place, this.offer) = (Some(place), None),
                Answer::Taken => this.offer = None,
            }
        }
        let Some(place) = &this.place else { return Poll::Ready(None) };
        match place.next(context.waker()) {
            Next::Events { plain, .. } => Poll::Ready(Some(Ok(Frame::data(plain)))),
            Next::Nothing => Poll::Pending,
            Next::End(words) => {
                this.place = None;
                if words.is_empty() { Poll::Ready(None) } else { Poll::Ready(Some(Ok(Frame::data(words)))) }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.preface.is_none() && self.place.is_none() && !self.is_on_offer()
    }
}

impl ChannelBody {
    fn is_on_offer(&self) -> bool {
        #[cfg(feature = "listener")]
        return self.offer.is_some();
        #[cfg(not(feature = "listener"))]
        false
    }
}

impl fmt::Debug for ChannelBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBody").field("is_open", &self.place.is_some()).finish_non_exhaustive()
    }
}
