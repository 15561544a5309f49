//! What somebody may do.

use std::convert::Infallible;
use std::sync::Arc;

use fanfare_log::{RecordRef, Visibility};

use crate::limits::{GRANT_SELECTORS_MAX, TEMPLATES_MAX};
use crate::selector::{Selector, Selectors};
use crate::topic::InvalidTopic;

/// What somebody may publish and which private updates they may see. Every delivery and every publish is asked of one.
///
/// Public updates are for everybody who is let in, whatever the grant.
///
/// ```
/// use fanfare_hub::{Grant, Topic};
///
/// let user = "ada";
/// let own = Topic::new(&format!("users/{user}"))?;
/// let grant = Grant::default().with_publish(["rooms/{room}"])?.with_subscribe([own])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    publish: Selectors,
    subscribe: Selectors,
}

impl Grant {
    /// May publish where each topic of an update is selected by one of `selectors`, and nowhere else.
    ///
    /// # Errors
    ///
    /// [`InvalidGrant`] if one is no selector, or there are more than 1000, or more than 100 URI Templates.
    pub fn with_publish<S: TryInto<Selector>>(
        self,
        selectors: impl IntoIterator<Item = S>,
    ) -> Result<Self, InvalidGrant>
    where
        InvalidGrant: From<S::Error>,
    {
        Ok(Self { publish: collect(selectors)?, ..self })
    }

    /// Sees private updates of which a topic is selected by one of `selectors`, and no others.
    ///
    /// # Errors
    ///
    /// As [`with_publish`](Self::with_publish).
    pub fn with_subscribe<S: TryInto<Selector>>(
        self,
        selectors: impl IntoIterator<Item = S>,
    ) -> Result<Self, InvalidGrant>
    where
        InvalidGrant: From<S::Error>,
    {
        Ok(Self { subscribe: collect(selectors)?, ..self })
    }

    /// May publish where every topic of an update is in `publish`, and sees private updates with a topic in
    /// `subscribe`.
    pub(crate) fn new(publish: Selectors, subscribe: Selectors) -> Self {
        Self { publish, subscribe }
    }

    /// May do everything: what everyone has on a hub without keys, where nobody can be told apart.
    #[must_use]
    pub fn everything() -> Self {
        let all = || [Selector::all()].into_iter().collect();
        Self::new(all(), all())
    }

    /// Appends what tells this grant from every other, the same in every process.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.publish.encode(out);
        self.subscribe.encode(out);
    }

    /// Whether an update on these topics may be published.
    pub(crate) fn may_publish(&self, topics: &[Arc<str>]) -> bool {
        self.publish.match_all(topics)
    }

    /// The topics whose private updates may be seen.
    pub(crate) fn subscribe(&self) -> &Selectors {
        &self.subscribe
    }

    /// Whether private updates on `topic` may be seen.
    pub(crate) fn may_see_topic(&self, topic: &str) -> bool {
        self.subscribe.match_any([topic])
    }

    /// Whether `record` may be seen. The selectors of a subscription say where it is wanted; this says only whether it
    /// is allowed, and a different topic of the same update may be what allows it.
    pub(crate) fn may_see<'r>(&self, record: impl Into<RecordRef<'r>>) -> bool {
        let record = record.into();
        match record.visibility {
            Visibility::Public => true,
            Visibility::Private => self.subscribe.match_any(record.topics),
        }
    }
}

/// The selectors of one side of a grant, counted: each template is asked of each update.
fn collect<S: TryInto<Selector>>(selectors: impl IntoIterator<Item = S>) -> Result<Selectors, InvalidGrant>
where
    InvalidGrant: From<S::Error>,
{
    let mut collected = Vec::new();
    for selector in selectors {
        if collected.len() == GRANT_SELECTORS_MAX {
            return Err(InvalidGrant::Selectors);
        }
        collected.push(selector.try_into()?);
    }
    let selectors: Selectors = collected.into_iter().collect();
    if selectors.templates().len() > TEMPLATES_MAX { Err(InvalidGrant::Selectors) } else { Ok(selectors) }
}

/// What can't be granted so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGrant {
    /// A selector is none.
    #[error("a selector of the grant is none: {0}")]
    Selector(InvalidTopic),
    /// Too many selectors.
    #[error(
        "a grant has at most {GRANT_SELECTORS_MAX} selectors for each of both, of which {TEMPLATES_MAX} are URI Templates"
    )]
    Selectors,
}

impl From<InvalidTopic> for InvalidGrant {
    fn from(error: InvalidTopic) -> Self {
        Self::Selector(error)
    }
}

/// What is a selector already.
impl From<Infallible> for InvalidGrant {
    fn from(error: Infallible) -> Self {
        match error {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare_log::{Draft, Epoch, Frame, Id, Position, Record, Timestamp};

    fn record(topics: &[&str], visibility: Visibility) -> Record {
        let draft = Draft {
            topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
            id: Id::Position,
            visibility,
            time: Timestamp(0),
            frame: Frame::whole(""),
        };
        Record::new(draft, Position::start_of(Epoch(0)))
    }

    #[test]
    fn a_private_update_is_seen_through_any_topic_that_the_grant_covers() {
        let selectors = || [Selector::parse("users/42/{+any}").unwrap()].into_iter().collect();
        let grant = Grant::new(Selectors::default(), selectors());
        assert!(grant.may_see(&record(&["books/1", "users/42/books/1"], Visibility::Private)));
        assert!(!grant.may_see(&record(&["books/1", "users/7/books/1"], Visibility::Private)));
        assert!(grant.may_see(&record(&["books/1"], Visibility::Public)));
        assert!(!Grant::default().may_see(&record(&["books/1"], Visibility::Private)));
        assert!(Grant::everything().may_see(&record(&["books/1"], Visibility::Private)));
    }

    #[test]
    fn selectors_are_bounded() {
        let many = |text: &str, count| Grant::default().with_subscribe(vec![text; count]);
        assert!(many("a", GRANT_SELECTORS_MAX).is_ok());
        assert_eq!(many("a", GRANT_SELECTORS_MAX + 1), Err(InvalidGrant::Selectors));
        let templates = |count| Grant::default().with_publish((0..count).map(|n| format!("{n}/{{x}}")));
        assert!(templates(TEMPLATES_MAX).is_ok());
        assert_eq!(templates(TEMPLATES_MAX + 1), Err(InvalidGrant::Selectors));
        assert_eq!(many("", 1), Err(InvalidGrant::Selector(InvalidTopic::Empty)));
    }

    #[test]
    fn publishing_needs_every_topic() {
        let grant = Grant::new([Selector::parse("a").unwrap()].into_iter().collect(), Selectors::default());
        assert!(grant.may_publish(&["a".into()]));
        assert!(!grant.may_publish(&["a".into(), "b".into()]));
        assert!(!Grant::default().may_publish(&["a".into()]));
    }
}
