//! Connections on their way from a shard to hyper.

use std::collections::VecDeque;
use std::net::{IpAddr, TcpStream};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::run::{Excess, Open};

/// A connection with a request that is not for a shard.
#[derive(Debug)]
pub(crate) struct HandOver {
    pub(crate) stream: TcpStream,
    /// What was read of it.
    pub(crate) read: Bytes,
    pub(crate) open: Open,
    /// Who is at the other end.
    pub(crate) peer: IpAddr,
    pub(crate) stage: Stage,
    /// It is one too many, and is only told so.
    pub(crate) excess: Option<Excess>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It was accepted, and nothing of it was read: a trusted proxy may say for whom it is.
    Accepted,
    /// It has made no request before, and may speak HTTP/2.
    First,
    /// It has made requests.
    Later,
}

/// The shard's end of the way. What the bounded channel has no room for waits here, and while something waits the shard
/// accepts nothing.
#[derive(Debug)]
pub(super) struct Sender {
    channel: mpsc::Sender<HandOver>,
    waiting: VecDeque<HandOver>,
}

impl Sender {
    pub(super) fn new(channel: mpsc::Sender<HandOver>) -> Self {
        Self { channel, waiting: VecDeque::new() }
    }

    pub(super) fn send(&mut self, connection: HandOver) {
        self.waiting.push_back(connection);
        self.flush();
    }

    /// Returns whether nothing waits.
    pub(super) fn flush(&mut self) -> bool {
        while let Some(connection) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(connection)) = self.channel.try_send(connection) {
                self.waiting.push_front(connection);
                return false;
            }
        }
        true
    }
}
