//! A subscription of the application itself, without HTTP.

use std::collections::VecDeque;
use std::sync::Arc;

use fanfare_log::{Position, ReadError, Record};
use fanfare_wire::{Decoded, Decoder, Limits};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use crate::Hub;
use crate::cursor::{Cursor, Gap, GapReason};
use crate::hub::SubscribeError;
use crate::selector::{Selector, Selectors};
use crate::shared::{Phase, Shared};
use crate::subscription::read_budget;

/// An update as the application itself receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The canonical topic and then the alternates.
    pub topics: Vec<Arc<str>>,
    /// The event's type, `message` if it has none.
    pub event_type: String,
    /// The event's data.
    pub data: String,
    /// The event's id: what to go on from.
    pub id: String,
}

/// Why an update can't be received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Updates after the one that is named have left the history, or nobody knows it. What is kept follows.
    #[error("updates after `{requested}` are lost to this subscription: {reason}")]
    Gap {
        /// The id that can't be gone on from.
        requested: String,
        /// `expired`, `unknown` or `lagged`, as subscribers over HTTP are told.
        reason: &'static str,
    },
    /// The history can't be read now. The stream ends; subscribe again with the last id.
    #[error("the history can't be read now")]
    Log(#[source] ReadError),
}

impl Hub {
    /// The updates that `selectors` select, private ones as well, after the event with the id `last_event_id`: those
    /// from now on if it is `None`, all that is kept if it is `earliest`. Whatever it missed comes as
    /// [`ReceiveError::Gap`]. Ends when the hub stops.
    ///
    /// It is a cursor into the log, and holds what one read gives, at most 1024 updates; whoever is slow reads on from
    /// where it was. Each looks at each update that is published, which is for some, not for thousands: those are
    /// [`run`](Self::run)'s.
    ///
    /// ```
    /// use fanfare_hub::{Hub, Selector, Topic, Update};
    /// use futures_util::StreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::builder().build().await?;
    /// let mut orders = hub.subscribe(["orders/{id}".parse::<Selector>()?], None).await?;
    /// hub.publish(Update::new(Topic::new("orders/7")?, "paid")).await?;
    /// let order = orders.next().await.ok_or("the hub has stopped")??;
    /// assert_eq!((&*order.topics[0], &*order.data), ("orders/7", "paid"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] if the hub stops, the history can't be read, or no event can have such an id.
    pub async fn subscribe<S: Into<Selector>>(
        &self,
        selectors: impl IntoIterator<Item = S>,
        last_event_id: Option<&str>,
    ) -> Result<BoxStream<'static, Result<Received, ReceiveError>>, SubscribeError> {
        let start = self.start(&Cursor::parse(last_event_id)?, &crate::Grant::everything()).await?;
        let shared = self.shared.clone();
        let subscription = Inside {
            selectors: selectors.into_iter().map(Into::into).collect(),
            position: start.after,
            gap: start.gap,
            pending: VecDeque::new(),
            decoder: Decoder::with_limits(Limits::for_event_bytes(usize::MAX)),
            tail: shared.tail.subscribe(),
            phase: shared.phase.subscribe(),
            shared,
            has_ended: false,
        };
        Ok(stream::unfold(subscription, Inside::next).boxed())
    }
}

/// A subscription in this process.
struct Inside {
    shared: Arc<Shared>,
    selectors: Selectors,
    /// Everything up to here was given, or is pending.
    position: Position,
    gap: Option<Gap>,
    pending: VecDeque<Arc<Record>>,
    decoder: Decoder,
    tail: watch::Receiver<Position>,
    phase: watch::Receiver<Phase>,
    has_ended: bool,
}

impl Inside {
    async fn next(mut self) -> Option<(Result<Received, ReceiveError>, Self)> {
        while !self.has_ended {
            if let Some(Gap { requested, reason }) = self.gap.take() {
                self.shared.counters.count_gap(reason);
                return Some((Err(ReceiveError::Gap { requested, reason: reason.as_str() }), self));
            }
            if let Some(record) = self.pending.pop_front() {
                if let Some(received) = self.decode(&record) {
                    return Some((Ok(received), self));
                }
                continue;
            }
            // What is published after this is seen by the wait, and what was acknowledged before a stop by the read.
            self.tail.borrow_and_update();
            let is_stopping = *self.phase.borrow_and_update() != Phase::Running;
            match self.read() {
                Ok(true) => tokio::task::yield_now().await,
                Ok(false) if is_stopping => return None,
                Ok(false) => tokio::select! {
                    // Both channels are held by what this holds.
                    _ = self.tail.changed() => {}
                    _ = self.phase.changed() => {}
                },
                Err(error) => {
                    self.has_ended = true;
                    return Some((Err(ReceiveError::Log(error)), self));
                }
            }
        }
        None
    }

