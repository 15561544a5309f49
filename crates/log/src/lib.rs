//! The log is the buffer; a subscriber is a cursor.
//!
//! An ordered record of events that anyone can read from any [`Position`] on. There is no queue per reader: a reader is
//! a position, "live" means that it stands at the tail, and replay, catching up and live delivery are the same
//! [`Log::read`]. A position that has left the history is reported, never passed over in silence.
//!
//! ```text
//! publish:   Draft ──► Engine::append ──► Position        the order is made here, and the event is durable when it returns
//!                           │
//! subscribe: cursor ──► Log::locate ──► Log::read ──► Batch { records, end } ──► cursor = end
//! ```
//!
//! ```
//! use fanfare_log::*;
//!
//! let log = MemoryLog::new(Epoch(1), Retention { count: Some(100_000), ..Retention::default() });
//! let draft = |topic: &str, text: &'static str| Draft {
//!     topics: vec![topic.into()],
//!     id: Id::Position,
//!     visibility: Visibility::Public,
//!     time: Timestamp(1_750_000_000_000),
//!     frame: Frame::whole(text),
//! };
//! let mut cursor = log.span().start;
//! log.store_now(vec![draft("news", "one"), draft("sport", "two"), draft("news", "three")], Place::Next)?;
//!
//! let topics: TopicSet = ["news".into()].into_iter().collect();
//! let budget = ReadBudget { records: 100, bytes: 1 << 16, examined: 1000 };
//! let batch = log.read(cursor, Topics::Any(&topics), budget)?;
//! let frames: Vec<_> = batch.records.iter().map(|record| &record.frame[..]).collect();
//! assert_eq!(frames, [&b"one"[..], b"three"]);
//! cursor = batch.end;
//! assert_eq!(cursor, log.span().tail); // from here on it is live
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`MemoryLog`] is gone with its process, [`DiskLog`] keeps events in a folder. Both keep the contract of [`Log`].
//!
//! What it is not: it knows neither HTTP nor the format of an event stream. What it stores is an opaque [`Frame`] with
//! its topics, the id that the publisher chose, if it chose one, and whether it is private. It reads no clock: times
//! come with the drafts.
#![forbid(unsafe_code)]

mod limits;

mod position;

mod record;

mod record_ref;

mod retention;

mod log;

mod engine;

mod memory;

mod disk;

pub use disk::{Damage, DamageKind, DiskLog, DiskSettings, Durability, Info, Inspection, OpenError, Order, Records};
pub use engine::{AppendError, AppendErrorKind, AppendOnce, Appended, CatchUp, Engine};
pub use limits::BATCH_EVENTS_MAX;
pub use log::{Append, Batch, Located, Log, Place, ReadBudget, ReadError, Span, SyncWatch, TopicSet, Topics, Usage};
pub use memory::MemoryLog;
pub use position::{Epoch, NotAPosition, Position};
pub use record::{Draft, Frame, Id, Record, Timestamp, TopicList, Visibility};
pub use record_ref::{RecordRef, TopicsRef};
pub use retention::Retention;

// The example in the README is one of the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
