//! A server of event streams whose every byte is in the test that uses it.
//!
//! What can go wrong between a client and a server is seldom what a proper HTTP library can be made to do: half a
//! head, a reset in the middle of a character, a stream that falls silent, a redirect to nowhere. This server knows
//! no rules. It takes a connection, reads the request, and sends what it is told, when it is told.
//!
//! What is certain to happen is written down beforehand, one [`Script`] for each connection:
//!
//! ```
//! use fanfare_scripted_server::{Script, ScriptedServer};
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let server = ScriptedServer::start().await?.play([
//!     Script::event_stream().send("id: 1\ndata: a\n\n").reset(),
//!     Script::event_stream().send("data: b\n\n"),
//! ]);
//! // Stands for the consumer that is tested, and for its `EventSource::new(server.url("/events"))`.
//! let consumer = tokio::task::spawn_blocking({
//!     let address = server.address();
//!     move || -> std::io::Result<String> {
//!         let mut first = TcpStream::connect(address)?;
//!         first.write_all(b"GET /events HTTP/1.1\r\n\r\n")?;
//!         while first.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
//!         let mut second = TcpStream::connect(address)?;
//!         second.write_all(b"GET /events HTTP/1.1\r\nLast-Event-ID: 1\r\n\r\n")?;
//!         let mut answer = String::new();
//!         second.read_to_string(&mut answer)?;
//!         Ok(answer)
//!     }
//! });
//! assert!(consumer.await??.ends_with("data: b\n\n"));
//! assert_eq!(server.requests()[1].header("last-event-id"), Some("1"));
//! # Ok(())
//! # }
//! ```
//!
//! What depends on the consumer is decided step by step, with a [`Peer`] for each connection:
//!
//! ```no_run
//! # async fn test() -> std::io::Result<()> {
//! use fanfare_scripted_server::{EVENT_STREAM, ScriptedServer};
//!
//! let server = ScriptedServer::start().await?;
//! // … the consumer connects to `server.url("/events")` …
//! let mut peer = server.accept().await?;
//! assert_eq!(peer.request().header("accept"), Some("text/event-stream"));
//! peer.send(EVENT_STREAM).await?;
//! peer.send("data: a\n\n").await?;
//! // … the consumer has seen it …
//! peer.reset()?;
//! # Ok(())
//! # }
//! ```
//!
//! Pauses are tokio's, so that a test with a paused clock takes no time. Nothing here fails a test by itself: a step
//! that can't be done is an [`io::Error`](std::io::Error). It listens on the loopback alone, and it is no server for
//! anything but tests.
#![forbid(unsafe_code)]

mod limits;

mod request;

mod response;

mod peer;

mod script;

mod server;

mod playback;

mod watchdog;

pub use peer::Peer;
pub use playback::Playback;
pub use request::Request;
pub use response::{CHUNKED_EVENT_STREAM, EVENT_STREAM, redirect, status};
pub use script::Script;
pub use server::ScriptedServer;
pub use watchdog::Watchdog;

// The example in the README is one of the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
