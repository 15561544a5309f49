//! Generations of a language model that outlast a page's reload.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfare_wire::{Event, EventId};
use http::{Response, StatusCode};
use tokio::time::timeout;

use crate::channel::delivery::ChannelBody;
use crate::channel::{Channel, PublishError, Subscriber, Subscription};
use crate::limits::GENERATIONS_MAX;

/// Streams with a beginning and an end, each under a name: the answers of a language model, the progress of a job.
///
/// A generation runs on its own, whoever listens: a client that comes late or comes back gets it from the start, or from
/// where it was. It is cancelled when nobody has listened for a while, and forgotten some time after its end.
///
/// ```
/// use fanfare_server::{Event, Generations, LastEventId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let generations = Generations::builder().build();
/// generations.start("42", |producer| async move {
///     for token in ["Once", " upon", " a time"] {
///         producer.send(Event::data(token))?;
///     }
///     producer.send(Event::data("[DONE]"))?;
///     Ok(())
/// })?;
///
/// // In a handler, as often as a client asks:
/// let response = generations.response("42", LastEventId(None));
/// assert_eq!(response.status(), 200);
/// assert_eq!(generations.response("43", LastEventId(None)).status(), 404);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Generations {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: GenerationsBuilder,
    running: Mutex<HashMap<Arc<str>, Channel>>,
}

/// What a producer of a generation ends with; an error is not sent to anybody, so send what clients are to know.
pub type Generating = Result<(), PublishError>;

/// Makes [`Generations`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct GenerationsBuilder {
    expiry: Duration,
    patience: Duration,
    bytes: u64,
    count: usize,
    keep_alive: Duration,
}

impl Generations {
    /// Generations that are kept for five minutes after their end, and cancelled when nobody has listened for 30 seconds.
    pub fn builder() -> GenerationsBuilder {
        GenerationsBuilder {
            expiry: Duration::from_secs(300),
            patience: Duration::from_secs(30),
            bytes: 16 << 20,
            count: GENERATIONS_MAX,
            keep_alive: Duration::from_secs(15),
        }
    }

    /// Starts the generation `name`: what `produce` sends is kept and goes to all who listen. The future is dropped when it is
    /// done, or when nobody has listened for as long as the patience lasts. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] if there is a generation of that name already, or there are too many.
    pub fn start<F>(&self, name: impl Into<Arc<str>>, produce: impl FnOnce(Producer) -> F) -> Result<(), StartError>
    where
        F: Future<Output = Generating> + Send + 'static,
    {
        let name = name.into();
        let GenerationsBuilder { expiry, patience, bytes, count, keep_alive } = self.shared.settings;
        let channel = {
            let mut running = self.shared.running();
            if running.contains_key(&name) {
                return Err(StartError::Exists);
            }
            if running.len() >= count {
                return Err(StartError::TooMany);
            }
            let channel = Channel::builder().retain_bytes(bytes).keep_alive(keep_alive).build();
            running.insert(Arc::clone(&name), channel.clone());
            channel
        };
        let producing = produce(Producer { channel: channel.clone() });
        let shared = Arc::downgrade(&self.shared);
        // Forgotten however this ends, also if the producer panics.
        let forget = Forget { shared, name };
        tokio::spawn(async move {
            let forget = forget;
            tokio::select! {
                // Its error says that the channel takes no more, or that an event can't be: what was sent stands.
                _ = producing => {}
                () = abandoned(&channel, patience) => {}
            }
            channel.finish();
            drop(channel);
            tokio::time::sleep(expiry).await;
            drop(forget);
        });
        Ok(())
    }

    /// The generation `name`, for a subscriber. From the start unless it says where to go on, and to the end. `None` if there is none.
    pub fn subscribe(&self, name: &str) -> Option<Subscription> {
        let channel = self.shared.running().get(name)?.clone();
        Some(channel.subscribe([TOPIC]).from_start())
    }

