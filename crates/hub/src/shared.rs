//! What all of a hub's handles and subscribers share.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare_log::{Engine, Log, Position};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::advance::Advance;
use crate::audience::Audience;
use crate::clock::Clock;
use crate::compression::Contexts;
use crate::figures::Counters;
use crate::http::RefusalLines;
use crate::idempotency::Answers;
use crate::limits::{FAREWELL_RETRY_SECONDS, STREAM_END_SPREAD_MAX};
use crate::presence::Presence;
use crate::publish_rate::PublishRate;
use crate::quota::Quotas;
use crate::recent_types::RecentTypes;
use crate::settings::Settings;
use crate::shard::Bells;

/// The parts of a hub.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tail: watch::Sender<Position>,
    /// Rung after each append and when the phase changes.
    pub(crate) bells: Arc<Bells>,
    /// The subscribers of the general path.
    pub(crate) audience: Audience,
    /// When the log advanced, for the herald.
    pub(crate) advance: Arc<Advance>,
    /// The compressors that they share.
    pub(crate) contexts: Contexts,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) counters: Counters,
    pub(crate) quotas: Quotas,
    pub(crate) publish_rate: Option<PublishRate>,
    pub(crate) refusal_lines: RefusalLines,
    /// Held by each who reads ahead.
    pub(crate) conflations: Arc<()>,
    pub(crate) recent_types: RecentTypes,
    pub(crate) answers: Answers,
    /// Who is subscribed, if the hub keeps a list.
    pub(crate) presence: Option<Arc<Presence>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Mutex<fastrand::Rng>,
}

impl Shared {
    /// A random share of `window`, to keep a crowd of clients from coming back at once.
    pub(crate) fn share_of(&self, window: Duration) -> Duration {
        window.mul_f64(self.random())
    }

    /// When a stream ends whose token has `left` left. It ends by itself and before the token does: cut off, or found
    /// without rights in the middle, a subscriber could not tell what it missed from what it must not see. Some time
    /// before, because whoever logged in together would come back together.
    pub(crate) fn share_of_life(&self, left: Duration) -> Duration {
        left - self.share_of((left / 10).min(STREAM_END_SPREAD_MAX))
    }

    /// When a stream ends that begins now, because it is old. The last tenth keeps apart whoever came together.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.settings.connection_age_max.map(|age| age - self.share_of(age / 10))
    }

    /// What a stream is told that ends because the hub stops: when to come back, so that a crowd does not come in the
    /// moment in which another hub begins.
    pub(crate) fn farewell(&self) -> Vec<u8> {
        let Range { start, end } = FAREWELL_RETRY_SECONDS;
        let mut farewell = Vec::new();
        let retry = Duration::from_secs_f64(start + self.random() * (end - start));
        fanfare_wire::encode_last_retry(retry, &mut farewell);
        farewell
    }

    /// A seed for randomness elsewhere.
    pub(crate) fn seed(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }

    /// Bits for a name that nobody else has.
    pub(crate) fn random_bits(&self) -> u128 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u128(..)
    }

    /// A number from 0 to 1.
    pub(crate) fn random(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).field("log", &self.log).finish_non_exhaustive()
    }
}

/// Where a hub is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Every stream ends at a moment of its own in the window.
    Draining {
        begun: Instant,
        window: Duration,
    },
}
