//! How other threads wake a shard.

mod state;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use mio::{Poll, Token, Waker};

use crate::advance::Advance;
use crate::shard::bell::state::State;

/// Tells a shard that there is something to look at. Ringing a shard that is awake costs one atomic exchange and no
/// system call, so a publisher pays for a wake-up only when the shard sleeps.
#[derive(Debug)]
pub(crate) struct Bell {
    state: State,
    waker: Waker,
    /// When the log advanced, for the shard.
    pub(super) advance: Arc<Advance>,
}

impl Bell {
    pub(crate) fn new(poll: &Poll, token: Token) -> io::Result<Self> {
        Ok(Self { state: State::new(), waker: Waker::new(poll.registry(), token)?, advance: Arc::default() })
    }

    /// What was written before the call is seen by the shard after it has [listened](Self::was_rung).
    pub(crate) fn ring(&self) {
        if self.state.ring()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a shard can't be woken");
        }
    }

    /// Whether the shard may wait: not if somebody rang since it last listened. Whoever rings from now on wakes it.
    pub(crate) fn may_sleep(&self) -> bool {
        self.state.may_sleep()
    }

    /// Whether somebody rang since the last call. The shard is awake from here on.
    pub(crate) fn was_rung(&self) -> bool {
        self.state.was_rung()
    }
}

/// The bells of all shards of a hub: what an append and the end of the hub ring.
#[derive(Debug, Default)]
pub(crate) struct Bells(RwLock<Vec<Arc<Bell>>>);

impl Bells {
    pub(crate) fn ring(&self) {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|bell| bell.ring());
    }

    /// Rings because the log advances, at `now`.
    pub(crate) fn ring_for_news(&self, now: Instant) {
        for bell in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            bell.advance.note(now);
            bell.ring();
        }
    }

    pub(crate) fn add(&self, bell: Arc<Bell>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(bell);
    }

    pub(crate) fn remove(&self, bell: &Arc<Bell>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|held| !Arc::ptr_eq(held, bell));
    }
}
