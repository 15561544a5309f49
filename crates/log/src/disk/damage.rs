//! What can be wrong with a log's files.

use std::io;
use std::path::{Path, PathBuf};

/// A file of a log that does not hold what was written to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at byte {byte}: {kind}", file.display())]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it, in bytes from its start.
    pub byte: u64,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with a file of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DamageKind {
    /// The start of a segment does not read as one.
    #[error("this is not the start of a segment")]
    Header,
    /// A later Fanfare wrote the file.
    #[error("this is of a later version of the format: use the Fanfare that wrote it, or a newer one")]
    Version,
    /// A record's checksum does not fit, or it does not read as a record.
    #[error("this is not a record")]
    Record,
    /// Records end here, and the log knew of more.
    #[error("records are missing from here on")]
    Missing,
    /// The segment does not follow the one before.
    #[error("this segment does not follow the one before: one is missing or was replaced")]
    Order,
    /// A write was not finished when the process or the machine stopped. No publisher was told that it was stored: the
    /// next start cuts it off.
    #[error("an unfinished write, which the next start cuts off")]
    TornTail,
    /// An index does not fit its segment: the next start makes it again.
    #[error("this index is not usable; the next start makes it again")]
    Index,
}

/// A file that can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{} can't be read", .0.display())]
    Failed(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("{} has an order of its own", .0.display())]
    OwnOrder(PathBuf),
}

impl Unreadable {
    pub(super) fn failed(file: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Failed(file.to_owned(), error)
    }
}
