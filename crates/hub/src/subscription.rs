//! Who gets what: selectors and a grant.

use std::sync::Arc;

use fanfare_log::{Record, Topics};

use crate::grant::Grant;
use crate::selector::Selectors;

/// What one connection is subscribed to. However many of the selectors an event matches, it comes once.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    selectors: Selectors,
    grant: Arc<Grant>,
}

impl Subscription {
    /// Subscribes to what `selectors` want and `grant` allows.
    pub(crate) fn new(selectors: Selectors, grant: Arc<Grant>) -> Self {
        Self { selectors, grant }
    }

    /// What the log needs to look at.
    pub(crate) fn topics(&self) -> Topics<'_> {
        self.selectors.topics()
    }

    /// How many URI Templates are to be asked.
    pub(crate) fn templates(&self) -> usize {
        self.selectors.templates()
    }

    /// Whether `record` is delivered: asked for each delivery, also of history, with the grant of now.
    pub(crate) fn admits(&self, record: &Record) -> bool {
        self.selectors.match_any(&record.topics) && self.grant.may_see(record)
    }
}
