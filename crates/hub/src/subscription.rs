//! Who gets what: selectors and a grant.

use std::sync::Arc;
use std::time::Duration;

use fanfare_log::{ReadBudget, Record, RecordRef, Topics};

use crate::grant::Grant;
use crate::limits::{READ_BYTES_MAX, READ_EXAMINED_MAX, READ_RECORDS_MAX};
use crate::presence::Member;
use crate::revocation::Revocation;
use crate::selector::Selectors;
use crate::slow_policy::SlowPolicy;
use crate::ticket::Ticket;

/// What one connection is subscribed to. However many of the selectors an event matches, it comes once.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    selectors: Arc<Selectors>,
    grant: Arc<Grant>,
    left: Option<Duration>,
    revocation: Option<Revocation>,
    slow: SlowPolicy,
    /// Given up with the last clone.
    held: Option<Arc<Held>>,
}

/// What a subscription holds as long as it lasts.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its place in the list of who is subscribed, if there is one.
    _member: Option<Member>,
    /// Its share of what its client and its subject may have.
    _ticket: Ticket,
}

impl Subscription {
    /// Subscribes to what `selectors` want and `grant` allows.
    pub(crate) fn new(selectors: Selectors, grant: Arc<Grant>) -> Self {
        let (selectors, slow) = (Arc::new(selectors), SlowPolicy::CatchUp);
        Self { selectors, grant, left: None, revocation: None, slow, held: None }
    }

    /// Ends it when this time is over, counted from now. It is apart from the grant, which many share.
    pub(crate) fn for_at_most(self, left: Option<Duration>) -> Self {
        Self { left, ..self }
    }

    /// Ends it when this is revoked.
    pub(crate) fn until(self, revocation: Option<Revocation>) -> Self {
        Self { revocation, ..self }
    }

    /// Has it served so while it is behind.
    pub(crate) fn when_slow(self, slow: SlowPolicy) -> Self {
        Self { slow, ..self }
    }

    /// Has it listed and counted as long as it lasts.
    pub(crate) fn holding(self, member: Option<Member>, ticket: Ticket) -> Self {
        let is_needed = member.is_some() || !ticket.is_empty();
        let held = is_needed.then(|| Arc::new(Held { _member: member, _ticket: ticket }));
        Self { held, ..self }
    }

    /// Holds `selectors`, which are equal to its own, in their place.
    pub(crate) fn sharing(self, selectors: Arc<Selectors>) -> Self {
        Self { selectors, ..self }
    }

    pub(crate) fn held(&self) -> Option<&Arc<Held>> {
        self.held.as_ref()
    }

    pub(crate) fn slow(&self) -> SlowPolicy {
        self.slow
    }

    /// How long it may last from its beginning.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.left
    }

    pub(crate) fn revocation(&self) -> Option<&Revocation> {
        self.revocation.as_ref()
    }

    pub(crate) fn selectors(&self) -> &Arc<Selectors> {
        &self.selectors
    }

    pub(crate) fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// What the log needs to look at.
    pub(crate) fn topics(&self) -> Topics<'_> {
        self.selectors.topics()
    }

    /// Whether `record` is delivered: asked for each delivery, also of history, with the grant of now.
    pub(crate) fn admits(&self, record: &Record) -> bool {
        self.selectors.match_any(record.topics.iter()) && self.grant.may_see(record)
    }

    /// The same, where the record lies.
    pub(crate) fn admits_ref(&self, record: RecordRef<'_>) -> bool {
        self.selectors.match_any(record.topics) && self.grant.may_see(record)
    }
}

/// What one read of the log may take for a subscriber with these selectors.
pub(crate) fn read_budget(selectors: &Selectors) -> ReadBudget {
    ReadBudget {
        records: READ_RECORDS_MAX,
        bytes: READ_BYTES_MAX,
        // Each template is asked of each topic of each record.
        examined: READ_EXAMINED_MAX / (1 + selectors.templates().len()),
    }
}
