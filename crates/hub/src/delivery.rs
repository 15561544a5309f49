//! One subscriber on the general path: a cursor that reads the log whenever its socket has room.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_log::{Position, ReadBudget, ReadError, Record};
use futures_util::Stream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cursor::{Gap, GapReason, Start};
use crate::shared::{Phase, Shared};
use crate::subscription::{Subscription, read_budget};

/// A subscription being served. Nothing is queued for it: it holds a position and reads on when it is polled.
pub(crate) struct Delivery {
    hub: Arc<Shared>,
    subscription: Subscription,
    budget: ReadBudget,
    cursor: Position,
    /// Where it began, until it was told.
    start: Option<Start>,
    tail: watch::Receiver<Position>,
    phase: watch::Receiver<Phase>,
    /// When it ends: once the hub is stopping, or because its token ends.
    leaves_at: Option<Instant>,
    /// When its token ends, and nothing may be sent any more.
    expires_at: Option<Instant>,
    is_draining: bool,
    ended: bool,
}

impl Delivery {
    pub(crate) fn new(hub: Arc<Shared>, subscription: Subscription, start: Start) -> Self {
        hub.counters.subscribers.inc();
        hub.counters.subscriptions.inc();
        let (tail, mut phase) = (hub.tail.subscribe(), hub.phase.subscribe());
        // The hub may have begun to stop since it let this one in; a receiver takes what it starts with for seen.
        phase.mark_changed();
        let budget = read_budget(subscription.selectors());
        let (cursor, start) = (start.after, Some(start));
        let now = Instant::now();
        // A token may last longer than there are instants.
        let (left, expires_at) = (subscription.left(), subscription.left().and_then(|left| now.checked_add(left)));
        let leaves_at = left.and_then(|left| now.checked_add(hub.share_of_life(left)));
        let (is_draining, ended) = (false, false);
        Self { hub, subscription, budget, cursor, start, tail, phase, leaves_at, expires_at, is_draining, ended }
    }

    /// The chunks to send: each is what is pending, up to a bound.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Bytes> + Send {
        futures_util::stream::unfold(self, |mut delivery| async {
            let chunk = delivery.next().await?;
            Some((chunk, delivery))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(start) = self.start.take() {
            let mut greeting = Vec::new();
            self.hub.greet(&start, &mut greeting);
            if !greeting.is_empty() {
                return Some(greeting.into());
            }
        }
        while !self.ended {
            let tail = *self.tail.borrow_and_update();
            while self.cursor < tail {
                // Whoever reads slowly is cut off here; the rest comes after the cursor, if there is a new token.
                if self.expires_at.is_some_and(|at| at <= Instant::now()) {
                    return None;
                }
                match self.hub.log.read(self.cursor, self.subscription.topics(), self.budget) {
                    Ok(batch) => {
                        self.cursor = batch.end;
                        if let Some(chunk) = self.chunk(&batch.records) {
                            return Some(chunk);
                        }
                    }
                    Err(ReadError::Expired) => return self.fell_behind(),
                    // The connection is lost, and no event: the subscriber comes back with its cursor.
                    Err(error) => {
                        tracing::error!(%error, source = ?error.source(), "a subscriber was cut off");
                        return None;
                    }
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
        let time_to_leave = async {
            match leaves_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        // Neither channel closes while the hub is held.
        tokio::select! {
            biased;
            _ = self.tail.changed() => {}
            _ = self.phase.changed(), if !self.is_draining => {
                if let Phase::Draining { begun, window } = *self.phase.borrow() {
                    self.is_draining = true;
                    let leaves_at = begun + self.hub.share_of(window);
                    self.leaves_at = Some(self.leaves_at.map_or(leaves_at, |at| at.min(leaves_at)));
                }
            }
            () = time_to_leave => self.ended = true,
        }
    }

    /// The frames of those records that are admitted, in one piece. A single one is shared, not copied.
    fn chunk(&self, records: &[Arc<Record>]) -> Option<Bytes> {
        let admitted: Vec<&Bytes> =
            records.iter().filter(|record| self.subscription.admits(record)).map(|record| &record.frame).collect();
        let chunk = match admitted.as_slice() {
            [] => return None,
            [one] => Bytes::clone(one),
            several => {
                let mut chunk = Vec::with_capacity(several.iter().map(|frame| frame.len()).sum());
                several.iter().for_each(|frame| chunk.extend_from_slice(frame));
                chunk.into()
            }
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
        let mut event = Vec::new();
        self.ended = !self.hub.tell(&gap, self.cursor, &mut event);
        (!self.ended).then(|| event.into())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.hub.counters.subscribers.dec();
    }
}
