//! The hub: what publishing and subscribing come together in, without HTTP.

use std::sync::{Arc, Mutex};

use fanfare_log::{
    AppendError, Appended, BATCH_EVENTS_MAX, Engine, Epoch, Id, Log, MemoryLog, Position, ReadError, Record, Retention,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::advance::Advance;
use crate::audience::{Audience, herald};
use crate::clock::{Clock, SystemClock};
use crate::compression::Contexts;
use crate::cursor::{Cursor, GapReason, InvalidCursor, Start};
use crate::figures::{Counters, Figures};
use crate::grant::Grant;
use crate::http::RefusalLines;
use crate::idempotency::{Answers, IdempotencyKey};
use crate::limits::{IDLE_LOOK_INTERVAL, LEASE_MAX, LEASE_MIN, TRIM_INTERVAL};
use crate::presence::{Neighbours, Presence};
use crate::publish_rate::PublishRate;
use crate::quota::Quotas;
use crate::recent_types::RecentTypes;
use crate::settings::Settings;
use crate::shard::Bells;
use crate::shared::{Phase, Shared};
use crate::topic::Topic;
use crate::update::Update;

/// An event hub. A handle: clones are the same hub, which lives as long as one of them.
///
/// ```
/// use fanfare_hub::{Hub, Topic, Update};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::builder().build().await?;
/// let id = hub.publish(Update::new(Topic::new("greetings")?, "hello")).await?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// hub.run(listener, async { /* until told to stop */ }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
}

impl Hub {
    /// A hub with a history of 64 MiB in memory, unless told otherwise.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// Publishes one update and gives its id, once it is durable and before subscribers have it.
    ///
    /// # Errors
    ///
    /// [`PublishError`] says whether it was stored.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, the update may have been stored or not.
    /// [`publish_once`](Self::publish_once) can be asked again.
    pub async fn publish(&self, update: Update) -> Result<String, PublishError> {
        let ids = self.publish_batch(vec![update]).await?;
        ids.into_iter().next().ok_or(PublishError::BatchSize)
    }

    /// Publishes several updates, 1 to 4096, all or none, next to each other in the order given, and gives their ids.
    ///
    /// # Errors
    ///
    /// [`PublishError`] says whether they were stored.
    ///
    /// # Cancel safety
    ///
    /// As of [`publish`](Self::publish).
    pub async fn publish_batch(&self, updates: Vec<Update>) -> Result<Vec<String>, PublishError> {
        self.check(&updates)?;
        self.append(updates, None).await
    }

    async fn append(&self, updates: Vec<Update>, key: Option<&str>) -> Result<Vec<String>, PublishError> {
        let begun = std::time::Instant::now();
        let types: Vec<String> = updates.iter().filter_map(Update::public_type).map(str::to_owned).collect();
        let now = self.shared.clock.now();
        let drafts: Vec<_> = updates.into_iter().map(|update| update.into_draft(now)).collect();
        let ids: Vec<Id> = drafts.iter().map(|draft| draft.id.clone()).collect();
        let bytes: u64 = drafts.iter().map(|draft| draft.frame.len() as u64).sum();
        let appended = match key {
            None => Appended::Now(self.shared.engine.append(drafts).await?),
            Some(key) => self.shared.engine.append_once(key, drafts).await?,
        };
        let named: Vec<(Id, Position)> = match appended {
            Appended::Now(positions) => {
                let counters = &self.shared.counters;
                counters.published.inc_by(positions.len() as u64);
                counters.published_batches.inc();
                counters.published_bytes.inc_by(bytes);
                counters.publish_duration.observe(begun.elapsed().as_secs_f64());
                types.iter().for_each(|event_type| self.shared.recent_types.note(event_type));
                ids.into_iter().zip(positions).collect()
            }
            // Another node counted them.
            Appended::Before(named) => named,
        };
        let name = |(id, position)| match id {
            Id::Chosen(id) => id.to_string(),
            Id::Position => Position::to_string(&position),
        };
        Ok(named.into_iter().map(name).collect())
    }

    /// Publishes as [`publish_batch`](Self::publish_batch) does, unless the same key was published within the last two
    /// minutes: then nothing is stored, and the first answer is given again. Goes on if the caller goes away, so that
    /// asking again finds the answer.
    ///
    /// # Errors
    ///
    /// As `publish_batch`, and [`PublishError::IdempotencyKeys`]. A publish that failed may be tried again with its key.
    pub async fn publish_once(&self, key: &IdempotencyKey, updates: Vec<Update>) -> Result<Vec<String>, PublishError> {
        // What is refused takes no place among the keys.
        self.check(&updates)?;
        let bytes = updates.iter().map(Update::id_bytes_max).sum();
        let answer = self.shared.answers.of(key, bytes, Instant::now()).ok_or(PublishError::IdempotencyKeys)?;
        let (hub, key) = (self.clone(), key.for_engine());
        let published = tokio::spawn(async move {
            let mut answer = answer.lock().await;
            if let Some(ids) = &*answer {
                return Ok(ids.clone());
            }
            let ids = hub.append(updates, Some(&key)).await?;
            *answer = Some(ids.clone());
            Ok(ids)
        });
        published
            .await
            .unwrap_or_else(|error| Err(AppendError::maybe_stored("the publish broke off").with_source(error).into()))
    }

