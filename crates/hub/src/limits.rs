//! What the hub takes and holds at most. What an operator can set is in [`Settings`](crate::Settings).

use std::time::Duration;

/// A topic or a selector, in bytes. Mercure's reference hub bounds patterns at the same size.
pub(crate) const TOPIC_BYTES_MAX: usize = 4096;

/// An id that a publisher chose, in bytes: as a cursor has at most.
pub(crate) const ID_BYTES_MAX: usize = fanfare_server::cursor::ID_BYTES_MAX;

/// An event type, in bytes. Types are names in programs.
pub(crate) const TYPE_BYTES_MAX: usize = 1024;

/// The program that a URI Template compiles to, in bytes of memory, and templates in one subscription. One variable
/// needs none, and ordinary others take two to four KiB; `{x:9999}` alone would take a megabyte, and a request of 23 KB could ask for a thousand such.
pub(crate) const TEMPLATE_PROGRAM_BYTES_MAX: usize = 32 << 10;
pub(crate) const TEMPLATES_MAX: usize = 100;

/// What one read of the log gives a subscriber: about the size of a socket's send buffer in bytes, and a few
/// milliseconds of work in records that are looked at, so that other subscribers get their turn.
pub(crate) const READ_RECORDS_MAX: usize = 1024;
pub(crate) const READ_BYTES_MAX: usize = 64 << 10;
pub(crate) const READ_EXAMINED_MAX: usize = 4096;

/// What is kept for one subscriber of the latest events while it reads ahead: topics, and bytes of them, with what a topic's
/// place in the tables takes. As much as one read of the log, and as many may do so at once: 4 MiB. The next one is sent what each
/// of its reads found.
pub(crate) const CONFLATED_TOPICS_MAX: usize = 512;
pub(crate) const CONFLATED_BYTES_MAX: usize = READ_BYTES_MAX;
pub(crate) const CONFLATED_EVENT_BYTES: usize = 192;
pub(crate) const CONFLATIONS_MAX: usize = 64;

/// What a subscriber on the general path is handed at once, in bytes: a record of TLS, and the frame that HTTP/2 peers
/// take unless they say otherwise. A larger event goes out in as many pieces, and is not copied for that.
pub(crate) const FRAME_BYTES_MAX: usize = 16 << 10;

/// How far it is from one place to the next where a compressor begins anew, by the time of the events. A subscriber that comes
/// in between waits for the next, uncompressed; what a beginning costs is an event or two that can't refer to others.
pub(crate) const CONTEXT_SPAN: Duration = Duration::from_secs(10);

/// Compressors of a hub, of 270 to 350 KiB each, Brotli's of up to 710 after events of 100 kB and more: 45 to 90 MB. What is more
/// is sent uncompressed.
pub(crate) const CONTEXTS_MAX: usize = 128;

/// What a compressor gave last, in steps and bytes, for those who come to it later: as much as one read of the log. Whoever
/// is further behind goes on uncompressed until the next beginning.
pub(crate) const CONTEXT_STEPS_MAX: usize = READ_RECORDS_MAX;
pub(crate) const CONTEXT_STEPS_BYTES_MAX: usize = READ_BYTES_MAX;

/// Subscribers on the general path that are looked at, and woken, before others get their turn: some 30 µs.
pub(crate) const AUDIENCE_SLICE: usize = 256;

/// What the herald notes of who wants which event before it wakes them: 8 bytes each. One event may be wanted by more.
pub(crate) const AUDIENCE_CALLS_MAX: usize = 4096;

/// A request's name that it brings itself, in bytes: twice a UUID's, which is what proxies give.
pub(crate) const REQUEST_ID_BYTES_MAX: usize = 64;

/// Refusals that the log tells of, each second: some 3 KB of it, so that nobody fills a disk by being refused.
pub(crate) const REFUSAL_LINES_PER_SECOND_MAX: u32 = 10;

/// The head of a request, in bytes; also hyper's buffer for a connection. A cursor of 4 KiB and a cookie fit.
pub(crate) const HEAD_BYTES_MAX: usize = 32 << 10;

/// How long a new connection may take to come to its first request.
pub(crate) const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be without a request after that: a little more than publishers' pools keep one.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// A request that a shard answers, head and body, in bytes. A larger one is hyper's, which reads it piece by piece.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 << 10;

