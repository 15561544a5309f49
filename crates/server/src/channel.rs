//! Broadcast with replay, within one process.
//!
//! How an event goes, in the order of the modules: [`Channel::publish`] appends it to the log; the herald spreads it over
//! the audience, the table of subscribers; whoever has something to get is woken and reads the log from where it stands.

mod interest;

mod audience;

mod shared;

mod herald;

mod delivery;

mod subscriber;

mod subscription;

#[cfg(feature = "listener")]
mod socket;

#[cfg(feature = "listener")]
mod listener;

mod shutdown;

mod generations;

pub use delivery::ChannelBody;
pub use generations::{Generating, Generations, GenerationsBuilder, Producer, StartError};
#[cfg(feature = "listener")]
pub use listener::{Connection, ConnectionIo, Listener};
pub use shutdown::Shutdown;
pub use subscriber::Subscriber;
pub use subscription::Subscription;

use std::sync::Arc;
use std::time::Duration;

use fanfare_log::{AppendError, Draft, Frame, Id, Log, Place, Position, Retention, Visibility};
use fanfare_wire::{Event, EventId};

use crate::LastEventId;
use crate::channel::audience::Phase;
use crate::channel::interest::Interest;
use crate::channel::shared::Shared;
use crate::cursor::Cursor;
use crate::limits::RETAIN_BYTES;

/// Topics that this process publishes to and its clients subscribe to, with a history from which a client that lost its
/// connection goes on. A handle: clones are the same channel.
///
/// ```
/// use fanfare_server::{Channel, Event, LastEventId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let channel = Channel::builder().retain_count(1000).build();
/// let first = channel.publish("rooms/1", Event::data("hello"))?;
/// channel.publish("rooms/2", Event::data("not for us"))?;
/// channel.publish("rooms/1", Event::data("how are you?"))?;
///
/// // In a handler, with the request's `Last-Event-ID`:
/// let response = channel.subscribe(["rooms/1"]).after(LastEventId(Some(first))).response();
/// # use http_body_util::BodyExt;
/// # let mut body = response.into_body();
/// # body.frame().await;
/// # let frame = body.frame().await.expect("an event")?.into_data().expect("data");
/// # assert!(frame.ends_with(b"\ndata: how are you?\n\n"));
/// # Ok(())
/// # }
/// ```
///
/// An event is encoded once, and its bytes are shared by all who get it. There is no queue per subscriber: one that does
/// not read costs a row in a table, and when history has passed it by, it is told so by an event of the type
/// `fanfare-gap` with the data `{"requested":"…","oldest":"…"|null,"reason":"expired"|"unknown"|"lagged"}`, the same as a
/// hub sends.
///
/// Publishing never waits for a subscriber and never blocks. Events of one channel have one order, over all its topics.
#[derive(Debug, Clone)]
pub struct Channel {
    shared: Arc<Shared>,
}

impl Channel {
    /// A channel with a history of 64 MiB and a comment after 15 seconds without an event. Must be called in a tokio
    /// runtime.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A channel that is to be different.
    pub fn builder() -> ChannelBuilder {
        ChannelBuilder::default()
    }

    /// Publishes `event` on `topic` and gives its id: the event's own, or else its position in the history.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing was published.
    pub fn publish(&self, topic: impl Into<Arc<str>>, event: Event) -> Result<EventId, PublishError> {
        self.publish_on([topic.into()], event)
    }

