//! What an operator can set.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::authorization::Authorization;
use crate::origin::AllowedOrigin;

/// How a hub behaves. Every field has a default that suits one machine and a newcomer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// A comment is sent to a subscriber to whom nothing was sent for so long: proxies close idle connections, most of
    /// them after 30 to 60 seconds.
    pub heartbeat: Duration,
    /// Whether a subscriber who missed events is told so in the stream. If not, only the response header tells, and one
    /// who falls behind is disconnected so that its reconnect can see it.
    pub gap_event: bool,
    /// Who may publish and subscribe.
    pub authorization: Authorization,
    /// Origins whose pages may subscribe, on an open hub beside those of this machine.
    pub cors_origins: Vec<AllowedOrigin>,
    /// Origins whose pages may publish, on an open hub beside those of this machine.
    pub publish_origins: Vec<AllowedOrigin>,
    /// Whether subscribers are listed, and their coming and going told, to those whose grant covers it.
    pub subscriptions: bool,
    /// Whether a subscriber whose `Accept-Encoding` offers Zstandard or gzip is sent it. It is then on the general path, also
    /// over plain HTTP/1.1.
    pub compression: bool,
    /// The body of a publish, in bytes.
    pub body_bytes_max: usize,
    /// Selectors of one subscription, and topics of one update.
    pub topics_max: usize,
    /// Connections in all, and subscribers, of whom HTTP/2 has many on one connection.
    pub connections_max: usize,
    /// Threads that own the subscribers of each listener.
    pub shards: NonZeroUsize,
    /// How long streams may take to end when the hub stops.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            gap_event: true,
            authorization: Authorization::Open,
            cors_origins: Vec::new(),
            publish_origins: Vec::new(),
            subscriptions: false,
            // Over plain HTTP/1.1 it costs a subscriber's place on a shard, and lengths tell something of what they carry.
            compression: false,
            // Mercure's reference hub takes as much, and a browser as much in one event without trouble.
            body_bytes_max: 1 << 20,
            topics_max: 1000,
            // A connection on the general path costs about 30 KiB: 3 GB of memory, and more files than most systems
            // give a process.
            connections_max: 100_000,
            shards: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            drain: Duration::from_secs(10),
        }
    }
}
