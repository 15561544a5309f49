//! The stream of somebody who watches who is subscribed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_log::{Position, Record};
use fanfare_wire::{Event, EventId};
use http_body::{Body, Frame};

use crate::cursor::{Gap, GapReason, Start};
use crate::delivery::Delivery;
use crate::limits::NEWS_READ_MAX;
use crate::presence::document::SUBSCRIPTIONS;
use crate::presence::{NewsCursor, Presence};
use crate::selector::Selectors;
use crate::shared::Shared;
use crate::subscription::Subscription;

/// A delivery with the subscription events between its own. Those who watch are few, so only they pay for it.
pub(crate) struct Watching {
    delivery: Delivery,
    hub: Arc<Shared>,
    presence: Arc<Presence>,
    subscription: Subscription,
    /// The number of the next news.
    next: u64,
    /// Where its waker is kept.
    place: usize,
}

impl Presence {
    /// Whether there may be news that `selectors` select.
    pub(crate) fn may_interest(selectors: &Selectors) -> bool {
        selectors.is_all()
            || selectors.exact().iter().any(|text| match text.split_once('{') {
                None => text.starts_with(SUBSCRIPTIONS),
                // The text of a template is among the exact topics. It begins with what stands before its first brace.
                Some((literal, _)) => literal.starts_with(SUBSCRIPTIONS) || SUBSCRIPTIONS.starts_with(literal),
            })
    }

    /// The number of the first news for whoever starts there.
    pub(crate) fn number_at(&self, start: &Start) -> u64 {
        let state = self.state();
        match NewsCursor::parse(&start.header) {
            _ if start.is_tail => state.bulletin.next(),
            Some(cursor) => cursor.number.saturating_add(1),
            None => state.bulletin.since(start.after),
        }
    }
}

/// What there is for somebody who watches.
enum News {
    /// These, and what comes next.
    Some(Vec<Arc<Record>>),
    /// Some is lost: it goes on with this number.
    Lost(u64),
    /// Nothing: it is woken when there is.
    None,
}

impl Watching {
    /// Adds the news from `next` on to `delivery`.
    pub(crate) fn new(
        hub: Arc<Shared>,
        presence: Arc<Presence>,
        subscription: Subscription,
        delivery: Delivery,
        next: u64,
    ) -> Self {
        let place = presence.state().wakers.insert(None);
        Self { delivery, hub, presence, subscription, next, place }
    }

    fn news(&self, context: &Context<'_>) -> News {
        let mut state = self.presence.state();
        let next = state.bulletin.next();
        let Some(notes) = state.bulletin.from(self.next) else { return News::Lost(next) };
        let records: Vec<_> = notes.take(NEWS_READ_MAX).map(|note| note.record.clone()).collect();
        if records.is_empty() {
            if let Some(waker) = state.wakers.get_mut(self.place) {
                *waker = Some(context.waker().clone());
            }
            return News::None;
        }
        News::Some(records)
    }

    /// The events of those records that are admitted.
    fn encode(&self, records: &[Arc<Record>], position: Position) -> Vec<u8> {
        let mut events = Vec::new();
        for record in records.iter().filter(|record| self.subscription.admits(record)) {
            let id = NewsCursor { position, number: record.position.offset }.to_string();
            let mut event = Event::data(String::from_utf8_lossy(&record.frame));
            if let Ok(id) = EventId::new(id) {
                event = event.with_id(id);
            }
            event.encode(&mut events);
        }
        events
    }

    /// Tells that news was lost. `None` ends the stream.
    fn lost(&mut self, next: u64, position: Position) -> Option<Vec<u8>> {
        let requested = NewsCursor { position, number: self.next.saturating_sub(1) }.to_string();
        let mut event = Vec::new();
        self.next = next;
        let is_told = self.hub.tell(&Gap { requested, reason: GapReason::Lagged }, position, &mut event);
        is_told.then_some(event)
    }
}

impl Body for Watching {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.delivery).poll_frame(context) {
            return Poll::Ready(frame);
        }
        // All that the delivery had was handed on, so its cursor is what the subscriber has.
        let position = self.delivery.cursor();
        let events = match self.news(context) {
            News::None => return Poll::Pending,
            News::Lost(next) => match self.lost(next, position) {
                Some(event) => event,
                None => return Poll::Ready(None),
            },
            News::Some(records) => {
                let events = self.encode(&records, position);
                self.next += records.len() as u64;
                if events.is_empty() {
                    // Nothing among many: others come between.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                events
            }
        };
        Poll::Ready(Some(Ok(Frame::data(events.into()))))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.presence.state().wakers.try_remove(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;

    #[test]
    fn only_those_are_served_with_news_whose_selectors_may_select_some() {
        let may = |texts: &[&str]| {
            let selectors: Selectors = texts.iter().map(|text| Selector::parse(text).unwrap()).collect();
            Presence::may_interest(&selectors)
        };
        for texts in [
            &["*"][..],
            &["/.well-known/mercure/subscriptions/a/b"],
            &["x", "/.well-known/mercure/subscriptions/{topic}/{subscriber}"],
            &["/.well-known/mercure/subscriptions{/topic}{/subscriber}"],
            &["{+any}"],
            &["/.well-known/{+any}"],
        ] {
            assert!(may(texts), "{texts:?}");
        }
        for texts in [&["a"][..], &["https://example.com/{x}"], &["/books/{id}", "b"], &["/.well-known/mercure"]] {
            assert!(!may(texts), "{texts:?}");
        }
    }
}