    /// Publishes `event` on several topics at once. A subscriber of more than one of them gets it once.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing was published.
    #[expect(clippy::needless_pass_by_value, reason = "an event is given away, as to every other way to send one")]
    pub fn publish_on<T: Into<Arc<str>>>(
        &self,
        topics: impl IntoIterator<Item = T>,
        event: Event,
    ) -> Result<EventId, PublishError> {
        let topics: Vec<Arc<str>> = topics.into_iter().map(Into::into).collect();
        if topics.is_empty() {
            return Err(PublishError::NoTopic);
        }
        let chosen = event.id().cloned();
        let (id, frame) = match &chosen {
            Some(id) if !can_be_cursor(id) => return Err(PublishError::Id(id.clone())),
            Some(id) => {
                let mut bytes = Vec::new();
                event.encode(&mut bytes);
                (Id::Chosen(id.as_str().into()), Frame::whole(bytes))
            }
            None => {
                let (bytes, slot) = event.encode_with_id_slot();
                (Id::Position, Frame::with_slot(bytes, slot))
            }
        };
        let time = self.shared.clock.timestamp();
        let draft = Draft { topics, id, visibility: Visibility::Public, time, frame };
        let positions = self.shared.publish(vec![draft])?;
        let named = |position: &Position| EventId::new(position.to_string()).ok();
        chosen.or_else(|| positions.first().and_then(named)).ok_or(PublishError::NoTopic)
    }

    /// Publishes `value` as JSON on `topic`.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing was published.
    #[cfg(feature = "json")]
    pub fn publish_json<T: serde::Serialize + ?Sized>(
        &self,
        topic: impl Into<Arc<str>>,
        value: &T,
    ) -> Result<EventId, PublishError> {
        self.publish(topic, Event::data(serde_json::to_string(value).map_err(PublishError::Json)?))
    }

    /// Subscribes to `topics`: what comes from now on, unless [`Subscription::after`] names where to go on.
    pub fn subscribe<T: Into<Arc<str>>>(&self, topics: impl IntoIterator<Item = T>) -> Subscription {
        let topics = topics.into_iter().map(Into::into).collect();
        Subscription::new(Arc::clone(&self.shared), Interest::Some(topics))
    }

    /// Subscribes to every topic.
    pub fn subscribe_to_all(&self) -> Subscription {
        Subscription::new(Arc::clone(&self.shared), Interest::All)
    }

    /// How many streams are open now.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.shared.seats().table.len()
    }

    /// How many streams are open now that are subscribed to `topic` by name.
    #[must_use]
    pub fn subscribers_of(&self, topic: &str) -> usize {
        self.shared.seats().of_topic(topic)
    }

    /// How many streams have left hyper for sockets of the channel's own, as a [`Listener`] lets them.
    #[cfg(feature = "listener")]
    #[must_use]
    pub fn taken_over(&self) -> usize {
        let is_socket = |(_, seat): &(usize, &audience::Seat)| matches!(seat.outlet, audience::Outlet::Socket(_));
        self.shared.seats().table.iter().filter(is_socket).count()
    }

    /// Waits until nobody is subscribed to `topic` by name, which may be so from the start: then work for it alone can
    /// end, such as the generation of a language model that costs money by the token.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let channel = fanfare_server::Channel::new();
    /// let response = channel.subscribe(["prices"]).response();
    /// channel.watched("prices").await;
    /// drop(response);
    /// channel.unwatched("prices").await;
    /// assert_eq!(channel.subscribers(), 0);
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn unwatched(&self, topic: &str) {
        self.shared.until_changed(|seats| seats.of_topic(topic) == 0).await;
    }

    /// Waits until somebody is subscribed to `topic` by name.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn watched(&self, topic: &str) {
        self.shared.until_changed(|seats| seats.of_topic(topic) > 0).await;
    }

    /// Whether it is finished and a client with this id has everything.
    fn is_complete_for(&self, last_event_id: &LastEventId) -> bool {
        let text = last_event_id.0.as_ref().map(EventId::as_str);
        let is_finished = self.shared.seats().phase != Phase::Running;
        let Some(Ok(start)) =
            text.and_then(|text| Cursor::parse(Some(text)).ok()).map(|at| at.locate(&self.shared.log, |_| true))
        else {
            return false;
        };
        is_finished && start.gap.is_none() && start.after >= self.shared.log.span().tail
    }

    /// How many events are kept now.
    #[must_use]
    pub fn retained(&self) -> u64 {
        self.shared.log.usage().count
    }

    /// Publishes nothing more: every stream ends when it has sent everything, and so do those that begin later, after
    /// their replay.
    pub fn finish(&self) {
        self.shared.end(Phase::Finished, Duration::ZERO);
    }

    /// Ends every stream at a moment of its own within `grace`, once the future is awaited. See [`Shutdown`].
    pub fn shutdown(&self, grace: Duration) -> Shutdown {
        Shutdown::new(Arc::clone(&self.shared), grace)
    }

    /// Waits until [`shutdown`](Self::shutdown) or [`finish`](Self::finish) was asked for: for streams of other kinds that are to
    /// end with the channel's, by [`EventStream::until`](crate::EventStream::until).
    pub fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut closing = self.shared.closing.subscribe();
        async move {
            // The sender is gone only with the channel, which is an end too.
            let _ = closing.wait_for(|is_closing| *is_closing).await;
        }
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a client that sends the id back is understood.
fn can_be_cursor(id: &EventId) -> bool {
    let text = id.as_str();
    text.trim() == text && matches!(Cursor::parse(Some(text)), Ok(Cursor::After(_, None)))
}

