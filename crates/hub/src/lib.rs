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
//! Both read the log from the cursor. A shard is a thread that owns its sockets, where a send costs little more than
//! the system call; the general path is a task on tokio. A connection that is used again goes back to a shard with its
//! subscription.
//!
//! [`Hub::run`] serves a listener; [`Hub::router`] is the same as an axum router to nest in an application.
//!
//! # In an application
//!
//! An application that has users already says itself who may do what: it is [asked](Authorization::asking) for each
//! request, with what its own middleware knows of that, and gives a [`Grant`], for as long as it wants or until it
//! [revokes](Revocation) it. It publishes and [subscribes](Hub::subscribe) without HTTP, on [typed topics](TypedTopic)
//! if it likes. The example `sessions` has a login, private messages and a logout that ends streams.
//!
//! ```
//! use std::time::Duration;
//!
//! use fanfare_hub::{Access, Authorization, Grant, Hub, Refusal, Revocation, Settings, Topic};
//!
//! #[derive(Clone)]
//! struct Session { // what the application's middleware finds by its cookie, and puts into the request
//!     user: String,
//!     end: Revocation,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut settings = Settings::default();
//! settings.drain = Duration::from_millis(10);
//! settings.authorization = Authorization::asking(|request| async move {
//!     let session: Option<&Session> = request.extensions.get();
//!     let Session { user, end } = session.ok_or_else(|| Refusal::unauthorized("log in first"))?;
//!     let own = Topic::new(&format!("users/{user}")).map_err(|_| Refusal::forbidden("no such user"))?;
//!     Ok(Access::from(Grant::default().with_subscribe([own])?).until(end))
//! });
//! let hub = Hub::builder().settings(settings).build().await?;
//! let application = axum::Router::new()
//!     .route("/", axum::routing::get(async || "the application"))
//!     .nest("/live", hub.router());
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let stop = async move {
//!     // After Ctrl-C, say: axum waits for open streams, so the hub ends them first.
//!     hub.stop().await;
//! };
//! axum::serve(listener, application).with_graceful_shutdown(stop).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Below a prefix every path is as it is without: `/live/events/news`, `/live/.well-known/mercure`, and the page at
//! `/live`. Ids in the list of subscriptions are topics, and have no prefix. Streams that `axum::serve` serves take the
//! general path, some 30 KiB each with hyper's buffers; for very many subscribers, [`Hub::run`] serves the same hub on
//! a listener of its own, and asks the same hook, which then looks at the cookie itself.
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

mod access;
mod authorization;
mod grants;
mod hook;
mod revocation;
mod token;

mod idempotency;
mod publish_rate;
mod quota;
mod subscription;
mod update;

mod typed_topic;

mod advance;
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
mod compression;
mod delivery;
mod inside;
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

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

// A channel in an application begins and tells of gaps as the hub does.
use fanfare_server::cursor;

pub use access::Access;
pub use authorization::{Authorization, InvalidCookieName, Tokens};
pub use clock::{Clock, SystemClock};
pub use cursor::GAP_TYPE;
pub use figures::Figures;
pub use grant::{Grant, InvalidGrant};
pub use hook::{Hook, Refusal};
pub use hub::{BuildError, DEFAULT_RETENTION, Hub, HubBuilder, PublishError, SubscribeError};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub use inside::{ReceiveError, Received};
pub use open_files::raise_open_files_limit;
pub use origin::{AllowedOrigin, InvalidOrigin};
pub use presence::{InvalidNodeId, InvalidNodeName, Neighbours, NodeId, NodeName, Receiving, Sending};
pub use revocation::Revocation;
pub use run::RunError;
pub use selector::Selector;
pub use settings::Settings;
pub use slow_policy::{SlowPolicy, UnknownSlowPolicy};
pub use tls::{Tls, TlsError};
pub use token::{
    Algorithm, Claims, FetchError, Fetching, InvalidKey, KeySource, TokenError, UnknownAlgorithm, Verifier,
    VerifyingKey,
};
pub use topic::{InvalidTopic, Topic};
pub use trusted_proxy::{InvalidTrustedProxy, TrustedProxy};
pub use typed_topic::{InvalidTypedTopic, TypedTopic};
pub use update::{ChosenId, InvalidUpdate, Update, UpdateType};

// The example in the README is one of the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
