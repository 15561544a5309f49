//! Who wakes the audience.

use std::sync::{Arc, Weak};
use std::time::Duration;

use fanfare_log::{Position, ReadBudget, ReadError, Topics};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::audience::news::News;
use crate::audience::seat::{Seat, Times};
use crate::audience::stay;
use crate::figures::Path;
use crate::limits::{READ_BYTES_MAX, READ_EXAMINED_MAX, READ_RECORDS_MAX};
use crate::shard::{tick, ticks};
use crate::shared::{Phase, Shared};

/// Reads what is new, and keeps the time, as long as there is a hub.
pub(crate) fn herald(hub: &Arc<Shared>) {
    let (tail, phase) = (hub.tail.subscribe(), hub.phase.subscribe());
    let herald = Herald { tick: tick(&hub.settings), start: Instant::now(), hub: Arc::downgrade(hub), tail, phase };
    tokio::spawn(herald.run());
}

struct Herald {
    hub: Weak<Shared>,
    tail: watch::Receiver<Position>,
    phase: watch::Receiver<Phase>,
    tick: Duration,
    start: Instant,
}

impl Herald {
    async fn run(mut self) {
        let mut interval = tokio::time::interval(self.tick);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both channels close with the hub.
            tokio::select! {
                changed = self.tail.changed() => if changed.is_err() { return },
                changed = self.phase.changed() => {
                    let Some(hub) = self.hub.upgrade().filter(|_| changed.is_ok()) else { return };
                    self.tell_phase(&hub).await;
                }
                _ = interval.tick() => {}
            }
            let Some(hub) = self.hub.upgrade() else { return };
            self.tell_news(&hub).await;
            self.tell_time(&hub).await;
        }
    }

    async fn tell_time(&self, hub: &Shared) {
        let now = ticks(self.start.elapsed(), self.tick);
        {
            let mut seats = hub.audience.seats();
            if seats.now >= now {
                return;
            }
            seats.now = now;
        }
        let mut slow = 0;
        let tick = |seat: &mut Seat, times: &Times| {
            slow += usize::from(seat.is_behind(times.told));
            seat.tick(times)
        };
        hub.audience.visit(tick).await;
        hub.counters.set_general_slow(slow);
    }

    /// Everybody leaves at a moment of its own.
    async fn tell_phase(&mut self, hub: &Shared) {
        let phase = *self.phase.borrow_and_update();
        let leave = |seat: &mut Seat, times: &Times| {
            seat.leaves_at = seat.leaves_at.min(times.now.saturating_add(stay(hub, phase, self.tick)));
            None
        };
        hub.audience.visit(leave).await;
    }

    async fn tell_news(&mut self, hub: &Shared) {
        let advanced_at = hub.advance.take();
        let tail = *self.tail.borrow_and_update();
        let mut wakes = false;
        loop {
            let from = hub.audience.seats().heralded;
            if from >= tail {
                if let Some(at) = advanced_at.filter(|_| wakes) {
                    hub.counters.observe_fanout(Path::General, at.elapsed());
                }
                return;
            }
            match hub.log.read(from, Topics::All, NEWS_BUDGET) {
                Ok(batch) => wakes |= self.tell(hub, Arc::new(News::new(from, batch))).await,
                // Others find out for themselves how it is.
                Err(error) => {
                    if !matches!(error, ReadError::Expired) {
                        tracing::error!(%error, "the log can't be read");
                    }
                    {
                        let mut seats = hub.audience.seats();
                        (seats.heralded, seats.news) = (tail, None);
                    }
                    hub.audience.visit(Seat::wake).await;
                    hub.audience.seats().told = tail;
                }
            }
        }
    }

    /// Tells the news. Returns whether it was for anybody who waited.
    async fn tell(&self, hub: &Shared, news: Arc<News>) -> bool {
        let audience = &hub.audience;
        {
            let mut seats = audience.seats();
            seats.heralded = news.batch.end;
            seats.news = Some(news.clone());
        }
        let mut records = &news.batch.records[..];
        let mut wakes = false;
        while !records.is_empty() {
            let (calls, found) = audience.find(records).await;
            wakes |= audience.call(&calls, records).await;
            records = &records[found..];
        }
        audience.seats().told = news.batch.end;
        audience.wait_for_woken().await;
        wakes
    }
}

/// What the herald takes from the log at once.
const NEWS_BUDGET: ReadBudget =
    ReadBudget { records: READ_RECORDS_MAX, bytes: READ_BYTES_MAX, examined: READ_EXAMINED_MAX };
