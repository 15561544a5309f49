//! Which topics a subscriber is subscribed to.

use std::sync::Arc;

use fanfare_log::{TopicSet, Topics};

/// All topics, or some.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Interest {
    All,
    Some(TopicSet),
}

impl Interest {
    /// What the log needs to look at.
    pub(crate) fn topics(&self) -> Topics<'_> {
        match self {
            Self::All => Topics::All,
            Self::Some(set) => Topics::Any(set),
        }
    }

    /// The topics by name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        match self {
            Self::All => None,
            Self::Some(set) => Some(set.iter()),
        }
        .into_iter()
        .flatten()
    }
}
