//! Bounds, each with its unit and its reason.

use std::time::Duration;

/// How long a publish may wait until it can be sent, and how long for its answer then: ten seconds in all. A cluster
/// elects a new leader within some seconds; whoever publishes shall not wait longer before it is told to come back.
pub(crate) const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a subscriber waits until its cursor can be judged: as above, and most proxies give an answer 30 seconds.
pub(crate) const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one server may take to let a node in.
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(3);

/// Attempts at a server that cuts the first connection without a word, before it is taken for one that is away.
pub(crate) const CONNECT_ATTEMPTS: u32 = 3;

/// A connection over which nothing comes is given up after two of these without an answer.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(5);

/// What waits to be written to the connection, mostly publishes: with the largest payload that a server takes unless it
/// is told otherwise, 1 MiB, it is 256 MiB while a connection hangs. More gains nothing.
pub(crate) const COMMANDS_MAX: usize = 256;

/// Messages that came for one subscription and wait to be taken. What is asked for of the stream is less; of what other
/// nodes say, the rest is dropped, and found missing by its number.
pub(crate) const INBOX_MESSAGES_MAX: usize = 8192;

/// How long one request to JetStream may take: less than a publish, which may have to wait for it.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a message to other nodes may wait for room in the client: what it says is old by then.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Publishes under way at once. Beyond it they wait within their time: each holds its batch in memory.
pub(crate) const PUBLISHES_MAX: usize = 4096;

/// How often the stream is compared with what was followed: a roll-back that no failure announced is found within it.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How long a server may be silent towards the consumer before it is asked for another, and how long one request for
/// messages lasts, which is at least twice as long by the server's rule.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(3);
pub(crate) const PULL_EXPIRY: Duration = Duration::from_secs(30);

/// How long the server keeps a consumer whose node has gone.
pub(crate) const CONSUMER_IDLE: Duration = Duration::from_secs(60);

/// Messages asked for at once, and their bytes: what the node holds while its log stores. More gains nothing in
/// throughput.
pub(crate) const PULL_MESSAGES: usize = 512;
pub(crate) const PULL_BYTES_MIN: usize = 8 << 20;

/// Batches given to the local log and not stored yet: enough to fill a sync of a disk, and little memory.
pub(crate) const STORING_BATCHES_MAX: usize = 1024;
pub(crate) const STORING_BYTES_MAX: usize = 16 << 20;

/// The pause before following is tried again after it broke off, doubled each time up to the second; spread, because
/// every node of a cluster breaks off at once.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(100);
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How often a stream must be found missing, one retry after another, before it is made anew: a cluster that starts may
/// not know of it yet.
pub(crate) const MISSING_LOOKS: u32 = 3;

/// Attempts to agree on an epoch with other nodes that do the same at once: one of them wins each.
pub(crate) const AGREE_ATTEMPTS: u32 = 10;

/// How long the stream remembers idempotency keys: what the hub promises.
pub(crate) const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// What a message has beside its payload against the server's limit, in bytes: the two headers with their values (a
/// stream's name of at most 255 bytes, a key of at most 255).
pub(crate) const HEADERS_BYTES_MAX: usize = 640;
