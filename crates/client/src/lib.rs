//! `EventSource` for Rust: server-sent events as the WHATWG HTML standard defines them, and what the standard lacks.
//!
//! It connects, checks the answer, decodes the stream, and reconnects with the last event id, exactly as a browser
//! does. Beyond that, and off unless asked for: any method, headers and body, tokens that are fresh for each attempt,
//! time and size limits, other retry policies, streams that have an end, news of the connection. The comments cite the
//! standard's clauses as the project numbers them: C1 to C30 for the client.
//!
//! What it is not: it has no parser of its own (that is `fanfare-wire`), no HTTP of its own (that is `reqwest`, which
//! may be handed in), and no queue: who does not read makes the server wait.
//!
//! There are three faces on one core. **Callbacks**, as in a browser:
//!
//! ```no_run
//! use fanfare_client::{EventSource, ListenerOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), fanfare_client::Error> {
//! let source = EventSource::new("http://localhost:3000/events")?;
//! source.on_message(|event| println!("Got {}", event.data()));
//! source.add_event_listener("heartbeat", |event| println!("alive: {}", event.data()), ListenerOptions::default().once());
//! source.on_error(|event| eprintln!("interrupted: {:?}", event.interruption()));
//! source.closed().await;
//! # Ok(())
//! # }
//! ```
//!
//! And a **stream**, for programs that pull:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use fanfare_client::{EventSource, RetryPolicy};
//! use http::Method;
//!
//! #[derive(serde::Deserialize)]
//! struct Chunk {
//!     text: String,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), fanfare_client::Error> {
//! let mut events = EventSource::builder("https://api.example.com/v1/chat")
//!     .method(Method::POST)
//!     .json(&serde_json::json!({"prompt": "Hello", "stream": true}))?
//!     .bearer_token("secret")?
//!     .retry(RetryPolicy::never())
//!     .idle_timeout(Duration::from_secs(30))
//!     .max_event_size(1 << 20)
//!     .stop_before(|event| event.data() == "[DONE]")
//!     .stream()?;
//! while let Some(event) = events.next().await {
//!     print!("{}", event?.json::<Chunk>()?.text);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`EventSourceBuilder::news`] is the stream with everything in it: comments, skipped events, and why and for how
//! long the connection is interrupted.
//!
//! And an **iterator**, for programs without a runtime:
//!
//! ```no_run
//! # fn main() -> Result<(), fanfare_client::Error> {
//! for event in fanfare_client::EventSource::builder("http://localhost:3000/events").blocking()? {
//!     println!("Got {}", event?.data());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # On the wire
//!
//! gzip and Zstandard are offered, and [Brotli](EventSourceBuilder::brotli) if asked for, and decoded as they arrive: an
//! event is there when the server has flushed it. Behind TLS it speaks HTTP/2 with servers that do. Each attempt has a connection of its own, unless a
//! [`client`](EventSourceBuilder::client) is handed in, and it ends when the source is closed or dropped; no task outlives
//! it.
//!
//! # What one sees of it
//!
//! Each attempt is a `tracing` span `connection` at the level `DEBUG`, with `url`, `attempt`, `last_event_id` and `status`;
//! in it are logged the answer, redirects, and why and for how long it was interrupted. An [`Error`] carries the answer's
//! status, headers and the start of its body, the attempt and the wait that follows.
//!
//! Neither logs nor `Debug` outputs hold the user, password, query or fragment of a URL, the value of a header that is
//! sent or received, other than the content type and the last event id, or any data but that of an [`Event`].
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod limits;

mod error;

mod event;

mod news;

mod ready_state;

mod retry;

mod stop;

mod credentials;

mod content_type;

mod retry_after;

mod answer;

mod session;

mod redirect;

mod request;

mod refusal;

mod connection;

mod stream;

mod blocking;

mod abort;

mod listener;

mod source;

mod builder;

pub use abort::{AbortController, AbortSignal};
pub use blocking::BlockingEvents;
pub use builder::EventSourceBuilder;
pub use error::{Error, Kind};
pub use event::Event;
pub use fanfare_wire::{EventId, InvalidField, SkipReason};
pub use listener::{Listener, ListenerOptions};
pub use news::{Interruption, News, Opened, Skipped};
pub use ready_state::ReadyState;
pub use retry::RetryPolicy;
pub use source::EventSource;
pub use stream::{Events, NewsStream};

// The example in the README is one of the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
