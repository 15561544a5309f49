//! How the table learns that somebody's access was revoked.

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use crate::shared::Shared;

/// What the end of a subscriber's access wakes.
pub(crate) fn revoker(hub: &Arc<Shared>, number: usize) -> Waker {
    Arc::new(Revoker { hub: Arc::downgrade(hub), number }).into()
}

struct Revoker {
    hub: Weak<Shared>,
    number: usize,
}

impl Wake for Revoker {
    fn wake(self: Arc<Self>) {
        let Some(hub) = self.hub.upgrade() else { return };
        let waker = hub.audience.seats().revoke(self.number);
        // Without the table in hand: whoever is woken comes to it.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