    fn check(&self, updates: &[Update]) -> Result<(), PublishError> {
        if self.is_draining() {
            return Err(PublishError::Draining);
        }
        if updates.is_empty() || updates.len() > BATCH_EVENTS_MAX {
            return Err(PublishError::BatchSize);
        }
        for update in updates {
            if update.topics().len() > self.shared.settings.topics_max {
                return Err(PublishError::Topics(self.shared.settings.topics_max));
            }
            if let Some(topic) = update.topics().iter().find(|topic| topic.is_reserved()) {
                return Err(PublishError::Reserved(topic.clone()));
            }
        }
        Ok(())
    }

    /// The hub's own figures now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.shared.counters.figures(self.shared.log.usage())
    }

    /// Finds where a subscription of somebody with `grant` starts, if one may.
    ///
    /// Another node may have given the cursor before what it stands for has come here, so nothing is called unknown until
    /// the log has caught up.
    pub(crate) async fn start(&self, cursor: &Cursor, grant: &Grant) -> Result<Start, SubscribeError> {
        if self.is_draining() {
            return Err(SubscribeError::Draining);
        }
        let Shared { engine, log, .. } = &*self.shared;
        let may_know = |record: &Record| grant.may_see(record);
        if engine.is_filling() {
            engine.catch_up().await.map_err(SubscribeError::Behind)?;
        }
        let start = cursor.locate(&**log, may_know)?;
        if start.gap.as_ref().is_none_or(|gap| gap.reason != GapReason::Unknown) {
            return Ok(start);
        }
        engine.catch_up().await.map_err(SubscribeError::Behind)?;
        Ok(cursor.locate(&**log, may_know)?)
    }

    /// Ends every stream, spread over the drain time, and takes no publish and no subscription any more. Returns when no
    /// stream is open, or at the end of that time: an application that serves [`router`](Self::router) itself calls it
    /// before it shuts down.
    ///
    /// A stream whose peer takes nothing can't end, and its connection is the server's. Whatever waits for connections
    /// after this, as `axum::serve` does, needs a bound of its own.
    pub async fn stop(&self) {
        self.drain();
        let ended = async {
            let mut looks = tokio::time::interval(IDLE_LOOK_INTERVAL);
            while self.shared.counters.subscribers.get() > 0 {
                looks.tick().await;
            }
        };
        let _ = tokio::time::timeout(self.shared.settings.drain, ended).await;
    }

    /// Takes no publish and no subscription from now on, and ends the streams, spread over the drain time.
    pub(crate) fn drain(&self) {
        let window = self.shared.settings.drain;
        self.shared.phase.send_if_modified(|phase| {
            let begins = *phase == Phase::Running;
            if begins {
                *phase = Phase::Draining { begun: Instant::now(), window };
            }
            begins
        });
        self.shared.bells.ring();
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.shared.phase.borrow() != Phase::Running
    }
}

/// Makes a [`Hub`].
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct HubBuilder {
    settings: Settings,
    retention: Option<Retention>,
    stores: Option<(Arc<dyn Engine>, Arc<dyn Log>)>,
    neighbours: Option<Arc<dyn Neighbours>>,
    clock: Option<Arc<dyn Clock>>,
    seed: Option<u64>,
}

/// Some hundred thousand small events, and little enough for the smallest machine.
pub const DEFAULT_RETENTION: Retention = Retention { count: None, age: None, bytes: Some(64 << 20) };

impl HubBuilder {
    /// How the hub behaves.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Keeps the history in memory, within `retention`, in place of 64 MiB.
    pub fn memory(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Keeps the history in `log`, which also makes the order.
    pub fn log<L: Log + 'static>(self, log: Arc<L>) -> Self {
        self.engine(log.clone(), log)
    }

    /// Has `engine` make the order, and subscribers read `log`, to which the engine brings every event.
    pub fn engine(mut self, engine: Arc<dyn Engine>, log: Arc<dyn Log>) -> Self {
        self.stores = Some((engine, log));
        self
    }

    /// Lists the subscribers of all these hubs and tells who comes and goes there, if it
    /// [does](Settings::subscriptions) for its own.
    pub fn neighbours(mut self, neighbours: Arc<dyn Neighbours>) -> Self {
        self.neighbours = Some(neighbours);
        self
    }

