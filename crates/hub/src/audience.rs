//! The subscribers of the general path, and who wakes them.
//!
//! Each holds a [`Seat`]. One task, the herald, reads what is new in the log, once for all of them, and wakes those for
//! whom there is something; it also keeps their time. So a subscriber that waits is a row in a table: it has no timer
//! and no place in a channel, and an event that is not for it costs a look and not the waking of a task.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use fanfare_log::{Batch, Position, ReadBudget, ReadError, Topics};
use slab::Slab;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::limits::{AUDIENCE_SLICE, READ_BYTES_MAX, READ_EXAMINED_MAX, READ_RECORDS_MAX, SEND_TIMEOUT};
use crate::settings::Settings;
use crate::shard::{tick, ticks};
use crate::shared::{Phase, Shared};
use crate::subscription::Subscription;

/// No tick.
const NEVER: u32 = u32::MAX;

tokio::task_local! {
    /// Ends the task that serves one stream, for streams that have a task of their own.
    pub(crate) static TASK: Arc<OnceLock<AbortHandle>>;
}

/// The table of seats.
#[derive(Debug)]
pub(crate) struct Audience(Mutex<Seats>);

/// What the table holds. Times are in ticks.
#[derive(Debug)]
pub(crate) struct Seats {
    pub(crate) table: Slab<Seat>,
    /// How far the herald has read.
    pub(crate) heralded: Position,
    /// What it read last.
    pub(crate) news: Option<Arc<News>>,
    pub(crate) now: u32,
    /// How many were woken and have not come yet.
    woken: usize,
    tick: Duration,
    heartbeat: u32,
    send_timeout: u32,
}

/// One subscriber.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) subscription: Subscription,
    /// It was sent what is for it up to here.
    pub(crate) cursor: Position,
    /// Whom to wake, while it waits.
    pub(crate) waker: Option<Waker>,
    is_woken: bool,
    /// When something was sent last.
    pub(crate) sent_at: u32,
    /// When it was woken, or took something to send, last. It is stuck if it does not come for more.
    pub(crate) busy_since: u32,
    /// When its stream ends: once the hub is stopping, or because its token ends.
    pub(crate) leaves_at: u32,
    /// When its token ends, and nothing may be sent any more.
    pub(crate) expires_at: u32,
    /// Ends its stream. Absent where the socket's own time-out does.
    pub(crate) task: Option<Arc<OnceLock<AbortHandle>>>,
}

/// What is new: the records after one position.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) from: Position,
    pub(crate) batch: Batch,
    /// The frames of all of it in one piece, for those who get all of it: put together by the first, shared by the rest.
    whole: OnceLock<Bytes>,
}

impl News {
    pub(crate) fn whole(&self) -> Bytes {
        self.whole.get_or_init(|| join(self.batch.records.iter().map(|record| &record.frame))).clone()
    }
}

/// Frames in one piece. A single one is shared, not copied.
pub(crate) fn join<'a>(frames: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let mut two = frames.clone();
    if let (Some(one), None) = (two.next(), two.next()) {
        return one.clone();
    }
    let mut joined = Vec::with_capacity(frames.clone().map(Bytes::len).sum());
    frames.for_each(|frame| joined.extend_from_slice(frame));
    joined.into()
}

impl Audience {
    pub(crate) fn new(tail: Position, settings: &Settings) -> Self {
        let tick = tick(settings);
        Self(Mutex::new(Seats {
            table: Slab::new(),
            heralded: tail,
            news: None,
            now: 0,
            woken: 0,
            tick,
            heartbeat: ticks(settings.heartbeat, tick),
            send_timeout: ticks(SEND_TIMEOUT, tick),
        }))
    }

    pub(crate) fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat for a subscription that was sent what is for it up to `cursor`.
    pub(crate) fn sit(&self, hub: &Shared, subscription: Subscription, cursor: Position) -> usize {
        let task = TASK.try_with(Arc::clone).ok();
        let mut seats = self.seats();
        // With the table in hand: the herald looks at the phase first and then comes here, so that one of both sees that
        // the hub stops.
        let stay = stay(hub, *hub.phase.borrow(), seats.tick);
        let now = seats.now;
        let (leaves_at, expires_at) = match subscription.left() {
            None => (NEVER, NEVER),
            // The tick now is the last one that has begun, so that the ticks counted from it are over a little sooner;
            // and the stream ends one tick sooner at least, to end cleanly.
            Some(left) => {
                let expires_at = now.saturating_add(ticks(left, seats.tick));
                let leaves_at = now.saturating_add(ticks(hub.share_of_life(left), seats.tick));
                (leaves_at.min(expires_at.saturating_sub(1)), expires_at)
            }
        };
        seats.table.insert(Seat {
            subscription,
            cursor,
            waker: None,
            is_woken: false,
            sent_at: now,
            busy_since: now,
            leaves_at: leaves_at.min(now.saturating_add(stay)),
            expires_at,
            task,
        })
    }

