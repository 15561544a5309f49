//! What an operator can set.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::authorization::Authorization;
use crate::origin::AllowedOrigin;
use crate::presence::NodeName;
use crate::slow_policy::SlowPolicy;
use crate::trusted_proxy::TrustedProxy;

/// How a hub behaves. Every field has a default that suits one machine and a newcomer, with which
/// its text ends.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_hub::Settings;
///
/// let mut settings = Settings::default();
/// settings.heartbeat = Duration::from_secs(30);
/// settings.body_bytes_max = 64 << 10;
/// assert!(settings.may_listen("127.0.0.1:3000".parse()?).is_ok());
/// assert!(settings.may_listen("0.0.0.0:3000".parse()?).is_err(), "anyone could publish");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// A comment is sent to a subscriber to whom nothing was sent for so long: proxies close idle connections, most of
    /// them after 30 to 60 seconds. 15 seconds; not zero.
    pub heartbeat: Duration,
    /// Whether a subscriber who missed events is told so in the stream. If not, only the response header tells, and one
    /// who falls behind is disconnected so that its reconnect can see it. On.
    pub gap_event: bool,
    /// Who may publish and subscribe. Everybody, so that [`Hub::run`](crate::Hub::run) listens for this machine alone.
    pub authorization: Authorization,
    /// Origins whose pages may subscribe, on an open hub beside those of this machine. None.
    pub cors_origins: Vec<AllowedOrigin>,
    /// Origins whose pages may publish, on an open hub beside those of this machine. None.
    pub publish_origins: Vec<AllowedOrigin>,
    /// Whether subscribers are listed, and their coming and going told, to those whose grant covers it. Off.
    pub subscriptions: bool,
    /// What this node is called where subscribers are listed. Without it, one [among others](crate::HubBuilder::neighbours)
    /// is called by random digits. `None`.
    pub node_name: Option<NodeName>,
    /// How long the subscribers of this node are listed by others that do not hear from it, 50 ms to 5 minutes. It says that
    /// it lives five times as often. 15 seconds.
    pub node_lease: Duration,
    /// Whether a subscriber whose `Accept-Encoding` offers Zstandard, Brotli or gzip is sent it. It is then on the general path, also
    /// over plain HTTP/1.1. Off.
    pub compression: bool,
    /// The body of a publish, in bytes; 413 beyond. 1 MiB.
    pub body_bytes_max: usize,
    /// Selectors of one subscription, and topics of one update; 400 beyond. 1000.
    pub topics_max: usize,
    /// Connections in all, and subscribers, of whom HTTP/2 has many on one connection; 503 beyond. 100,000.
    pub connections_max: usize,
    /// Proxies that are believed when they say for whom they ask. Without them every request is their own. None.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Connections of one client address, of IPv6 of one network of 64 bits, and as many streams. `None` is
    /// [`CONNECTIONS_PER_ADDRESS`](Self::CONNECTIONS_PER_ADDRESS), and any number for programs on this machine; 429 beyond.
    /// `None`.
    pub connections_per_address_max: Option<usize>,
    /// Streams of one token subject (`sub`); 429 beyond. 2000.
    pub streams_per_subject_max: usize,
    /// Events a second that one token subject, or without one a client address, may publish over HTTP; 429
    /// beyond. `None`, which is any number.
    pub publish_rate: Option<NonZeroU32>,
    /// How a subscription may ask to be served while it is behind. One that does not ask has the first.
    /// [All](SlowPolicy::ALL), the first being [`SlowPolicy::CatchUp`].
    pub slow_policies: Vec<SlowPolicy>,
    /// How many events a subscriber may be behind whose stream is to end beyond ([`SlowPolicy::Disconnect`]).
    /// 1000.
    pub slow_disconnect_events: u64,
    /// How long a stream may last: it ends cleanly in the last tenth of that, at a moment of its own. Not zero.
    /// `None`, which is any time.
    pub connection_age_max: Option<Duration>,
    /// Threads that own the subscribers of each listener. One a processor.
    pub shards: NonZeroUsize,
    /// How long streams may take to end when the hub stops. 10 seconds.
    pub drain: Duration,
}

impl Settings {
    /// An office or a campus behind one address has room in it, at four streams for each of 500 people, and a host needs
    /// fifty addresses to hold all the connections that there are by default.
    pub const CONNECTIONS_PER_ADDRESS: usize = 2000;
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
            node_name: None,
            // Longer than a connection to NATS takes to be found dead and made again.
            node_lease: Duration::from_secs(15),
            // Over plain HTTP/1.1 it costs a subscriber's place on a shard, and lengths tell something of what they carry.
            compression: false,
            // Mercure's reference hub takes as much, and a browser as much in one event without trouble.
            body_bytes_max: 1 << 20,
            topics_max: 1000,
            // A connection on the general path costs about 30 KiB: 3 GB of memory, and more files than most systems
            // give a process.
            connections_max: 100_000,
            trusted_proxies: Vec::new(),
            connections_per_address_max: None,
            // A subject may be a service with many clients, as an address may be an office.
            streams_per_subject_max: Self::CONNECTIONS_PER_ADDRESS,
            publish_rate: None,
            slow_policies: SlowPolicy::ALL.to_vec(),
            // More than comes between two looks at a socket, and still little to catch up with.
            slow_disconnect_events: 1000,
            connection_age_max: None,
            shards: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            drain: Duration::from_secs(10),
        }
    }
}
