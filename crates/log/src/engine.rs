//! Who decides the order of events, and when one is durable.

use std::error::Error;
use std::fmt::Debug;
use std::future::ready;
use std::pin::Pin;

use crate::{Append, Draft, Id, Log, Place, Position};

/// Who decides the order. The embedded engine is the local log itself; a distributed one orders elsewhere and feeds
/// every node's local log, from which subscribers are served either way.
pub trait Engine: Debug + Send + Sync {
    /// Stores `batch`, at most [`BATCH_EVENTS_MAX`](crate::BATCH_EVENTS_MAX) events, all or nothing, after all that was
    /// stored before, and gives the positions in the batch's order once it is durable.
    ///
    /// # Errors
    ///
    /// [`AppendError`] says whether the batch was not stored or may have been.
    fn append(&self, batch: Vec<Draft>) -> Append<'_>;

    /// Stores `batch` as [`append`](Self::append) does, unless a batch with the same `key` was stored within the last two
    /// minutes, through this process or another: then nothing is stored, and what became of the first is given again.
    ///
    /// An engine of this process alone stores it in any case: who calls it remembers the keys. A distributed one is asked
    /// because the first batch may have come in elsewhere. `key` is short, and nobody can choose one that another has.
    ///
    /// # Errors
    ///
    /// As those of `append`. A batch that may have been stored may be tried again with its key.
    fn append_once<'a>(&'a self, _key: &'a str, batch: Vec<Draft>) -> AppendOnce<'a> {
        Box::pin(async move { self.append(batch).await.map(Appended::Now) })
    }

    /// Waits until the local log has all that was stored before the call, wherever that was: until then a cursor that
    /// another node gave may be unknown here. An engine of this process alone never lags.
    ///
    /// # Errors
    ///
    /// In words for a client, if it can't be told within a few seconds.
    fn catch_up(&self) -> CatchUp<'_> {
        Box::pin(ready(Ok(())))
    }

    /// Whether the local log is being given a history that it had not when it was opened. A reader that came now would
    /// take old events for new ones.
    fn is_filling(&self) -> bool {
        false
    }

    /// How many entries of the order were passed over since the start because they could not be read as events. An engine
    /// of this process alone has none.
    fn unreadable(&self) -> u64 {
        0
    }

    /// Why it can't take events now, in words for an operator. `None` if it is ready.
    fn unready(&self) -> Option<String> {
        None
    }
}

impl<L: Log> Engine for L {
    fn append(&self, batch: Vec<Draft>) -> Append<'_> {
        self.store(batch, Place::Next)
    }

    fn unready(&self) -> Option<String> {
        self.trouble()
    }
}

/// What [`Engine::append_once`] returns.
pub type AppendOnce<'a> = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send + 'a>>;

/// What [`Engine::catch_up`] returns.
pub type CatchUp<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// What became of a batch with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two are answered differently")]
pub enum Appended {
    /// It was stored, at these positions.
    Now(Vec<Position>),
    /// One with its key was stored before, as these events.
    Before(Vec<(Id, Position)>),
}

/// An append that was not confirmed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", match kind { AppendErrorKind::MaybeStored => "not confirmed", _ => "not stored" })]
pub struct AppendError {
    kind: AppendErrorKind,
    reason: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl AppendError {
    /// Nothing of the batch was stored, because of `reason`.
    #[must_use]
    pub fn not_stored(reason: impl Into<String>) -> Self {
        Self { kind: AppendErrorKind::NotStored, reason: reason.into(), source: None }
    }

    /// Nothing of the batch was stored, and nothing ever will be: it is larger than can be stored, as `reason` says.
    #[must_use]
    pub fn too_large(reason: impl Into<String>) -> Self {
        Self { kind: AppendErrorKind::TooLarge, reason: reason.into(), source: None }
    }

    /// The batch may have been stored, but nobody can say, because of `reason`.
    #[must_use]
    pub fn maybe_stored(reason: impl Into<String>) -> Self {
        Self { kind: AppendErrorKind::MaybeStored, reason: reason.into(), source: None }
    }

    /// Adds the error behind it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What became of the batch.
    #[must_use]
    pub fn kind(&self) -> AppendErrorKind {
        self.kind
    }
}

/// What became of a batch that was not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a publisher must know which of them it is before it tries again")]
pub enum AppendErrorKind {
    /// Nothing of it was stored: it is safe to try again.
    NotStored,
    /// Nothing of it was stored, and it is of no use to try again.
    TooLarge,
    /// All of it may have been stored.
    MaybeStored,
}