/// How long a shard waits for the rest of such a request: between a head and a body that were sent one after the other.
/// Then hyper does, for `BODY_TIMEOUT`.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// Answers that a shard puts together for a connection that asks without waiting for them, in bytes, beside the last one.
pub(crate) const ANSWERS_BYTES_MAX: usize = 16 << 10;

/// How long a connection that was refused may stay after its answer.
pub(crate) const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a TLS handshake may take, from the first connection to its end, and how many may be under way: what is more
/// waits, within that time. Each holds some 30 KiB until it is through.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const HANDSHAKES_MAX: usize = 1024;

/// What TLS holds for a peer whose socket is full, in bytes, beside what the socket itself holds: two records.
pub(crate) const TLS_BUFFER_BYTES: usize = 32 << 10;

/// Streams of one HTTP/2 connection: some pages with twenty each, or a proxy, which opens another connection for more.
pub(crate) const HTTP2_STREAMS_MAX: u32 = 256;

/// Streams that a peer has reset before we came to answer them. One that opens and resets streams as fast as it can
/// (rapid reset, CVE-2023-44487) is cut off at so many; no honest one has this many in a read.
pub(crate) const HTTP2_PENDING_RESETS_MAX: usize = 20;

/// Streams that we have reset for errors of the peer, after which its connection is closed: each costs us a frame.
pub(crate) const HTTP2_LOCAL_RESETS_MAX: usize = 100;

/// What a peer may send before it is read, in bytes: on a stream as much as the protocol starts with, so that a body of
/// a publish at 100 ms comes with 640 KB a second, and on all streams of a connection four times that. A subscriber's
/// request body is never read.
pub(crate) const HTTP2_STREAM_WINDOW_BYTES: u32 = (64 << 10) - 1;
pub(crate) const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 256 << 10;

/// What h2 takes for a stream ahead of the socket, in bytes: a chunk of events. hyper's own bound is 400 KB, which
/// with 256 streams would be 100 MB for a peer whose socket is full.
pub(crate) const HTTP2_SEND_BUFFER_BYTES: usize = 16 << 10;

/// How often a connection is asked whether its peer is there, and how long that may take: a subscriber's heartbeat finds
/// a peer that is gone, but a stream whose window is shut sends none, and one without streams neither.
pub(crate) const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
pub(crate) const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a publisher may take to send the body.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is read of a body that is refused as too large, so that the answer is not lost in a reset, and for how long.
pub(crate) const DISCARDED_BODY_BYTES_MAX: usize = 8 << 20;
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The last news of who came and went, in events and bytes of text: some seconds of a crowd that comes back. Who was away
/// for longer is told, and reads the list.
pub(crate) const NEWS_MAX: usize = 8192;
pub(crate) const NEWS_BYTES_MAX: usize = 8 << 20;

/// News that one watcher looks at in its turn, subscribers that a list reads under the lock at once, and what of the list
/// is put together at once, in bytes.
pub(crate) const NEWS_READ_MAX: usize = 256;
pub(crate) const SUBSCRIBERS_READ_MAX: usize = 256;
pub(crate) const SUBSCRIBERS_PAGE_BYTES: usize = 64 << 10;

/// Subscriptions of one subscriber: as many as a query has parameters, and the path one more.
pub(crate) const SUBSCRIPTIONS_MAX: usize = FORM_PAIRS_MAX + 1;

/// What a node is called, in bytes: as long as a label of a host's name.
pub(crate) const NODE_NAME_BYTES_MAX: usize = 63;

/// How long a node may be unheard, so that nobody, by mistake or on purpose, has others list ghosts for long; how often it
/// is to be heard in that time, so that a message or two may be lost; and for how many leases everybody is believed to be
/// there by a node that knows itself cut off, which can't tell.
pub(crate) const LEASE_MIN: Duration = Duration::from_millis(50);
pub(crate) const LEASE_MAX: Duration = Duration::from_secs(300);
pub(crate) const BEATS_A_LEASE: u32 = 5;
pub(crate) const CUT_OFF_LEASES: u32 = 4;

/// Other nodes that are heard. Each says five times a lease that it lives.
pub(crate) const NEIGHBOURS_MAX: usize = 1024;

/// A message between nodes, in bytes: as much as NATS takes by default. One is sent when it has come to the second size, so that
/// putting it together, under the lock, takes some 100 µs.
pub(crate) const NEIGHBOUR_MESSAGE_BYTES_MAX: usize = 1 << 20;
pub(crate) const NEIGHBOUR_PIECE_BYTES: usize = 64 << 10;

