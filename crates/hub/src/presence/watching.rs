//! The stream of somebody who watches who is subscribed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_log::Position;
use fanfare_wire::{Event, EventId};
use http_body::{Body, Frame};

use crate::cursor::{EARLIEST, Gap, GapReason, Start};
use crate::delivery::Delivery;
use crate::limits::NEWS_READ_MAX;
use crate::presence::document::SUBSCRIPTIONS;
use crate::presence::{NewsCursor, Presence, State};
use crate::selector::Selectors;
use crate::shared::Shared;
use crate::subscription::Subscription;

/// A delivery with the subscription events between its own. Those who watch are few, so only they pay for it.
///
/// Whoever reconnects by an event of the log is told the news since that event. So news must not come later than an event
/// that was published after it: whenever there is something of the log to send, what news there is goes first.
pub(crate) struct Watching {
    delivery: Delivery,
    /// What the delivery gave, and what has to wait for the news before it.
    held: Option<Option<Result<Frame<Bytes>, Infallible>>>,
    /// What the subscriber has of the log.
    position: Position,
    hub: Arc<Shared>,
    presence: Arc<Presence>,
    subscription: Subscription,
    /// The number of the next news.
    next: u64,
    /// What it asked for that can't be told, until that is said.
    missed: Option<String>,
    /// Where its waker is kept.
    place: usize,
}

impl Presence {
    /// Whether there may be news that `selectors` select, of a subscription or of a grant.
    pub(crate) fn may_interest(selectors: &Selectors) -> bool {
        selectors.is_all()
            || selectors.exact().iter().any(|text| match text.split_once('{') {
                None => text.starts_with(SUBSCRIPTIONS),
                // The text of a template is among the exact topics. It begins with what stands before its first brace.
                Some((literal, _)) => literal.starts_with(SUBSCRIPTIONS) || SUBSCRIPTIONS.starts_with(literal),
            })
    }

    /// The first news for whoever starts there.
    pub(crate) fn news_at(&self, start: &Start) -> NewsStart {
        let state = self.state();
        let State { bulletin, cluster, .. } = &*state;
        let own = cluster.as_ref().map(|cluster| cluster.node);
        let next = match NewsCursor::parse(&start.header) {
            _ if start.is_tail => Some(bulletin.next()),
            Some(cursor) if cursor.node == own => Some(cursor.number.saturating_add(1)),
            Some(cursor) => cluster.as_ref().and_then(|cluster| cluster.resume(&cursor, bulletin)),
            // All that there is, which is never a gap.
            None if start.header == EARLIEST => Some(bulletin.oldest()),
            // A position does not say which node gave it, and so not what was told before it.
            None if own.is_some() => None,
            None => Some(bulletin.since(start.after)),
        };
        match next.filter(|next| bulletin.has(*next)) {
            Some(next) => NewsStart { next, missed: None },
            None => NewsStart { next: bulletin.next(), missed: Some(start.header.clone()) },
        }
    }
}

/// Where somebody starts among the news.
#[derive(Debug, Clone)]
pub(crate) struct NewsStart {
    /// The number of the first.
    next: u64,
    /// The cursor after which all was asked for, if that can't be told.
    pub(crate) missed: Option<String>,
}

impl Watching {
    /// Adds the news from `start` on to `delivery`.
    pub(crate) fn new(
        hub: Arc<Shared>,
        presence: Arc<Presence>,
        subscription: Subscription,
        delivery: Delivery,
        start: NewsStart,
    ) -> Self {
        let NewsStart { next, missed } = start;
        let place = presence.state().wakers.insert(None);
        let position = delivery.cursor();
        Self { delivery, held: None, position, hub, presence, subscription, next, missed, place }
    }

    /// The events of the next news that is for the subscriber. `None` if there is none, and it is woken when there is.
    fn events(&mut self, context: &Context<'_>) -> Poll<Option<Vec<u8>>> {
        if let Some(requested) = self.missed.take() {
            return Poll::Ready(self.lost(requested));
        }
        let (news, node) = {
            let mut state = self.presence.state();
            let next = state.bulletin.next();
            let node = state.cluster.as_ref().map(|cluster| cluster.node);
            match state.bulletin.from(self.next, NEWS_READ_MAX) {
                None => {
                    drop(state);
                    let number = std::mem::replace(&mut self.next, next).saturating_sub(1);
                    let requested = NewsCursor { position: self.position, number, node }.to_string();
                    return Poll::Ready(self.lost(requested));
                }
                Some(news) if news.is_empty() => {
                    if let Some(waker) = state.wakers.get_mut(self.place) {
                        *waker = Some(context.waker().clone());
                    }
                    return Poll::Pending;
                }
                Some(news) => (news, node),
            }
        };
        let mut events = Vec::new();
        for news in news {
            self.next = news.number + 1;
            let record = news.record();
            if !self.subscription.admits(&record) {
                continue;
            }
            let id = NewsCursor { position: self.position, number: news.number, node }.to_string();
            let mut event = Event::data(String::from_utf8_lossy(&record.frame));
            if let Ok(id) = EventId::new(id) {
                event = event.with_id(id);
            }
            event.encode(&mut events);
            if events.len() > NEWS_PIECE_BYTES {
                break;
            }
        }
        Poll::Ready(Some(events))
    }

