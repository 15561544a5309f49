//! What can go wrong.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// Why a connection failed, was interrupted, or could not be asked for.
///
/// Its text says what happened and, where it is not plain, what to do. Causes are in [`source`](StdError::source).
///
/// Neither the text nor `Debug` shows what may be secret: of URLs they show the origin and the path, and of an answer's
/// headers and body nothing. Who asks for those gets them whole.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    text: String,
    head: Option<Head>,
    body_start: Vec<u8>,
    attempt: Attempt,
    source: Option<Source>,
}

/// The answer, if one was the reason.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

/// Where in a source's life it happened, and what comes next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attempt {
    /// From 1; 0 where nothing was tried.
    pub(crate) number: u64,
    /// Failures in a row, with this one.
    pub(crate) failures: u32,
    pub(crate) retry_in: Option<Duration>,
    pub(crate) has_given_up: bool,
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
    /// There is no tokio runtime to run on; or there is one, and blocking in it is forbidden.
    Runtime,
    /// The header provider failed. Tried again, as a connection that failed.
    Headers,
    /// No answer came: no address, no connection, no TLS, or it broke before the response's head.
    Connect,
    /// The connection broke within the stream, or what came can't be decompressed.
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
        let text = text.into();
        let (body_start, attempt) = (Vec::new(), Attempt::default());
        Self(Box::new(Inner { kind, text, head: None, body_start, attempt, source: None }))
    }

    pub(crate) fn with_head(mut self, status: StatusCode, headers: HeaderMap) -> Self {
        self.0.head = Some(Head { status, headers });
        self
    }

    pub(crate) fn with_body_start(mut self, body_start: Vec<u8>) -> Self {
        self.0.body_start = body_start;
        self
    }

    pub(crate) fn with_attempt(mut self, attempt: Attempt) -> Self {
        self.0.attempt = attempt;
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
        self.0.head.as_ref().map(|head| head.status)
    }

    /// The headers of the answer, if that was the reason: rate limits and request ids are there.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.0.head.as_ref().map(|head| &head.headers)
    }

    /// The start of the answer's body, if its status or content type was the reason: where an API says what it did not
    /// like. At most 4 KiB, and of those what came within a second; empty if nothing did.
    #[must_use]
    pub fn body_start(&self) -> &[u8] {
        &self.0.body_start
    }

    /// Which attempt to connect it ended, counted from 1 over the life of its source. 0: it is of no attempt.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.0.attempt.number
    }

    /// How many failures in a row it makes: 1 for the first after a healthy connection. 0: it is of no attempt.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.0.attempt.failures
    }

    /// How long its source will wait before it connects again. `None`: it will not, or it was no connection that
    /// failed. [`Events`](crate::Events) yields no others, for it waits and connects again by itself.
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        self.0.attempt.retry_in
    }

    /// Whether its source would have connected again, if the [`RetryPolicy`](crate::RetryPolicy) did not forbid it.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.0.attempt.has_given_up
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
            .field("status", &self.status())
            .field("body_start_bytes", &self.0.body_start.len())
            .field("attempt", &self.0.attempt)
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
