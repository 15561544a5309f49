//! What can go wrong.

use std::error::Error as StdError;
use std::fmt;

use http::StatusCode;

/// Why a connection failed, was interrupted, or could not be asked for.
///
/// Its text says what happened and, where it is not plain, what to do. Causes are in [`source`](StdError::source).
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    text: String,
    status: Option<StatusCode>,
    source: Option<Source>,
}

type Source = Box<dyn StdError + Send + Sync>;

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The URL does not parse, or is neither `http:` nor `https:`.
    Url,
    /// The request can't be made: a header, the body or the client's configuration.
    Request,
    /// There is no tokio runtime to run on.
    Runtime,
    /// The header provider failed. Tried again, as a connection that failed.
    Headers,
    /// No answer came: no address, no connection, no TLS, or it broke before the response's head.
    Connect,
    /// The connection broke within the stream.
    CutOff,
    /// The server ended the stream properly.
    EndOfStream,
    /// The connect timeout or the idle timeout ran out.
    Timeout,
    /// The answer's status is not 200 (C15).
    Status,
    /// The answer is no `text/event-stream` (C16).
    ContentType,
    /// A redirect leads nowhere (C14).
    Redirect,
    /// An event's data is not the JSON that was asked for.
    Json,
}

impl Error {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, text: text.into(), status: None, source: None }))
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The status of the answer, if that was the reason.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Whether trying the same again is futile: such an error closes for good (C17, C22).
    pub(crate) fn is_final(&self) -> bool {
        match self.kind() {
            Kind::Url | Kind::Request | Kind::Runtime | Kind::Json => true,
            Kind::Status | Kind::ContentType | Kind::Redirect => true,
            Kind::Headers | Kind::Connect | Kind::CutOff | Kind::EndOfStream | Kind::Timeout => false,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("text", &self.0.text)
            .field("status", &self.0.status)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
