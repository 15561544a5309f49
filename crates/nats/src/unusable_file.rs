//! What is said of a file that is of no use. Nothing of what stands in it is shown: it may be a secret.

use std::io;
use std::path::{Path, PathBuf};

/// A file that can't be read, or has not in it what it should.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct UnusableFile {
    path: PathBuf,
    reason: String,
    source: Option<io::Error>,
}

impl UnusableFile {
    pub(crate) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason: reason.into(), source: None }
    }

    pub(crate) fn unread(path: &Path, error: io::Error) -> Self {
        Self { source: Some(error), ..Self::new(path, "it can't be read") }
    }
}
