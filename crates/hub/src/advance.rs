//! When the log advanced, for those who measure how long it takes until subscribers have it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The moment of the first advance that was not taken yet. Each reader of the log has one of its own.
#[derive(Debug)]
pub(crate) struct Advance {
    start: Instant,
    /// In nanoseconds after the start, and one more. 0 is none.
    at: AtomicU64,
}

impl Default for Advance {
    fn default() -> Self {
        Self { start: Instant::now(), at: AtomicU64::new(0) }
    }
}

impl Advance {
    /// The log advances, at `now`. Costs a load while an earlier one is not taken.
    pub(crate) fn note(&self, now: Instant) {
        if self.at.load(Ordering::Relaxed) == 0 {
            let nanoseconds = now.saturating_duration_since(self.start).as_nanos();
            let at = u64::try_from(nanoseconds).unwrap_or(u64::MAX - 1) + 1;
            let _ = self.at.compare_exchange(0, at, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Takes the moment of the first advance since the last call. Called before the log is read, so that what is noted
    /// from then on belongs to a later read, or to none.
    pub(crate) fn take(&self) -> Option<Instant> {
        let nanoseconds = self.at.swap(0, Ordering::AcqRel).checked_sub(1)?;
        Some(self.start + Duration::from_nanos(nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_first_advance_since_the_last_one_was_taken() {
        let advance = Advance::default();
        let at = |milliseconds| advance.start + Duration::from_millis(milliseconds);
        assert_eq!(advance.take(), None);
        advance.note(at(0));
        advance.note(at(1));
        assert_eq!(advance.take(), Some(at(0)));
        assert_eq!(advance.take(), None);
        advance.note(at(5));
        assert_eq!(advance.take(), Some(at(5)));
    }
}
