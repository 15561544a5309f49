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
//! With the feature `axum` an [`EventStream`] is returned from a handler as it is, and [`LastEventId`] is an extractor:
//! `examples/counter.rs` is a whole application.
//!
//! What a response has that a hand-written one often lacks:
//!
//! * its head and a first comment are sent at once, so that a browser's `onopen` fires before there is an event;
//! * no line break in an id, type or comment can become a field: see [`Event`];
//! * an event with empty data is an event;
//! * events that are ready together go out in one write;
//! * comments keep it open through proxies while nothing happens, and headers tell proxies to hold nothing back.
//!
//! What it is not: it keeps no history and knows no topics. The body is pulled: while the socket is full, the stream is
//! not polled, and dropping the response drops the stream.
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
pub use channel::{Connection, Listener};
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
