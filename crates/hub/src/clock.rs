//! The time of day, a parameter of the hub.

use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

use fanfare_log::Timestamp;

/// Says what time it is. Tests hand in one of their own.
pub trait Clock: Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no parts")]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the clock is read")]
    fn now(&self) -> Timestamp {
        // A clock before 1970 is taken for 1970: events then all look new, and nothing is trimmed by age.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
