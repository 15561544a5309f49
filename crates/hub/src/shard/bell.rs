//! How other threads wake a shard.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use mio::{Poll, Token, Waker};

/// Tells a shard that there is something to look at. Ringing a shard that is awake costs one atomic exchange and no
/// system call, so a publisher pays for a wake-up only when the shard sleeps.
#[derive(Debug)]
pub(crate) struct Bell {
    state: AtomicU8,
    waker: Waker,
}

/// At work, and nobody rang since it last listened.
const AWAKE: u8 = 0;
/// About to wait or waiting: whoever rings has to wake it.
const ASLEEP: u8 = 1;
/// Somebody rang.
const RUNG: u8 = 2;

impl Bell {
    pub(crate) fn new(poll: &Poll, token: Token) -> io::Result<Self> {
        Ok(Self { state: AtomicU8::new(AWAKE), waker: Waker::new(poll.registry(), token)? })
    }

    /// What was written before the call is seen by the shard after it has [listened](Self::was_rung).
    pub(crate) fn ring(&self) {
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a shard can't be woken");
        }
    }

    /// Whether the shard may wait: not if somebody rang since it last listened. Whoever rings from now on wakes it.
    pub(crate) fn may_sleep(&self) -> bool {
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether somebody rang since the last call. The shard is awake from here on.
    pub(crate) fn was_rung(&self) -> bool {
        self.state.swap(AWAKE, Ordering::AcqRel) == RUNG
    }
}

/// The bells of all shards of a hub: what an append and the end of the hub ring.
#[derive(Debug, Default)]
pub(crate) struct Bells(RwLock<Vec<Arc<Bell>>>);

impl Bells {
    pub(crate) fn ring(&self) {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|bell| bell.ring());
    }

    pub(crate) fn add(&self, bell: Arc<Bell>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(bell);
    }

    pub(crate) fn remove(&self, bell: &Arc<Bell>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|held| !Arc::ptr_eq(held, bell));
    }
}