    /// Does `visit` for every seat, a slice at a time, and wakes those for whom it gives a waker. Between slices others
    /// come to the table, and to the processor.
    async fn visit(&self, mut visit: impl FnMut(&mut Seat, &Times) -> Option<Waker>) {
        let mut wakers = Vec::with_capacity(AUDIENCE_SLICE);
        let mut from = 0;
        loop {
            {
                let mut seats = self.seats();
                let (end, times) = (seats.table.capacity(), seats.times());
                if from >= end {
                    return;
                }
                let slice = from..end.min(from + AUDIENCE_SLICE);
                from = slice.end;
                wakers.extend(slice.filter_map(|number| visit(seats.table.get_mut(number)?, &times)));
                seats.woken += wakers.len();
            }
            wakers.drain(..).for_each(Waker::wake);
            tokio::task::yield_now().await;
        }
    }
}

impl Audience {
    /// Waits until those who were woken have taken what there is. Whatever is published meanwhile goes out together
    /// after that, where a look at once would wake everybody for each event alone: at saturation a third of the cost.
    /// It is bounded, since one whose window is shut does not come.
    async fn wait_for_woken(&self) {
        let mut turns = self.seats().woken / TASKS_A_TURN + 1;
        while turns > 0 && self.seats().woken > 0 {
            turns -= 1;
            tokio::task::yield_now().await;
        }
    }
}

/// Tasks that tokio surely runs before one that yielded comes again: it does so each 61, on each of its threads.
const TASKS_A_TURN: usize = 32;

/// The time, and how long things may take.
struct Times {
    now: u32,
    heartbeat: u32,
    send_timeout: u32,
}

impl Seats {
    /// The seat of a subscriber that comes to look.
    pub(crate) fn come(&mut self, number: usize) -> Option<&mut Seat> {
        let seat = self.table.get_mut(number)?;
        seat.waker = None;
        self.woken -= usize::from(std::mem::take(&mut seat.is_woken));
        Some(seat)
    }

    pub(crate) fn leave(&mut self, number: usize) {
        if let Some(seat) = self.table.try_remove(number) {
            self.woken -= usize::from(seat.is_woken);
        }
    }

    fn times(&self) -> Times {
        Times { now: self.now, heartbeat: self.heartbeat, send_timeout: self.send_timeout }
    }

    /// Whether a subscriber who was sent nothing since then is due a heartbeat.
    pub(crate) fn is_heartbeat_due(&self, sent_at: u32) -> bool {
        self.now - sent_at >= self.heartbeat
    }
}

impl Seat {
    /// Something is sent, and it comes for more when that is on its way.
    pub(crate) fn sends_at(&mut self, now: u32) {
        (self.sent_at, self.busy_since) = (now, now);
    }

    fn wake(&mut self, times: &Times) -> Option<Waker> {
        let waker = self.waker.take()?;
        self.busy_since = times.now;
        self.is_woken = true;
        Some(waker)
    }

    /// Wakes the subscriber if it waits and something in the batch is for it.
    fn hear(&mut self, batch: &Batch, times: &Times) -> Option<Waker> {
        self.waker.as_ref()?;
        let is_for_it =
            |record: &fanfare_log::Record| record.position > self.cursor && self.subscription.admits(record);
        if batch.records.iter().any(|record| is_for_it(record)) {
            return self.wake(times);
        }
        self.cursor = self.cursor.max(batch.end);
        None
    }

    /// Wakes the subscriber if it is due, and ends it if it is stuck.
    fn tick(&mut self, times: &Times) -> Option<Waker> {
        let Times { now, heartbeat, send_timeout } = *times;
        if self.waker.is_some() {
            return if now - self.sent_at >= heartbeat || now >= self.leaves_at { self.wake(times) } else { None };
        }
        if now - self.busy_since > send_timeout
            && let Some(task) = self.task.as_ref().and_then(|task| task.get())
        {
            tracing::debug!("a subscriber whose window stays shut is cut off");
            task.abort();
        }
        None
    }
}

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
        hub.audience.visit(Seat::tick).await;
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
        let tail = *self.tail.borrow_and_update();
        loop {
            let from = hub.audience.seats().heralded;
            if from >= tail {
                return;
            }
            match hub.log.read(from, Topics::All, NEWS_BUDGET) {
                Ok(batch) => {
                    let news = Arc::new(News { from, batch, whole: OnceLock::new() });
                    {
                        let mut seats = hub.audience.seats();
                        seats.heralded = news.batch.end;
                        seats.news = Some(news.clone());
                    }
                    hub.audience.visit(|seat, times| seat.hear(&news.batch, times)).await;
                    hub.audience.wait_for_woken().await;
                }
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
                }
            }
        }
    }
}

/// How many ticks a stream may stay open, as things stand.
fn stay(hub: &Shared, phase: Phase, tick: Duration) -> u32 {
    match phase {
        Phase::Running => NEVER,
        // The last tick is kept for what is late.
        Phase::Draining { window, .. } => ticks(hub.share_of(window), tick).saturating_sub(1),
    }
}

/// What the herald takes from the log at once.
const NEWS_BUDGET: ReadBudget =
    ReadBudget { records: READ_RECORDS_MAX, bytes: READ_BYTES_MAX, examined: READ_EXAMINED_MAX };
