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
    /// `None` is `message`, which most events are: it costs no allocation.
    event_type: Option<Box<str>>,
    data: String,
    last_event_id: Arc<str>,
    origin: Arc<str>,
    about: About,
}

#[derive(Debug, Clone)]
enum About {
    Message,
    Open,
    Interruption(Arc<Interruption>),
}

impl Event {
    pub(crate) fn message(event_type: &str, data: &str, last_event_id: Arc<str>, origin: Arc<str>) -> Self {
        let event_type = (event_type != DEFAULT_TYPE).then(|| event_type.into());
        Self { event_type, data: data.to_owned(), last_event_id, origin, about: About::Message }
    }

    pub(crate) fn open(last_event_id: Arc<str>, origin: Arc<str>) -> Self {
        let event_type = Some(OPEN_TYPE.into());
        Self { event_type, data: String::new(), last_event_id, origin, about: About::Open }
    }

    pub(crate) fn error(interruption: Interruption, last_event_id: Arc<str>) -> Self {
        let about = About::Interruption(Arc::new(interruption));
        Self { event_type: Some(ERROR_TYPE.into()), data: String::new(), last_event_id, origin: Arc::default(), about }
    }

    /// Its type: `message` if the server named none.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.event_type.as_deref().unwrap_or(DEFAULT_TYPE)
    }

    /// Its data.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Its data, without copying it.
    #[must_use]
    pub fn into_data(self) -> String {
        self.data
    }

    /// The last event id as of this event: its own, or the one that an earlier event set. Empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The origin of the stream, such as `https://example.com`: that of the URL after redirects (C28).
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its data, read as JSON.
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
        matches!(self.about, About::Message)
    }

    /// Why there is a connection's own `error`, and whether it will reconnect.
    #[must_use]
    pub fn interruption(&self) -> Option<&Interruption> {
        match &self.about {
            About::Interruption(interruption) => Some(interruption),
            About::Message | About::Open => None,
        }
    }
}

pub(crate) const DEFAULT_TYPE: &str = "message";
pub(crate) const OPEN_TYPE: &str = "open";
pub(crate) const ERROR_TYPE: &str = "error";
