//! Who decides the order of events, and when one is durable.

use std::error::Error;
use std::fmt::Debug;

use crate::{Append, Draft, Log, Place};

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

/// An append that was not confirmed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", match kind { AppendErrorKind::NotStored => "not stored", AppendErrorKind::MaybeStored => "not confirmed" })]
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
#[expect(clippy::exhaustive_enums, reason = "a publisher must know which of the two it is before it tries again")]
pub enum AppendErrorKind {
    /// Nothing of it was stored: it is safe to try again.
    NotStored,
    /// All of it may have been stored.
    MaybeStored,
}
