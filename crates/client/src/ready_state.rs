//! Where a connection stands.

use crate::session::State;

/// Where a connection stands, with the numbers of the standard (C6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(clippy::exhaustive_enums, reason = "the standard knows these three and no other")]
pub enum ReadyState {
    /// It connects, or waits before it connects again.
    Connecting = 0,
    /// It receives.
    Open = 1,
    /// It is over: closed, or failed for good.
    Closed = 2,
}

impl ReadyState {
    pub(crate) fn of(state: State) -> Self {
        match state {
            State::Connecting | State::Waiting(_) => Self::Connecting,
            State::Open => Self::Open,
            State::Closed => Self::Closed,
        }
    }
}