/// Subscribers of all other nodes, in bytes: a million with a topic each. What is more is not listed, and the list says so.
pub(crate) const NEIGHBOUR_MEMBERS_BYTES_MAX: usize = 256 << 20;

/// Subscribers of a node that is gone who are taken out at once, under the lock: some 1 ms.
pub(crate) const SWEEP_MAX: usize = 1024;

/// A token, in bytes, before it is looked at: more than a cookie can hold, and half of the head of a request.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Selectors in each list of a token or a grant: as many as a subscription may have.
pub(crate) const GRANT_SELECTORS_MAX: usize = 1000;

/// How far the clocks of an issuer and of the hub may be apart. A subscriber gets nothing of it at the end: a stream
/// never outlasts its token.
pub(crate) const TOKEN_LEEWAY: Duration = Duration::from_secs(5);

/// How long an application may take to say what a request may do: a look into a database and a try again. Whoever asked
/// is then told to come back.
pub(crate) const AUTHORIZE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a token must have left for a stream to begin: two ticks of a shard, the least in which it can end cleanly.
pub(crate) const STREAM_LIFE_MIN: Duration = Duration::from_secs(2);

/// Streams end in the last tenth of their token's time, but over no more than this: a crowd that logged in together
/// shall not come back together, and nobody shall lose much.
pub(crate) const STREAM_END_SPREAD_MAX: Duration = Duration::from_secs(30);

/// Grants that are remembered without a holder before they are looked through.
pub(crate) const GRANTS_ROOM: usize = 1024;

/// A set of published keys: the large ones, with certificates, have some 20 KiB and ten keys.
pub(crate) const KEY_SET_BYTES_MAX: usize = 256 << 10;
pub(crate) const KEY_SET_KEYS_MAX: usize = 64;

/// How long a fetch of keys may take. Subscribers with a new key wait for it.
pub(crate) const KEY_FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// How often unknown keys can have keys fetched, whoever makes them up. Issuers publish a key before they use it.
pub(crate) const KEY_FETCH_INTERVAL: Duration = Duration::from_secs(10);

/// How often keys are fetched anyway: so long a withdrawn key still counts.
pub(crate) const KEY_REFRESH_INTERVAL: Duration = Duration::from_secs(600);

/// Waits after a fetch that failed; they double. The first is how long a hub that starts before its issuer lags behind.
pub(crate) const KEY_RETRY_MIN: Duration = Duration::from_secs(1);
pub(crate) const KEY_RETRY_MAX: Duration = Duration::from_secs(60);

/// How long keys count while their source is away: enough for an outage, and not for good, because meanwhile one may
/// have been withdrawn.
pub(crate) const STALE_KEYS_MAX: Duration = Duration::from_secs(3600);

/// Pairs in a form or query: a megabyte of `a&a&…` would become forty of them.
pub(crate) const FORM_PAIRS_MAX: usize = 4096;

/// Connections that the kernel holds until a shard accepts them: the most it can be asked for, which it cuts to
/// `net.core.somaxconn`. A restart brings everybody back at once.
pub(crate) const BACKLOG_CONNECTIONS: i32 = 65_535;

/// Connections that are accepted past the limit in order to be told 503; what comes beyond is closed unheard.
pub(crate) const REFUSED_CONNECTIONS_MAX: usize = 64;

/// Connections of one address that are accepted past its limit in order to be told 429.
pub(crate) const REFUSED_PER_ADDRESS_MAX: usize = 8;

/// What a trusted proxy says of a connection first, in bytes: addresses take 232 at most, the rest is what load balancers
/// add, such as a client's certificate.
pub(crate) const PROXY_HEADER_BYTES_MAX: usize = 4 << 10;

/// Parties whose publishes are counted each for itself, some 50 bytes each, and how often it is looked for those that need not
/// be remembered: 0.1 ms.
pub(crate) const RATE_BUCKETS_MAX: usize = 16 << 10;
pub(crate) const RATE_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How often a shard that can't accept connections says so.
pub(crate) const ACCEPT_ERROR_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How long connections get to finish what they are writing once the drain is over.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// When a subscriber whose stream ends because the hub stops shall come back, in seconds. An `EventSource` keeps it for
/// good, so it is about what browsers have by themselves, three to five.
pub(crate) const FAREWELL_RETRY_SECONDS: std::ops::Range<f64> = 2.0..8.0;

