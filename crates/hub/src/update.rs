//! What a publisher publishes.

use std::time::Duration;

use fanfare_log::{Draft, Frame, Id, Position, Timestamp, Visibility};
use fanfare_wire::{Event, EventId, EventType, InvalidField};

use crate::limits::{ID_BYTES_MAX, TYPE_BYTES_MAX};
use crate::presence::NewsCursor;
use crate::topic::{InvalidTopic, Topic};

/// An event with its topics, valid by construction: what [`Hub::publish`](crate::Hub::publish) takes.
///
/// ```
/// use fanfare_hub::{Topic, Update};
///
/// let update = Update::new(Topic::new("books/1")?, r#"{"price":12}"#)
///     .with_type("price".try_into()?)
///     .with_alternate(Topic::new("users/42/books/1")?)
///     .private();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    topics: Vec<Topic>,
    event: Event,
    id: Option<ChosenId>,
    visibility: Visibility,
}

impl Update {
    /// A public update with `data` on its canonical topic. The hub names it by its position.
    #[must_use]
    pub fn new(topic: Topic, data: impl Into<String>) -> Self {
        Self { topics: vec![topic], event: Event::data(data), id: None, visibility: Visibility::Public }
    }

    /// An update on the topics that `texts` name, the canonical one first. `None` if there is none.
    pub(crate) fn on<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        data: impl Into<String>,
    ) -> Result<Option<Self>, InvalidUpdate> {
        let mut topics = texts.into_iter().map(Topic::new);
        let Some(canonical) = topics.next() else { return Ok(None) };
        let mut update = Self::new(canonical?, data);
        for alternate in topics {
            update = update.with_alternate(alternate?);
        }
        Ok(Some(update))
    }

    /// Adds a topic beside the canonical one. A subscriber of several of them gets the update once.
    #[must_use]
    pub fn with_alternate(mut self, topic: Topic) -> Self {
        self.topics.push(topic);
        self
    }

    /// Sets the event's type.
    #[must_use]
    pub fn with_type(mut self, event_type: UpdateType) -> Self {
        self.event = self.event.with_type(event_type.0);
        self
    }

    /// Sets the event's id in place of the position. Ids need not be unique: of several the first is the cursor.
    #[must_use]
    pub fn with_id(mut self, id: ChosenId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the time that subscribers wait before they reconnect, from this event on.
    #[must_use]
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.event = self.event.with_retry(retry);
        self
    }

    /// Shows it only to subscribers whose grant covers one of its topics.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.visibility = Visibility::Private;
        self
    }

    /// The canonical topic and then the alternates.
    #[must_use]
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The id that the publisher chose.
    #[must_use]
    pub fn id(&self) -> Option<&ChosenId> {
        self.id.as_ref()
    }

    /// What the answer to its publish takes in memory at most.
    pub(crate) fn id_bytes_max(&self) -> usize {
        /// `e`, 16 digits, `-`, 20 digits.
        const POSITION_BYTES_MAX: usize = 38;
        size_of::<String>() + self.id.as_ref().map_or(POSITION_BYTES_MAX, |id| id.as_str().len())
    }

    /// The type, if it is public: private ones are nobody's business.
    pub(crate) fn public_type(&self) -> Option<&str> {
        let is_public = self.visibility == Visibility::Public;
        self.event.event_type().filter(|_| is_public).map(EventType::as_str)
    }

    /// Encodes the event, once for all subscribers, for a log that puts in the position if it has no id.
    pub(crate) fn into_draft(self, time: Timestamp) -> Draft {
        let (id, frame) = match self.id {
            Some(ChosenId(id)) => {
                let mut bytes = Vec::new();
                let text = id.as_str().into();
                self.event.with_id(id).encode(&mut bytes);
                (Id::Chosen(text), Frame::whole(bytes))
            }
            None => {
                let (bytes, slot) = self.event.encode_with_id_slot();
                (Id::Position, Frame::with_slot(bytes, slot))
            }
        };
        let topics = self.topics.iter().map(|topic| topic.shared().clone()).collect();
        Draft { topics, id, visibility: self.visibility, time, frame }
    }
}

/// What an update may have beside topics and data, as every way of publishing has it. Empty is as absent.
#[derive(Debug)]
pub(crate) struct Attributes {
    event_type: Option<UpdateType>,
    id: Option<ChosenId>,
    retry: Option<Duration>,
    private: bool,
}

impl Attributes {
    pub(crate) fn parse(
        event_type: Option<&str>,
        id: Option<&str>,
        retry: Option<&str>,
        private: bool,
    ) -> Result<Self, InvalidUpdate> {
        fn present<T>(
            text: Option<&str>,
            parse: impl Fn(&str) -> Result<T, InvalidUpdate>,
        ) -> Result<Option<T>, InvalidUpdate> {
            text.filter(|text| !text.is_empty()).map(parse).transpose()
        }
        let event_type = present(event_type, UpdateType::new)?;
        let id = present(id, ChosenId::new)?;
        let retry = present(retry, parse_retry)?;
        Ok(Self { event_type, id, retry, private })
    }

    /// The update with these attributes.
    pub(crate) fn of(self, mut update: Update) -> Update {
        if let Some(event_type) = self.event_type {
            update = update.with_type(event_type);
        }
        if let Some(id) = self.id {
            update = update.with_id(id);
        }
        if let Some(retry) = self.retry {
            update = update.with_retry(retry);
        }
        if self.private { update.private() } else { update }
    }
}

/// An id that a publisher may choose.
///
/// It comes back in a header, so it holds no control characters and no outer spaces; it is neither `earliest`, which
/// means all history, nor a text that reads as a position, nor empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenId(EventId);

