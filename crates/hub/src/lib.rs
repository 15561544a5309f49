//! An event hub: applications publish to it over HTTP, browsers and services subscribe with `EventSource`.
//!
//! The log is the buffer and a subscriber is a cursor: there is no queue per subscriber, and replay, catching up and
//! live delivery are one read of the log. How a request flows, in the order of the modules:
//!
//! ```text
//! publish:    POST ─► http::{plain, batch, mercure} ─► Update ─► Hub::publish ─► Engine::append ─► 200 and the id
//! subscribe:  GET ─► shard::arrival ─► http::subscribe ─► Subscription + Start ─► shard::fanout ─► socket
//!             TLS, HTTP/2: connection ─► http::subscribe ─► Delivery, which audience wakes ─► hyper or secure ─► socket
//! ```
//!
//! Both read the log from the cursor. A shard is a thread that owns its sockets, where a send costs little more than the
//! system call; the general path is a task on tokio. A connection that
//! is used again goes back to a shard with its subscription.
//!
//! [`Hub::run`] serves a listener; [`Hub::router`] is the same as an axum router to nest in an application.
//!
//! What it is not: it makes no order and keeps no history itself, that is [`fanfare_log`]'s; it reads no environment
//! and prints nothing, that is the command line's.
#![forbid(unsafe_code)]

mod limits;

mod clock;
mod settings;
mod slow_policy;

mod grant;
mod origin;
mod selector;
mod topic;
mod uri_template;

mod trusted_proxy;

mod forwarded;
mod party;
mod proxy_protocol;

mod client_address;

mod authorization;
mod grants;
mod token;

mod idempotency;
mod publish_rate;
mod quota;
mod subscription;
mod update;

mod figures;
mod hub;
mod recent_types;
mod shared;
mod ticket;

mod interest;
mod notice;

mod conflation;
mod lag;

#[cfg(test)]
mod oracle;

mod audience;
mod delivery;
mod presence;
mod shard;

mod activity;
mod http;
mod open_files;
mod screen;
mod tls;

mod connection;
mod run;
mod secure;

// A channel in an application begins and tells of gaps as the hub does.
use fanfare_server::cursor;

pub use authorization::{Authorization, InvalidCookieName, Tokens};
pub use clock::{Clock, SystemClock};
pub use cursor::GAP_TYPE;
pub use figures::Figures;
pub use hub::{BuildError, DEFAULT_RETENTION, Hub, HubBuilder, PublishError};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub use open_files::raise_open_files_limit;
pub use origin::{AllowedOrigin, InvalidOrigin};
pub use run::RunError;
pub use settings::Settings;
pub use slow_policy::{SlowPolicy, UnknownSlowPolicy};
pub use tls::{Tls, TlsError};
pub use token::{
    Algorithm, Claims, FetchError, Fetching, InvalidKey, KeySource, TokenError, UnknownAlgorithm, Verifier,
    VerifyingKey,
};
pub use topic::{InvalidTopic, Topic};
pub use trusted_proxy::{InvalidTrustedProxy, TrustedProxy};
pub use update::{ChosenId, InvalidUpdate, Update, UpdateType};
