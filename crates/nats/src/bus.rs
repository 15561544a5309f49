//! Messages between the nodes, which nobody stores: for what is true only as long as a node lives.

use std::fmt;

use async_nats::connection::State;
use async_nats::{Client, Subscriber};
use futures_util::StreamExt;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::limits::SEND_TIMEOUT;
use crate::link::payload_bytes_max;

/// Where the nodes of one stream speak with each other: `fanfare.STREAM.nodes.all`, and `fanfare.STREAM.nodes.` with the
/// sixteen hexadecimal digits of a node, which only that one hears.
///
/// A message is sent once: to whoever is there, or to nobody. What a sender names as a place for answers is passed over: a
/// hub publishes with a hub's permissions, and chooses for itself where.
pub struct Bus {
    client: Client,
    node: u64,
    subjects: String,
    /// What is for this node, and what is for all.
    inboxes: Mutex<(Subscriber, Subscriber)>,
}

impl Bus {
    /// A place among the nodes of `stream`'s subject, with a random number.
    pub(crate) async fn open(client: Client, subject: &str) -> Result<Self, async_nats::SubscribeError> {
        let (node, subjects) = (fastrand::u64(..), format!("{subject}.nodes"));
        let own = client.subscribe(subject_of(&subjects, Some(node))).await?;
        let all = client.subscribe(subject_of(&subjects, None)).await?;
        Ok(Self { client, node, subjects, inboxes: Mutex::new((own, all)) })
    }

    /// This node: random bits, drawn when the bus was opened.
    #[must_use]
    pub fn node(&self) -> u64 {
        self.node
    }

    /// The largest message, in bytes. `None` as long as no server has said it.
    #[must_use]
    pub fn message_bytes_max(&self) -> Option<usize> {
        Some(payload_bytes_max(&self.client)).filter(|bytes| *bytes > 0)
    }

    /// Whether there is a connection to a server, as far as is known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Sends to one node or to all, this one included. It is dropped without a connection, for which the client would keep it, and
    /// when there is no room in the client for a second. So is one that is over [`message_bytes_max`](Self::message_bytes_max).
    ///
    /// # Cancel safety
    ///
    /// The message was sent or not when the future is dropped before it is ready.
    pub async fn send(&self, to: Option<u64>, message: Vec<u8>) {
        if self.is_connected() {
            let sending = self.client.publish(subject_of(&self.subjects, to), message.into());
            match timeout(SEND_TIMEOUT, sending).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a message to the other nodes was not sent"),
                Err(_) => tracing::debug!("a message to the other nodes was not sent in time"),
            }
        }
    }

    /// The next message, also of this node. `None` is the end of the connection for good.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no message.
    pub async fn receive(&self) -> Option<Vec<u8>> {
        let (own, all) = &mut *self.inboxes.lock().await;
        let message = tokio::select! {
            message = own.next() => message,
            message = all.next() => message,
        };
        message.map(|message| message.payload.into())
    }
}

fn subject_of(subjects: &str, node: Option<u64>) -> String {
    match node {
        Some(node) => format!("{subjects}.{node:016x}"),
        None => format!("{subjects}.all"),
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("node", &self.node).field("subjects", &self.subjects).finish_non_exhaustive()
    }
}
