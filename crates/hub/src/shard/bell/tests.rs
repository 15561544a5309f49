//! Every interleaving of publishers who ring and a shard that sleeps.

use std::sync::Arc;

use loom::sync::Notify;
use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use loom::thread;

/// The same file, with atomics whose every interleaving loom tries.
#[allow(clippy::duplicate_mod, reason = "so that the test has nothing but other atomics")]
#[path = "state.rs"]
mod state;

use state::State;

struct Shard {
    state: State,
    /// What a publisher writes before it rings.
    log: [AtomicUsize; PUBLISHERS],
    /// In place of epoll and its eventfd.
    waker: Notify,
}

const PUBLISHERS: usize = 2;

/// A ring that wakes nobody would be a deadlock here, and one that is heard before what it tells of is written would
/// leave the shard asleep for good.
#[test]
fn whoever_rings_is_heard_and_what_it_wrote_before_is_seen() {
    loom::model(|| {
        let shard = Arc::new(Shard {
            state: State::new(),
            log: std::array::from_fn(|_| AtomicUsize::new(0)),
            waker: Notify::new(),
        });
        for publisher in 0..PUBLISHERS {
            let shard = shard.clone();
            thread::spawn(move || {
                shard.log[publisher].store(1, Ordering::Relaxed);
                if shard.state.ring() {
                    shard.waker.notify();
                }
            });
        }
        let mut seen = 0;
        while seen < PUBLISHERS {
            if shard.state.may_sleep() {
                shard.waker.wait();
            }
            if shard.state.was_rung() {
                seen = shard.log.iter().map(|entry| entry.load(Ordering::Relaxed)).sum();
            }
        }
    });
}