/// Makes a [`Channel`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct ChannelBuilder {
    retention: Retention,
    keep_alive: Duration,
    seed: Option<u64>,
}

impl Default for ChannelBuilder {
    fn default() -> Self {
        Self { retention: Retention::default(), keep_alive: Duration::from_secs(15), seed: None }
    }
}

impl ChannelBuilder {
    /// Keeps that many events, over all topics, and up to 64 or a tenth more.
    pub fn retain_count(mut self, events: u64) -> Self {
        self.retention.count = Some(events);
        self
    }

    /// Keeps events for that long, and up to 10 seconds or a tenth longer.
    pub fn retain_age(mut self, age: Duration) -> Self {
        self.retention.age = Some(age);
        self
    }

    /// Keeps that many bytes of events, and up to 1 MiB or a tenth more: their text and topics, and a flat 432 an event.
    /// It is 64 MiB unless any of the three bounds is set.
    pub fn retain_bytes(mut self, bytes: u64) -> Self {
        self.retention.bytes = Some(bytes);
        self
    }

    /// Sends a comment to whoever was sent nothing for `interval`, 15 seconds unless told otherwise: proxies close idle
    /// connections (S5), and a peer that has vanished is only noticed by a write. One timer serves all. Zero is none.
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// Draws the moments at which streams end from this seed, so that a test can repeat it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Makes the channel and starts its upkeep. Must be called in a tokio runtime; the upkeep ends with the channel.
    #[must_use]
    pub fn build(self) -> Channel {
        let mut retention = self.retention;
        if retention == Retention::default() {
            retention.bytes = Some(RETAIN_BYTES);
        }
        let random = self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let shared = Arc::new(Shared::new(retention, self.keep_alive, random));
        herald::start(&shared);
        Channel { shared }
    }
}

impl Shared {
    fn publish(&self, drafts: Vec<Draft>) -> Result<Vec<Position>, PublishError> {
        if *self.closing.borrow() {
            return Err(PublishError::Closed);
        }
        let positions = self.log.store_now(drafts, Place::Next)?;
        self.bell.notify_one();
        Ok(positions)
    }
}

/// An event that was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The channel is finished or shuts down.
    #[error("the channel takes no more events: it is finished or shuts down")]
    Closed,
    /// No topic.
    #[error("an event needs a topic")]
    NoTopic,
    /// The event's id could not be sent back, or would mean something else.
    #[error(
        "the id `{0}` can't be a client's cursor: it needs 1 to 4096 bytes without control characters and outer spaces, \
         and is neither `earliest` nor spelled as a position"
    )]
    Id(EventId),
    /// The value is no JSON.
    #[cfg(feature = "json")]
    #[error("the value can't be written as JSON")]
    Json(#[source] serde_json::Error),
    /// The log did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
}