    /// Takes the time of day from `clock` in place of the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Draws jitter from this seed, so that a test can repeat it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Makes the hub and starts its upkeep. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BuildError`] names the setting that can't be.
    #[expect(clippy::unused_async, reason = "a hub on a distributed engine connects to it here")]
    pub async fn build(self) -> Result<Hub, BuildError> {
        if self.settings.heartbeat.is_zero() {
            return Err(BuildError::Heartbeat);
        }
        if !(LEASE_MIN..=LEASE_MAX).contains(&self.settings.node_lease) {
            return Err(BuildError::Lease);
        }
        if self.settings.connection_age_max.is_some_and(|age| age.is_zero()) {
            return Err(BuildError::ConnectionAge);
        }
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let (engine, log) = self.stores.unwrap_or_else(|| {
            let retention = self.retention.unwrap_or(DEFAULT_RETENTION);
            let log = Arc::new(MemoryLog::new(Epoch(clock.now().0), retention));
            (log.clone(), log)
        });
        let tail = watch::Sender::new(log.span().tail);
        let bells = Arc::new(Bells::default());
        let advance = Arc::new(Advance::default());
        let (notify, ring, note) = (tail.clone(), bells.clone(), advance.clone());
        log.on_advance(Box::new(move |position| {
            let now = std::time::Instant::now();
            note.note(now);
            notify.send_if_modified(|tail| {
                let advances = position > *tail;
                *tail = (*tail).max(position);
                advances
            });
            ring.ring_for_news(now);
        }));
        let counters = Counters::default();
        counters.time_syncs(&*log);
        let presence = self.settings.subscriptions.then(|| {
            let (name, lease) = (self.settings.node_name.clone(), self.settings.node_lease);
            let presence = Presence::new(tail.subscribe(), clock.clone(), name, lease);
            match &self.neighbours {
                Some(neighbours) => presence.among(neighbours),
                None => Arc::new(presence),
            }
        });
        let shared = Shared {
            presence,
            audience: Audience::new(log.span().tail, &self.settings),
            quotas: Quotas::default(),
            publish_rate: self.settings.publish_rate.map(PublishRate::new),
            advance,
            contexts: Contexts::default(),
            conflations: Arc::default(),
            settings: self.settings,
            engine,
            log,
            tail,
            bells,
            phase: watch::Sender::new(Phase::Running),
            counters,
            refusal_lines: RefusalLines::default(),
            recent_types: RecentTypes::default(),
            answers: Answers::default(),
            clock,
            random: Mutex::new(self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)),
        };
        let hub = Hub { shared: Arc::new(shared) };
        hub.shared.settings.authorization.keep_fresh();
        hub.keep_up();
        herald(&hub.shared);
        Ok(hub)
    }
}

impl Hub {
    /// Trims the log by age and looks after the engine, as long as there is a hub.
    fn keep_up(&self) {
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TRIM_INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut was_ready = true;
            loop {
                ticks.tick().await;
                let Some(shared) = shared.upgrade() else { return };
                shared.log.trim(shared.clock.now());
                was_ready = tell_readiness(&shared, was_ready);
            }
        });
    }
}

/// Says when the engine stops taking events, and why, and when it does again. Returns whether it does.
fn tell_readiness(hub: &Shared, was_ready: bool) -> bool {
    let trouble = hub.engine.unready();
    match &trouble {
        Some(reason) if was_ready => tracing::error!(reason = reason.as_str(), "the engine takes no events"),
        None if !was_ready => tracing::info!("the engine takes events again"),
        _ => {}
    }
    trouble.is_none()
}

/// A hub that can't be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// [`Settings::heartbeat`] is zero.
    #[error("the heartbeat must be longer than zero: it is a comment to every subscriber each time")]
    Heartbeat,
    /// [`Settings::connection_age_max`] is zero: streams would end at once.
    #[error("the longest age of a stream must be longer than zero")]
    ConnectionAge,
    /// [`Settings::node_lease`] is not within 50 ms and 5 minutes.
    #[error("a node's lease is {LEASE_MIN:?} to {LEASE_MAX:?}: so long its subscribers are listed when it is gone")]
    Lease,
}

/// A subscription that was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The hub is stopping.
    #[error("the hub is stopping: subscribe to it when it is back")]
    Draining,
    /// The log has not caught up with the engine, for this reason.
    #[error("the history is not complete here yet: {0}")]
    Behind(String),
    /// The log does not give what it holds.
    #[error("the history can't be read now")]
    Log(#[from] ReadError),
    /// No event can have such an id.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
}

/// An update that was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The hub is stopping.
    #[error("the hub is stopping: publish to it when it is back")]
    Draining,
    /// Too many events, or none: a batch has 1 to [`BATCH_EVENTS_MAX`].
    #[error("a batch has 1 to {BATCH_EVENTS_MAX} events")]
    BatchSize,
    /// More topics than [`Settings::topics_max`], which is given.
    #[error("an update has at most {0} topics")]
    Topics(usize),
    /// A topic of the hub's own namespace.
    #[error("the topic `{0}` is in the namespace that the hub keeps for itself")]
    Reserved(Topic),
    /// More publishes with an idempotency key than can be remembered.
    #[error("too many publishes with an idempotency key in two minutes: wait, or publish in larger batches")]
    IdempotencyKeys,
    /// The log did not confirm it.
    #[error(transparent)]
    Append(#[from] AppendError),
}