    /// Answers a subscriber: with the stream; with 204, which keeps `EventSource` from coming back (S9), if the generation
    /// is over and the client has all of it; with 404 if there is none.
    #[must_use]
    pub fn response(&self, name: &str, subscriber: impl Into<Subscriber>) -> Response<ChannelBody> {
        let subscriber = subscriber.into();
        let channel = self.shared.running().get(name).cloned();
        let status = match &channel {
            None => StatusCode::NOT_FOUND,
            Some(channel) if channel.is_complete_for(subscriber.last_event_id()) => StatusCode::NO_CONTENT,
            Some(channel) => return channel.subscribe([TOPIC]).from_start().to(subscriber).response(),
        };
        let mut response = Response::new(ChannelBody::empty());
        *response.status_mut() = status;
        response
    }

    /// How many are kept, running or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.running().len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cancels all of them, and ends their streams once what was sent is delivered.
    pub fn cancel_all(&self) {
        let channels: Vec<Channel> = self.shared.running().values().cloned().collect();
        channels.iter().for_each(Channel::finish);
    }
}

/// Every generation has a channel of its own, with one topic.
const TOPIC: &str = "";

/// Returns when nobody has listened for `patience`, or the channel takes no more.
async fn abandoned(channel: &Channel, patience: Duration) {
    let unwatched = async {
        loop {
            channel.unwatched(TOPIC).await;
            if timeout(patience, channel.watched(TOPIC)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = unwatched => {}
        () = channel.closing() => {}
    }
}

/// Sends the events of one generation.
#[derive(Debug)]
pub struct Producer {
    channel: Channel,
}

impl Producer {
    /// Sends `event` to all who listen, now or later, and gives its id.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing was sent.
    pub fn send(&self, event: Event) -> Result<EventId, PublishError> {
        self.channel.publish(TOPIC, event)
    }

    /// Sends `value` as JSON.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing was sent.
    #[cfg(feature = "json")]
    pub fn send_json<T: serde::Serialize + ?Sized>(&self, value: &T) -> Result<EventId, PublishError> {
        self.channel.publish_json(TOPIC, value)
    }

    /// How many listen now.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.channel.subscribers()
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, HashMap<Arc<str>, Channel>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a generation when it is dropped.
struct Forget {
    shared: std::sync::Weak<Shared>,
    name: Arc<str>,
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let forgotten = shared.running().remove(&self.name);
            // A producer that panicked has finished nothing.
            forgotten.iter().for_each(Channel::finish);
        }
    }
}

impl fmt::Debug for Forget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forget").field("name", &self.name).finish_non_exhaustive()
    }
}

impl GenerationsBuilder {
    /// Forgets a generation that long after its end, five minutes unless told otherwise: so long may a reload take that is to find it.
    pub fn expiry(mut self, expiry: Duration) -> Self {
        self.expiry = expiry;
        self
    }

    /// Cancels a generation to which nobody has listened for that long, 30 seconds unless told otherwise, also from its
    /// start.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Keeps that many bytes of one generation, 16 MiB unless told otherwise; beyond that its start is lost, and whoever
    /// needs it is told of the gap.
    pub fn retain_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Keeps at most that many generations, 10,000 unless told otherwise.
    pub fn retain_count(mut self, generations: usize) -> Self {
        self.count = generations;
        self
    }

    /// As [`ChannelBuilder::keep_alive`](crate::ChannelBuilder::keep_alive).
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// Makes them. Needs no runtime yet: [`start`](Generations::start) does.
    #[must_use]
    pub fn build(self) -> Generations {
        Generations { shared: Arc::new(Shared { settings: self, running: Mutex::default() }) }
    }
}

/// A generation that was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is one of that name.
    #[error("a generation of that name runs or is kept: choose another name, or listen to it")]
    Exists,
    /// As many are kept as may be.
    #[error("too many generations are kept: try again later")]
    TooMany,
}
