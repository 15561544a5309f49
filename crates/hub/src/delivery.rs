//! One subscriber on the general path: a cursor that reads the log whenever its socket has room.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_log::{Expired, Position, ReadBudget, Record};
use fanfare_wire::{Event, EventId, EventType};
use futures_util::Stream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cursor::{Gap, GapReason, Start};
use crate::hub::{Phase, Shared};
use crate::limits::{READ_BYTES_MAX, READ_EXAMINED_MAX, READ_RECORDS_MAX};
use crate::subscription::Subscription;

const BUDGET: ReadBudget = ReadBudget { records: READ_RECORDS_MAX, bytes: READ_BYTES_MAX, examined: READ_EXAMINED_MAX };

/// A subscription being served. Nothing is queued for it: it holds a position and reads on when it is polled.
pub(crate) struct Delivery {
    hub: Arc<Shared>,
    subscription: Subscription,
    cursor: Position,
    /// A gap known from the start, to be told first.
    gap: Option<Gap>,
    tail: watch::Receiver<Position>,
    phase: watch::Receiver<Phase>,
    /// When it ends, once the hub is stopping.
    leaves_at: Option<Instant>,
    ended: bool,
}

impl Delivery {
    pub(crate) fn new(hub: Arc<Shared>, subscription: Subscription, start: Start) -> Self {
        hub.counters.subscribers.inc();
        hub.counters.subscriptions.inc();
        let (tail, mut phase) = (hub.tail.subscribe(), hub.phase.subscribe());
        // The hub may have begun to stop since it let this one in; a receiver takes what it starts with for seen.
        phase.mark_changed();
        Self { hub, subscription, cursor: start.after, gap: start.gap, tail, phase, leaves_at: None, ended: false }
    }

    /// The chunks to send: each is what is pending, up to a bound.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Bytes> + Send {
        futures_util::stream::unfold(self, |mut delivery| async {
            let chunk = delivery.next().await?;
            Some((chunk, delivery))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(gap) = self.gap.take()
            && let Some(event) = self.tell(&gap)
        {
            return Some(event);
        }
        while !self.ended {
            let tail = *self.tail.borrow_and_update();
            while self.cursor < tail {
                match self.hub.log.read(self.cursor, self.subscription.topics(), BUDGET) {
                    Ok(batch) => {
                        self.cursor = batch.end;
                        if let Some(chunk) = self.chunk(&batch.records) {
                            return Some(chunk);
                        }
                    }
                    Err(Expired) => return self.fell_behind(),
                }
                // A subscriber of a rare topic may look at much before it finds something: others come between.
                tokio::task::yield_now().await;
            }
            self.wait().await;
        }
        None
    }

    /// Waits until there may be more, or it is time to go. What was acknowledged before that is still delivered.
    async fn wait(&mut self) {
        let leaves_at = self.leaves_at;
        tokio::select! {
            biased;
            changed = self.tail.changed() => self.ended = changed.is_err(),
            changed = self.phase.changed(), if leaves_at.is_none() => match (changed, *self.phase.borrow()) {
                (Ok(()), Phase::Draining { begun, window }) => self.leaves_at = Some(begun + self.hub.share_of(window)),
                (Ok(()), Phase::Running) => {}
                (Err(_), _) => self.ended = true,
            },
            () = tokio::time::sleep_until(leaves_at.unwrap_or_else(far_future)), if leaves_at.is_some() => self.ended = true,
        }
    }

    /// The frames of those records that are admitted, in one piece. A single one is shared, not copied.
    fn chunk(&self, records: &[Arc<Record>]) -> Option<Bytes> {
        let admitted: Vec<&Bytes> =
            records.iter().filter(|record| self.subscription.admits(record)).map(|record| &record.frame).collect();
        let chunk = match admitted.as_slice() {
            [] => return None,
            [one] => Bytes::clone(one),
            several => several.iter().flat_map(|frame| frame.iter().copied()).collect(),
        };
        self.hub.counters.delivered.inc_by(admitted.len() as u64);
        self.hub.counters.delivered_bytes.inc_by(chunk.len() as u64);
        Some(chunk)
    }

    /// The history has passed the cursor. Without a gap event the connection is lost instead, and the answer to the
    /// reconnect tells: never silence.
    fn fell_behind(&mut self) -> Option<Bytes> {
        let gap = Gap { requested: self.cursor.to_string(), reason: GapReason::Lagged };
        self.cursor = self.hub.log.span().start;
        let event = self.tell(&gap);
        self.ended = event.is_none();
        event
    }

    /// The gap event: its id is the position before the oldest event kept, so that a reconnect right after it goes on
    /// from there.
    fn tell(&self, gap: &Gap) -> Option<Bytes> {
        self.hub.counters.count_gap(gap.reason);
        if !self.hub.settings.gap_event {
            return None;
        }
        let oldest = self.hub.log.span().oldest.map(|position| position.to_string());
        let data = serde_json::json!({ "requested": gap.requested, "oldest": oldest, "reason": gap.reason.as_str() });
        let mut event = Event::data(data.to_string());
        if let (Ok(event_type), Ok(id)) = (EventType::new(GAP_TYPE), EventId::new(self.cursor.to_string())) {
            event = event.with_type(event_type).with_id(id);
        }
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        Some(bytes.into())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.hub.counters.subscribers.dec();
    }
}

/// The type of the event that tells a subscriber what it has missed.
pub const GAP_TYPE: &str = "fanfare-gap";

fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
