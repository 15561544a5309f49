//! Server-sent events from an application's own endpoint: any stream of [`Event`]s as an HTTP response.
//!
//! ```
//! use std::time::Duration;
//! use fanfare_server::{Event, EventStream};
//! # use futures_util::{StreamExt, stream};
//!
//! let ticks = stream::iter(1..=3).map(|n: u32| Event::data(n.to_string()));
//! let response = EventStream::new(ticks)
//!     .retry(Duration::from_secs(1))
//!     .keep_alive(Duration::from_secs(15))
//!     .response();
//! assert_eq!(response.headers()["content-type"], "text/event-stream");
//! ```
//!
//! | to send | take |
//! |---|---|
//! | what a `Stream` yields | [`EventStream::new`], [`EventStream::fallible`] |
//! | from elsewhere, by a handle | [`EventStream::sender`], bounded; it waits, drops the oldest or disconnects when full |
//! | what a task produces, which ends with its client | [`EventStream::work`] |
//! | values as JSON, with an end and errors as clients of language models expect | `EventStream::json` (feature `json`), [`EventStream::end_with`], [`EventStream::error_event`] |
//! | the same to many, with replay | `Channel` (feature `channel`) |
//! | an answer that a page's reload must not lose | `Generations` (feature `channel`) |
//!
//! What a response has that a hand-written one often lacks:
//!
//! * its head and a first comment are sent at once, so that a browser's `onopen` fires before there is an event;
//! * no line break in an id, type or comment can become a field: see [`Event`];
//! * an event with empty data is an event;
//! * events that are ready together go out in one write;
//! * comments keep it open through proxies while nothing happens; headers tell proxies to hold nothing back, and
//!   compressors, which would, to stay away;
//! * it ends when the application stops: [`EventStream::until`], `Channel::shutdown`.
//!
//! The body is pulled: while the socket is full, the stream is not polled. Dropping the response drops the stream, and
//! with it the work behind: a client that has gone is noticed when its connection ends, or by the next write.
//!
//! # Frameworks
//!
//! Responses are [`http::Response`]s with an [`http_body::Body`], which hyper and all above it serve. With the feature
//! `axum` an [`EventStream`] or a `Subscription` is returned from a handler as it is, and [`LastEventId`] and `Subscriber` are
//! extractors; the repository's `examples` are whole applications. With the feature `listener`
//! a channel takes its subscribers from hyper, which is what costs: see `Listener`.
//!
//! Others take the body as a stream of bytes, [`Chunks`]. What follows is compiled and run in the repository, in
//! `crates/server/frameworks`.
//!
//! ## actix-web
//!
//! ```rust,ignore
#![doc = include_str!("../docs/frameworks/actix_web.rs")]
//! ```
//!
//! ## poem
//!
//! ```rust,ignore
#![doc = include_str!("../docs/frameworks/poem.rs")]
//! ```
//!
//! ## salvo
//!
//! ```rust,ignore
#![doc = include_str!("../docs/frameworks/salvo.rs")]
//! ```
//!
//! ## warp
//!
//! ```rust,ignore
#![doc = include_str!("../docs/frameworks/warp.rs")]
//! ```
//!
//! # What it is not
//!
//! A hub. A channel is within one process, forgets with it, and lets everyone subscribe whom the
//! application lets.
#![forbid(unsafe_code)]

mod limits;

mod headers;

mod last_event_id;

mod encoded;

mod body;

mod response;

mod ending;

mod sender;

mod work;

mod chunks;

#[cfg(feature = "json")]
mod json;

#[cfg(feature = "channel")]
pub mod cursor;

#[cfg(feature = "listener")]
mod chunked;

#[cfg(feature = "channel")]
mod channel;

pub use body::EventBody;
#[cfg(feature = "channel")]
pub use channel::{
    Channel, ChannelBody, ChannelBuilder, Generating, Generations, GenerationsBuilder, Producer, PublishError,
    Shutdown, StartError, Subscriber, Subscription,
};
#[cfg(feature = "listener")]
pub use channel::{Connection, ConnectionIo, Listener};
pub use chunks::Chunks;
pub use encoded::Encoded;
pub use ending::{EndWith, ErrorEvent};
pub use fanfare_wire::{Event, EventId, EventType, FieldError, InvalidField};
pub use headers::set_event_stream_headers;
#[cfg(feature = "json")]
pub use json::{Json, JsonError};
pub use last_event_id::{LastEventId, LastEventIdNotUtf8};
pub use response::{EventStream, Infallibly};
pub use sender::{Capacity, EventReceiver, EventSender, SendError, TooSlow, TrySendError, WhenFull};
pub use work::Work;

// The example in the README is one of the tests.
#[cfg(all(doctest, feature = "axum", feature = "channel"))]
#[doc = include_str!("../README.md")]
mod readme {}
