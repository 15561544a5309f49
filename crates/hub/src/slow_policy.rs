//! What becomes of somebody who does not take events as fast as they come.

use std::fmt;
use std::str::FromStr;

/// How a subscriber goes on who is behind. Nothing is queued for it in any case: it reads the log from where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// It gets every event, as fast as it takes them.
    #[default]
    CatchUp,
    /// Its stream ends once it is more than so many events behind. It comes back by itself, with its cursor.
    Disconnect,
    /// While it is behind it gets the latest event of each canonical topic alone.
    Conflate,
}

impl SlowPolicy {
    /// All of them, the usual one first.
    pub const ALL: [Self; 3] = [Self::CatchUp, Self::Disconnect, Self::Conflate];

    /// Its name in queries and settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CatchUp => "catch-up",
            Self::Disconnect => "disconnect",
            Self::Conflate => "conflate",
        }
    }
}

impl fmt::Display for SlowPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SlowPolicy {
    type Err = UnknownSlowPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownSlowPolicy> {
        let found = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        found.ok_or_else(|| UnknownSlowPolicy(text.to_owned()))
    }
}

/// No policy for slow subscribers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not how a slow subscriber can be served: take catch-up, disconnect or conflate")]
pub struct UnknownSlowPolicy(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_nothing_else_does() {
        for policy in SlowPolicy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for text in ["", "Conflate", "catch_up", "conflate "] {
            assert!(text.parse::<SlowPolicy>().is_err());
        }
    }
}
