//! What a connection has to tell, events among it.

use std::fmt;
use std::time::Duration;

use fanfare_wire::SkipReason;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::credentials::Redacted;
use crate::{Error, Event};

/// One thing that happened on a connection, in order (C25). [`NewsStream`](crate::NewsStream) yields these.
#[derive(Debug)]
#[non_exhaustive]
pub enum News {
    /// The stream is open (C20).
    Open(Opened),
    /// An event.
    Event(Event),
    /// A comment, without its colon. Servers send them to keep connections alive.
    Comment(String),
    /// An event that was larger than the limits allow. The stream goes on behind it.
    Skipped(Skipped),
    /// The connection failed or ended (C21, C22).
    Error(Interruption),
}

/// How a stream was opened.
#[derive(Clone)]
pub struct Opened(Box<Head>);

/// Boxed: [`News`] are moved with each event, and shall be no larger than one.
#[derive(Clone)]
struct Head {
    url: Url,
    status: StatusCode,
    headers: HeaderMap,
}

impl Opened {
    pub(crate) fn new(url: Url, status: StatusCode, headers: HeaderMap) -> Self {
        Self(Box::new(Head { url, status, headers }))
    }

    /// The URL that answered: the last one if there were redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// The status, which is 200 (C15).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The headers of the answer. `Content-Encoding` is not among them when the body was decoded.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Redacted(self.url());
        f.debug_struct("Opened").field("url", &url).field("status", &self.status()).finish_non_exhaustive()
    }
}

/// An event that was too large and is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub(crate) reason: SkipReason,
    pub(crate) bytes: u64,
    pub(crate) last_event_id: String,
}

impl Skipped {
    /// Which limit it broke.
    #[must_use]
    pub fn reason(&self) -> SkipReason {
        self.reason
    }

    /// Its size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last event id after it: its own, if that could be read.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }
}

/// Why a connection failed or ended, and what comes next.
#[derive(Debug)]
pub struct Interruption {
    pub(crate) error: Error,
}

impl Interruption {
    /// What happened.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What happened, owned.
    #[must_use]
    pub fn into_error(self) -> Error {
        self.error
    }

    /// How long it will wait before it connects again. `None`: it will not, it is closed for good.
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        self.error.retry_in()
    }

    /// How many failures in a row this makes: 1 for the first after a healthy connection.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.error.failures()
    }

    /// Whether it would have connected again, if the [`RetryPolicy`](crate::RetryPolicy) did not forbid it.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.error.has_given_up()
    }
}
