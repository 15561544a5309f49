//! An event as a client receives it.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::{Error, Interruption, Kind};

/// An event: the standard's `MessageEvent` (C28).
///
/// A [`Stream`](crate::Events) yields only events that the server sent. Callbacks also see the two that tell of the
/// connection, `open` and `error` (C20, C21): their data is empty and [`is_message`](Self::is_message) is false, also
/// where a server sends events of its own under these names (C27).
#[derive(Debug, Clone)]
pub struct Event {
    about: About,
    data: Box<str>,
    stamp: Arc<Stamp>,
}

#[derive(Debug, Clone)]
enum About {
    /// Of the default type, which most are: it costs no allocation.
    Message,
    Named(Box<str>),
    Open,
    Interruption(Arc<Interruption>),
}

/// What events have from the stream that they came on. Shared, and both in one: an event more costs one count more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stamp {
    pub(crate) last_event_id: Arc<str>,
    /// Of the URL that answered (C28).
    pub(crate) origin: Arc<str>,
}

impl Event {
    pub(crate) fn message(event_type: &str, data: &str, stamp: &Arc<Stamp>) -> Self {
        let about = if event_type == DEFAULT_TYPE { About::Message } else { About::Named(event_type.into()) };
        Self { about, data: data.into(), stamp: Arc::clone(stamp) }
    }

    pub(crate) fn open(stamp: &Arc<Stamp>) -> Self {
        Self { about: About::Open, data: Box::default(), stamp: Arc::clone(stamp) }
    }

    /// It is no `MessageEvent` in a browser, and has no origin.
    pub(crate) fn error(interruption: Interruption, last_event_id: Arc<str>) -> Self {
        let stamp = Arc::new(Stamp { last_event_id, origin: Arc::default() });
        Self { about: About::Interruption(Arc::new(interruption)), data: Box::default(), stamp }
    }

    /// Its type: `message` if the server named none.
    #[must_use]
    pub fn event_type(&self) -> &str {
        match &self.about {
            About::Message => DEFAULT_TYPE,
            About::Named(event_type) => event_type,
            About::Open => OPEN_TYPE,
            About::Interruption(_) => ERROR_TYPE,
        }
    }

    /// Its data.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Its data, without copying it.
    #[must_use]
    pub fn into_data(self) -> String {
        self.data.into()
    }

    /// The last event id as of this event: its own, or the one that an earlier event set. Empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.stamp.last_event_id
    }

    pub(crate) fn shared_last_event_id(&self) -> &Arc<str> {
        &self.stamp.last_event_id
    }

    /// The origin of the stream, such as `https://example.com`: that of the URL after redirects (C28).
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.stamp.origin
    }

    /// Its data, read as JSON. The type says what is wanted of it: members that it lacks are passed over.
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     number: u64,
    /// }
    ///
    /// # fn example(event: &fanfare_client::Event) -> Result<(), fanfare_client::Error> {
    /// let Order { number } = event.json()?;
    /// # let _ = number;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Kind::Json`] if the data is no JSON or not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.data).map_err(|error| {
            let event_type = self.event_type();
            Error::new(Kind::Json, format!("the data of a {event_type:?} event is not the expected JSON"))
                .with_source(error)
        })
    }

    /// Whether the server sent it, and not the connection's own `open` or `error`.
    #[must_use]
    pub fn is_message(&self) -> bool {
        matches!(self.about, About::Message | About::Named(_))
    }

    /// Why there is a connection's own `error`, and whether it will reconnect.
    #[must_use]
    pub fn interruption(&self) -> Option<&Interruption> {
        match &self.about {
            About::Interruption(interruption) => Some(interruption),
            About::Message | About::Named(_) | About::Open => None,
        }
    }
}

pub(crate) const DEFAULT_TYPE: &str = "message";
pub(crate) const OPEN_TYPE: &str = "open";
pub(crate) const ERROR_TYPE: &str = "error";