    /// Tells that news was lost. `None` ends the stream.
    fn lost(&mut self, requested: String) -> Option<Vec<u8>> {
        let mut event = Vec::new();
        let is_told = self.hub.tell(&Gap { requested, reason: GapReason::Lagged }, self.position, &mut event);
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
        // What waits for news before it has passed the delivery's own look, and news comes by none.
        if self.delivery.is_over() {
            return Poll::Ready(None);
        }
        if self.held.is_none() {
            if self.delivery.is_within_chunk() {
                // The rest of an event.
                return Pin::new(&mut self.delivery).poll_frame(context);
            }
            // All that it has given was sent, so its cursor is what the subscriber has.
            self.position = self.delivery.cursor();
            if let Poll::Ready(frame) = Pin::new(&mut self.delivery).poll_frame(context) {
                self.held = Some(frame);
            } else {
                self.position = self.delivery.cursor();
            }
        }
        match self.events(context) {
            Poll::Pending => match self.held.take() {
                Some(frame) => Poll::Ready(frame),
                None => Poll::Pending,
            },
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(events)) if events.is_empty() => {
                // Nothing among many: others come between.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Some(events)) => Poll::Ready(Some(Ok(Frame::data(events.into())))),
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.presence.state().wakers.try_remove(self.place);
    }
}

/// How much news is sent at once, in bytes.
const NEWS_PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Cursor;
    use crate::grant::Grant;
    use crate::selector::Selector;
    use crate::{Hub, Revocation, Settings, Topic, Update};
    use http_body_util::BodyExt;

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

    /// Whoever reconnects by an event of the log is told the news since it, and must have been told all before.
    #[tokio::test]
    async fn news_comes_before_what_was_published_after_it_and_with_the_position_before_that() {
        let settings = Settings { subscriptions: true, ..Settings::default() };
        let hub = Hub::builder().settings(settings).build().await.unwrap();
        let presence = hub.shared.presence.clone().unwrap();
        let grant = Arc::new(Grant::everything());
        let start = hub.start(&Cursor::Tail, &grant).await.unwrap();
        let subscription = Subscription::new([Selector::all()].into_iter().collect(), grant);
        let news = presence.news_at(&start);
        let delivery = Delivery::new(hub.shared.clone(), subscription.clone(), &start);
        let mut body = Watching::new(hub.shared.clone(), presence.clone(), subscription, delivery, news);
        let mut next = async || {
            let frame = body.frame().await.unwrap().unwrap();
            String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
        };
        next().await;
        let member = presence.join(1, std::iter::once("somebody".into()), None);
        let published = hub.publish(Update::new(Topic::new("t").unwrap(), "published")).await.unwrap();
        drop(member);
        // Until the herald has told of it.
        while hub.shared.audience.seats().heralded < *hub.shared.tail.borrow() {
            tokio::task::yield_now().await;
        }
        let news = next().await;
        let id = format!("id: {}-s", start.after);
        assert!(news.contains("somebody") && news.matches(&id).count() == 2, "{news}");
        assert_eq!(next().await, format!("id: {published}\ndata: published\n\n"));
    }

    /// Neither news from then on, nor an event that waits for news before it.
    #[tokio::test]
    async fn nothing_is_told_to_whom_access_was_taken_from() {
        for waits in [false, true] {
            let settings = Settings { subscriptions: true, ..Settings::default() };
            let hub = Hub::builder().settings(settings).build().await.unwrap();
            let presence = hub.shared.presence.clone().unwrap();
            let grant = Arc::new(Grant::everything());
            let start = hub.start(&Cursor::Tail, &grant).await.unwrap();
            let access = Revocation::new();
            let subscription = Subscription::new([Selector::all()].into_iter().collect(), grant);
            let subscription = subscription.until(Some(access.clone()));
            let news = presence.news_at(&start);
            let delivery = Delivery::new(hub.shared.clone(), subscription.clone(), &start);
            let mut body = Watching::new(hub.shared.clone(), presence.clone(), subscription, delivery, news);
            body.frame().await.unwrap().unwrap();
            if waits {
                let _before = presence.join(1, std::iter::once("before".into()), None);
                hub.publish(Update::new(Topic::new("t").unwrap(), "waits")).await.unwrap();
                while hub.shared.audience.seats().heralded < *hub.shared.tail.borrow() {
                    tokio::task::yield_now().await;
                }
                body.frame().await.unwrap().unwrap();
            }
            access.revoke();
            let _after = presence.join(2, std::iter::once("after".into()), None);
            assert!(body.frame().await.is_none(), "{waits}");
            drop(body);
            assert!(hub.exposition().contains("fanfare_ended_streams_total{reason=\"revoked\"} 1\n"), "{waits}");
        }
    }
}