impl ChosenId {
    /// Makes an id of `text`.
    ///
    /// # Errors
    ///
    /// [`InvalidUpdate`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, InvalidUpdate> {
        if text.is_empty() || text.len() > ID_BYTES_MAX {
            return Err(InvalidUpdate::IdLength);
        }
        if text.chars().any(char::is_control) || text.trim() != text {
            return Err(InvalidUpdate::IdText);
        }
        if text == "earliest" || text.parse::<Position>().is_ok() || NewsCursor::parse(text).is_some() {
            return Err(InvalidUpdate::IdTaken);
        }
        EventId::new(text).map(Self).map_err(|_| InvalidUpdate::IdText)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// A type that a publisher may give an event: no line break, not empty, and not one of the hub's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateType(EventType);

impl UpdateType {
    /// Makes a type of `text`.
    ///
    /// # Errors
    ///
    /// [`InvalidUpdate`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, InvalidUpdate> {
        if text.len() > TYPE_BYTES_MAX {
            return Err(InvalidUpdate::TypeLength);
        }
        if text.starts_with("fanfare-") {
            return Err(InvalidUpdate::TypeTaken);
        }
        EventType::new(text).map(Self).map_err(InvalidUpdate::Type)
    }
}

impl TryFrom<&str> for ChosenId {
    type Error = InvalidUpdate;

    fn try_from(text: &str) -> Result<Self, InvalidUpdate> {
        Self::new(text)
    }
}

impl TryFrom<&str> for UpdateType {
    type Error = InvalidUpdate;

    fn try_from(text: &str) -> Result<Self, InvalidUpdate> {
        Self::new(text)
    }
}

/// What is wrong with a part of an update.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUpdate {
    /// The topic.
    #[error(transparent)]
    Topic(#[from] InvalidTopic),
    /// The id is empty or too long.
    #[error("an id has 1 to {ID_BYTES_MAX} bytes: leave it out to have the hub choose one")]
    IdLength,
    /// The id can't be sent back in a header.
    #[error("an id must not hold control characters or begin or end with a space: a header must carry it back")]
    IdText,
    /// The id means something else.
    #[error("an id must not be `earliest` nor read as a position, as the ids that the hub chooses do")]
    IdTaken,
    /// The type holds a line break or is empty.
    #[error("the type {0}")]
    Type(InvalidField),
    /// The type is too long.
    #[error("a type has at most {TYPE_BYTES_MAX} bytes")]
    TypeLength,
    /// The type is one of the hub's own.
    #[error("types that start with `fanfare-` are the hub's own")]
    TypeTaken,
    /// The reconnection time is not a number of milliseconds.
    #[error("retry must be a whole number of milliseconds, at most {}", u32::MAX)]
    Retry,
}

/// Reads a reconnection time as publishers write it: digits alone, in milliseconds.
fn parse_retry(text: &str) -> Result<Duration, InvalidUpdate> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let milliseconds: u32 = text.parse().ok().filter(|_| digits).ok_or(InvalidUpdate::Retry)?;
    Ok(Duration::from_millis(milliseconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare_log::Epoch;

    #[test]
    fn an_id_must_survive_a_header_and_mean_nothing_else() {
        for text in ["1", "urn:uuid:5e94c686", "é…", "a b", "Earliest", "e1", "e1-x"] {
            assert_eq!(ChosenId::new(text).unwrap().as_str(), text);
        }
        for text in ["a\nb", "\0", "a\u{85}", " a", "a ", "\u{a0}a", "\t"] {
            assert_eq!(ChosenId::new(text), Err(InvalidUpdate::IdText), "{text:?}");
        }
        for text in ["earliest", "e1-2", "e19a9c3b5d40-42"] {
            assert_eq!(ChosenId::new(text), Err(InvalidUpdate::IdTaken), "{text:?}");
        }
        assert_eq!(ChosenId::new(""), Err(InvalidUpdate::IdLength));
        assert_eq!(ChosenId::new(&"x".repeat(4097)), Err(InvalidUpdate::IdLength));
    }

    #[test]
    fn the_hubs_own_types_are_taken() {
        assert!(UpdateType::new("heartbeat").is_ok());
        assert_eq!(UpdateType::new("fanfare-gap"), Err(InvalidUpdate::TypeTaken));
        assert!(matches!(UpdateType::new("a\rb"), Err(InvalidUpdate::Type(_))));
        assert!(matches!(UpdateType::new(""), Err(InvalidUpdate::Type(_))));
        assert_eq!(UpdateType::new(&"x".repeat(1025)), Err(InvalidUpdate::TypeLength));
    }

    #[test]
    fn retry_is_digits() {
        assert_eq!(parse_retry("0150"), Ok(Duration::from_millis(150)));
        for text in ["", "+1", "-1", " 1", "1s", "4294967296"] {
            assert_eq!(parse_retry(text), Err(InvalidUpdate::Retry), "{text:?}");
        }
    }

    #[test]
    fn an_update_is_encoded_once_with_its_id_or_its_position() {
        let update = Update::new(Topic::new("a").unwrap(), "x").with_type("t".try_into().unwrap());
        let at = Position { epoch: Epoch(1), offset: 7 };
        let draft = update.clone().into_draft(Timestamp(5));
        assert_eq!(draft.frame.seal(at), "id: e1-7\nevent: t\ndata: x\n\n");
        let draft = update.with_id("mine".try_into().unwrap()).into_draft(Timestamp(5));
        assert_eq!(draft.frame.seal(at), "id: mine\nevent: t\ndata: x\n\n");
    }
}
