//! Server-sent events as bytes.
//!
//! This crate turns [`Event`]s into the `text/event-stream` format and such bytes back into events, exactly as
//! section 9.2 of the WHATWG HTML standard says. The comments cite its clauses as the project numbers them: P1 to
//! P14 for the parser, S1 to S13 for the author's side.
//!
//! What it is not: it does no input or output, reads no clock, spawns nothing and knows no HTTP. Both ends of Fanfare
//! stand on it, and nothing outside it spells the names of the format's fields.
//!
//! ```
//! use fanfare_wire::{Decoded, Decoder, Event};
//!
//! let mut bytes = Vec::new();
//! Event::data("first line\nsecond line").with_type("note".try_into()?).encode(&mut bytes);
//! assert_eq!(bytes, b"event: note\ndata: first line\ndata: second line\n\n");
//!
//! let mut decoder = Decoder::new();
//! for chunk in bytes.chunks(5) {
//!     let mut rest = chunk;
//!     while let Some(decoded) = decoder.decode(&mut rest) {
//!         if let Decoded::Event(message) = decoded {
//!             assert_eq!(message.event_type, "note");
//!             assert_eq!(message.data, "first line\nsecond line");
//!         }
//!     }
//! }
//! # Ok::<(), fanfare_wire::InvalidField>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod limits;

mod field;

mod event;

mod encode;

mod decode;

mod owned;

#[cfg(feature = "std")]
mod reader;

#[cfg(feature = "stream")]
mod stream;

pub use decode::{Decoded, Decoder, Message, SkipReason, Skipped};
pub use encode::{encode_comment, encode_id, encode_last_retry, encode_retry};
pub use event::Event;
pub use field::{EventId, EventType, FieldError, InvalidField};
pub use limits::Limits;
pub use owned::{MessageError, OwnedMessage};
#[cfg(feature = "std")]
pub use reader::MessageReader;
#[cfg(feature = "stream")]
pub use stream::MessageStream;

/// The MIME type of an event stream (S1). It is always UTF-8 and needs no `charset`.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// What a keep-alive writes: an empty comment, two bytes that every parser ignores (S5, S12).
///
/// No empty line follows: `@microsoft/fetch-event-source`, which Mercure recommends, makes an empty message of each one.
pub const KEEP_ALIVE: &[u8] = b":\n";

// The example in the README is one of the tests.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
mod readme {}