/// When a subscriber who is refused for now shall come back, in seconds; the spread keeps a crowd apart.
pub(crate) const REFUSED_RETRY_SECONDS: std::ops::Range<f64> = 5.0..15.0;

/// Event types remembered for the console page, whose `EventSource` hears only the names it asks for.
pub(crate) const RECENT_TYPES_MAX: usize = 64;

/// How often a hub that stops looks whether a stream is open still.
pub(crate) const IDLE_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How often the log is trimmed by age; its slack is ten times that.
pub(crate) const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// An idempotency key, in bytes, and how long it is remembered: the promise to publishers is two minutes.
pub(crate) const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
pub(crate) const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(120);

/// Keys remembered, and bytes of them with their answers: some 500 publishes with a key each second for two minutes.
pub(crate) const IDEMPOTENCY_KEYS_MAX: usize = 1 << 16;
pub(crate) const IDEMPOTENCY_BYTES_MAX: usize = 64 << 20;

/// What a socket's send buffer may hold, in bytes; the kernel doubles it for its own needs. Left to itself it lets a
/// subscriber that never reads pin 4 MB. At 100 ms to the subscriber it is 2.5 MB a second.
pub(crate) const SEND_BUFFER_BYTES: usize = 256 << 10;

/// How long a peer may leave sent bytes unacknowledged, or its window shut: then the kernel ends the connection, and
/// the subscriber comes back with its cursor if there is one. Two heartbeats that were lost, and some patience.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// What a subscriber may say after its request, in bytes: it has nothing to say. As much as hyper would hold.
pub(crate) const HEARD_BYTES_MAX: u32 = 32 << 10;

/// The headers of a first request. hyper takes as many, and answers 431 to more.
pub(crate) const HEADERS_MAX: usize = 100;

/// Events that are put together for a group of subscribers, in bytes, and for all groups of a shard; a single one may
/// be larger. Whoever would need more reads the log for itself. At 5 µs a send it is a second's worth for 10,000
/// subscribers at 3000 events of 300 bytes.
pub(crate) const GROUP_BUFFER_BYTES_MAX: usize = 1 << 20;
pub(crate) const GROUP_BUFFERS_BYTES_MAX: usize = 64 << 20;

/// Empty buffers that are kept for the next group, and the size up to which one is kept: 4 MiB in all.
pub(crate) const SPARE_BUFFERS_MAX: usize = 64;
pub(crate) const SPARE_BUFFER_BYTES_MAX: usize = 64 << 10;

/// What a shard does before it looks at new events, sockets and timers again: sends at 4 to 8 µs each, looks at
/// subscribers who need nothing at some 20 ns, reads of the log by those who are behind and looks at how far, URI Templates that are asked
/// about a new topic, and new connections. Each is about a millisecond. Requests are fewer, so that publishers leave most of
/// the time to the subscribers that they publish to: some 10 µs each.
pub(crate) const SLICE_SENDS_MAX: usize = 256;
pub(crate) const SLICE_VISITS_MAX: usize = 16 << 10;
pub(crate) const SLICE_READS_MAX: usize = 16;
pub(crate) const SLICE_TEMPLATES_MAX: usize = 4096;
pub(crate) const SLICE_ACCEPTS_MAX: usize = 64;
pub(crate) const SLICE_REQUESTS_MAX: usize = 16;

/// Runs of allowed events that one vectored write joins: the kernel copies so many descriptors without allocating twice.
pub(crate) const RUNS_MAX: usize = 64;

/// Subscribers that a shard has room for from the start, in memory that is not touched until they come: a table that
/// grows from nothing leaves its smaller selves behind.
pub(crate) const SUBSCRIBERS_ROOM: usize = 1024;

/// What a shard takes from epoll at once.
pub(crate) const READY_EVENTS_MAX: usize = 1024;

/// Connections on their way from the shards to hyper. What is more waits in its shard.
pub(crate) const HAND_OVERS_MAX: usize = 1024;

/// How exact a shard's timers are: an eighth of the heartbeat or the drain, between these bounds. Each tick wakes every
/// shard once.
pub(crate) const TICK_MIN: Duration = Duration::from_millis(5);
pub(crate) const TICK_MAX: Duration = Duration::from_secs(1);

/// How long a tick waits for a shard that is busy.
pub(crate) const TICK_TIMEOUT: Duration = Duration::from_secs(5);
