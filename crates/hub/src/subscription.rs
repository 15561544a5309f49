//! Who gets what: selectors and a grant.

use std::sync::Arc;

use fanfare_log::{Record, Topics};

use crate::grant::Grant;
use crate::selector::Selectors;

/// What one connection is subscribed to. However many of the selectors an event matches, it comes once.
#[derive(Debug, Clone)]
pub struct Subscription {
    selectors: Selectors,
    grant: Arc<Grant>,
}

impl Subscription {
    /// Subscribes to what `selectors` want and `grant` allows.
    #[must_use]
    pub fn new(selectors: impl IntoIterator<Item = crate::Selector>, grant: Arc<Grant>) -> Self {
        Self { selectors: selectors.into_iter().collect(), grant }
    }

    /// What the log needs to look at.
    pub(crate) fn topics(&self) -> Topics<'_> {
        self.selectors.topics()
    }

    /// Whether `record` is delivered: asked for each delivery, also of history, with the grant of now.
    pub(crate) fn admits(&self, record: &Record) -> bool {
        self.selectors.match_any(&record.topics) && self.grant.may_see(record)
    }
}
