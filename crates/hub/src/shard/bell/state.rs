//! Who wakes whom. The one lock-free part of the hub, so a test includes this file once more with loom's atomics.

use super::{AtomicU8, Ordering};

/// Whether a shard is awake, and whether somebody rang.
#[derive(Debug)]
pub(super) struct State(AtomicU8);

/// At work, and nobody rang since it last listened.
const AWAKE: u8 = 0;
/// About to wait or waiting: whoever rings has to wake it.
const ASLEEP: u8 = 1;
/// Somebody rang.
const RUNG: u8 = 2;

impl State {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(AWAKE))
    }

    /// Rings. Returns whether the shard has to be woken.
    pub(super) fn ring(&self) -> bool {
        self.0.swap(RUNG, Ordering::AcqRel) == ASLEEP
    }

    /// Whether the shard may wait. Whoever rings from now on wakes it.
    pub(super) fn may_sleep(&self) -> bool {
        self.0.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether somebody rang since the last call. The shard is awake from here on.
    pub(super) fn was_rung(&self) -> bool {
        self.0.swap(AWAKE, Ordering::AcqRel) == RUNG
    }
}
