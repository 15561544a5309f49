//! What somebody may do.

use std::sync::Arc;

use fanfare_log::{RecordRef, Visibility};

use crate::selector::{Selector, Selectors};

/// What somebody may publish and which private updates they may see. Every delivery and every publish is asked of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Grant {
    publish: Selectors,
    subscribe: Selectors,
}

impl Grant {
    /// May publish where every topic of an update is in `publish`, and sees private updates with a topic in
    /// `subscribe`.
    pub(crate) fn new(publish: Selectors, subscribe: Selectors) -> Self {
        Self { publish, subscribe }
    }

    /// May do everything: what everyone has on a hub without keys, where nobody can be told apart.
    pub(crate) fn everything() -> Self {
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
    fn publishing_needs_every_topic() {
        let grant = Grant::new([Selector::parse("a").unwrap()].into_iter().collect(), Selectors::default());
        assert!(grant.may_publish(&["a".into()]));
        assert!(!grant.may_publish(&["a".into(), "b".into()]));
        assert!(!Grant::default().may_publish(&["a".into()]));
    }
}