    /// Reads on. Returns whether there was anything, for this subscription or not.
    fn read(&mut self) -> Result<bool, ReadError> {
        match self.shared.log.read(self.position, self.selectors.topics(), read_budget(&self.selectors)) {
            Ok(batch) => {
                let is_new = batch.end > self.position;
                self.position = batch.end;
                let selected = |record: &Arc<Record>| self.selectors.match_any(record.topics.iter());
                self.pending = batch.records.into_iter().filter(selected).collect();
                Ok(is_new)
            }
            Err(ReadError::Expired) => {
                self.gap = Some(Gap { requested: self.position.to_string(), reason: GapReason::Lagged });
                self.position = self.shared.log.span().start;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// The log holds what goes out to subscribers.
    fn decode(&mut self, record: &Record) -> Option<Received> {
        let mut frame = &record.frame[..];
        while let Some(decoded) = self.decoder.decode(&mut frame) {
            if let Decoded::Event(message) = decoded {
                return Some(Received {
                    topics: record.topics.to_vec(),
                    event_type: message.event_type.to_owned(),
                    data: message.data.to_owned(),
                    id: message.last_event_id.to_owned(),
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use fanfare_log::Retention;

    use super::*;
    use crate::{Topic, Update};

    fn topic(text: &str) -> Topic {
        Topic::new(text).unwrap()
    }

    #[tokio::test]
    async fn it_gives_what_is_selected_in_order_from_its_cursor_to_the_end_of_the_hub() {
        let hub = Hub::builder().build().await.unwrap();
        let first = hub.publish(Update::new(topic("a/1"), "first")).await.unwrap();
        let typed = Update::new(topic("b"), "x\ny").with_alternate(topic("a/2")).with_type("t".try_into().unwrap());
        hub.publish_batch(vec![typed.private(), Update::new(topic("c"), "other")]).await.unwrap();
        let selector: Selector = "a/{n}".parse().unwrap();
        let mut all = hub.subscribe([selector.clone()], Some("earliest")).await.unwrap();
        let mut rest = hub.subscribe([selector], Some(&first)).await.unwrap();
        let mut new = hub.subscribe([topic("a/1")], None).await.unwrap();
        assert_eq!(all.next().await.unwrap().unwrap().id, first);
        for stream in [&mut all, &mut rest] {
            let got = stream.next().await.unwrap().unwrap();
            assert_eq!((&*got.data, &*got.event_type), ("x\ny", "t"));
            assert_eq!(got.topics, ["b".into(), "a/2".into()]);
        }
        let (got, _) = tokio::join!(new.next(), hub.publish(Update::new(topic("a/1"), "")));
        assert_eq!(got.unwrap().unwrap().data, "");
        hub.publish(Update::new(topic("a/1"), "last")).await.unwrap();
        hub.stop().await;
        assert_eq!(new.next().await.unwrap().unwrap().data, "last");
        assert!(new.next().await.is_none());
        assert!(matches!(hub.subscribe([Selector::all()], None).await.map(drop), Err(SubscribeError::Draining)));
    }

    #[tokio::test]
    async fn what_is_lost_is_told() {
        let retention = Retention { count: Some(64), ..Retention::default() };
        let hub = Hub::builder().memory(retention).build().await.unwrap();
        let mut slow = hub.subscribe([Selector::all()], None).await.unwrap();
        for n in 0..1000 {
            hub.publish(Update::new(topic("a"), n.to_string())).await.unwrap();
        }
        let gap = slow.next().await.unwrap().unwrap_err();
        assert!(matches!(gap, ReceiveError::Gap { reason: "lagged", .. }), "{gap}");
        assert!(slow.next().await.unwrap().is_ok());
        let mut unknown = hub.subscribe([Selector::all()], Some("nobody's")).await.unwrap();
        let gap = unknown.next().await.unwrap().unwrap_err();
        assert_eq!(gap.to_string(), "updates after `nobody's` are lost to this subscription: unknown");
        assert!(hub.subscribe([Selector::all()], Some("a\nb")).await.is_err());
    }
}
