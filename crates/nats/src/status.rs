//! How far a node is, for all who wait for it.

use async_nats::ServerError;
use fanfare_log::Epoch;

/// What the parts of an engine tell each other. Everybody watches one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// Whether there is a connection to a server.
    pub(crate) is_connected: bool,
    /// Why there is none, as far as it is known.
    pub(crate) disconnection: Option<Disconnection>,
    /// What a server said last on this connection.
    pub(crate) server_error: Option<ServerError>,
    /// The epoch that this node has agreed on with the stream as it is now. `None` while that is in doubt: nothing gets a
    /// position then.
    pub(crate) epoch: Option<Epoch>,
    /// How often there was an agreement.
    pub(crate) agreements: u64,
    /// The last message that the local log has.
    pub(crate) followed: u64,
    /// The last message that was acknowledged to this node, of the same epoch.
    pub(crate) acknowledged: u64,
    /// Where the stream ended when following began: with it the node has caught up.
    pub(crate) target: u64,
    /// The local log has not had the history since it began, or began anew.
    pub(crate) is_filling: bool,
    /// Why following does not go on, for an operator.
    pub(crate) trouble: Option<String>,
    /// Messages of the stream that were passed over because they are no batches.
    pub(crate) unreadable: u64,
    /// Set by a publisher that was given a sequence which was given before.
    pub(crate) is_doubted: bool,
}

/// What the attempts to connect came to, a server each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disconnection {
    /// No server was there.
    Away(String),
    /// A server did not want this node, or is not whom it trusts.
    Refused(String),
}

impl Status {
    pub(crate) fn new(followed: u64) -> Self {
        Self {
            is_connected: false,
            disconnection: None,
            server_error: None,
            epoch: None,
            agreements: 0,
            followed,
            acknowledged: 0,
            target: 0,
            is_filling: true,
            trouble: None,
            unreadable: 0,
            is_doubted: false,
        }
    }

    pub(crate) fn connect(&mut self) {
        (self.is_connected, self.disconnection, self.server_error) = (true, None, None);
    }

    /// The highest sequence that this node knows to be taken.
    pub(crate) fn taken(&self) -> u64 {
        self.followed.max(self.acknowledged)
    }

    /// Why the node is not ready, if it is not.
    pub(crate) fn unready(&self) -> Option<String> {
        if !self.is_connected {
            // Anyone may read it: which server said what is for the log alone.
            let why = match self.disconnection {
                Some(Disconnection::Refused(_)) => {
                    "NATS does not let this node in, or has a certificate that it does not trust: the log says which"
                }
                Some(Disconnection::Away(_)) | None => "NATS is away",
            };
            return Some(format!("{why}. Publishing waits, and subscribers keep what they have"));
        }
        if let Some(trouble) = &self.trouble {
            return Some(trouble.clone());
        }
        let behind = self.target.saturating_sub(self.followed);
        if self.epoch.is_none() || behind > 0 || self.is_filling {
            return Some(format!("catching up: {behind} behind"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_it_has_caught_up() {
        let mut status = Status::new(3);
        let check = |status: &Status, expected: Option<&str>| {
            let unready = status.unready();
            assert_eq!(unready.is_some(), expected.is_some(), "{unready:?}");
            assert!(unready.unwrap_or_default().contains(expected.unwrap_or_default()));
        };
        check(&status, Some("NATS is away. "));
        let said = "a:1: said";
        status.disconnection = Some(Disconnection::Away(said.to_owned()));
        check(&status, Some("NATS is away. "));
        status.disconnection = Some(Disconnection::Refused(said.to_owned()));
        check(&status, Some("does not let this node in"));
        assert!(!status.unready().unwrap().contains(said));
        status.is_connected = true;
        check(&status, Some("catching up"));
        (status.epoch, status.target) = (Some(Epoch(1)), 10);
        check(&status, Some("catching up: 7 behind"));
        status.trouble = Some("the stream is gone".to_owned());
        check(&status, Some("the stream is gone"));
        (status.trouble, status.followed, status.is_filling) = (None, 10, false);
        check(&status, None);
        // What is published from then on is followed, not caught up with.
        status.acknowledged = 11;
        check(&status, None);
    }
}
