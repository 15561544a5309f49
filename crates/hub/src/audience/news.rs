//! What the herald read last, for all who get it.

use std::sync::OnceLock;

use bytes::Bytes;
use fanfare_log::{Batch, Position};

/// What is new: the records after one position.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) from: Position,
    pub(crate) batch: Batch,
    /// The frames of all of it in one piece, for those who get all of it: put together by the first, shared by the rest.
    whole: OnceLock<Bytes>,
}

impl News {
    pub(super) fn new(from: Position, batch: Batch) -> Self {
        Self { from, batch, whole: OnceLock::new() }
    }

    pub(crate) fn whole(&self) -> Bytes {
        self.whole.get_or_init(|| join(self.batch.records.iter().map(|record| &record.frame))).clone()
    }
}

/// Frames in one piece. A single one is shared, not copied.
pub(crate) fn join<'a>(frames: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let mut two = frames.clone();
    if let (Some(one), None) = (two.next(), two.next()) {
        return one.clone();
    }
    let mut joined = Vec::with_capacity(frames.clone().map(Bytes::len).sum());
    frames.for_each(|frame| joined.extend_from_slice(frame));
    joined.into()
}
