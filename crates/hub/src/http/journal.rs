//! What the log says of a request: a line at `debug` for each, and at `info` for those that are refused.
//!
//! A hub with a hundred thousand subscribers answers thousands of requests a second that are all alike, so they are for whoever
//! looks for something. A refusal is somebody's mistake or trouble, which an operator wants to see without asking; but anyone can
//! cause them, so only a few a second are said, and how many were not.
//!
//! Values are recorded as text and not as something that prints itself: the log's formats then escape what a hostile peer puts
//! there. The query is never said, because tokens may stand in it, and no header is.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use fanfare_log::Timestamp;
use http::{Method, Uri};
use http_body::Body as _;
use tracing::field::display;
use tracing::{Level, Span, debug_span};

use crate::http::request_id::RequestId;
use crate::http::{Declined, Problem};
use crate::limits::REFUSAL_LINES_PER_SECOND_MAX;

/// A request that is being answered.
pub(crate) struct Entry {
    id: RequestId,
    method: Method,
    uri: Uri,
    client: Option<IpAddr>,
    /// Absent where nothing is said of how long it took.
    begun: Option<Instant>,
}

impl Entry {
    pub(crate) fn begin(id: RequestId, request: &Request, client: Option<IpAddr>) -> Self {
        let begun = tracing::enabled!(Level::DEBUG).then(Instant::now);
        Self { id, method: request.method().clone(), uri: request.uri().clone(), client, begun }
    }

    pub(crate) fn id(&self) -> &RequestId {
        &self.id
    }

    pub(crate) fn is_publish(&self) -> bool {
        self.method == Method::POST
    }

    /// What belongs to the request happens within it.
    pub(crate) fn span(&self) -> Span {
        let (id, path) = (self.id.as_str(), self.uri.path());
        if self.is_publish() {
            debug_span!("publish", id)
        } else if path.starts_with("/events") || path.starts_with("/.well-known/mercure") {
            debug_span!("subscribe", id)
        } else {
            debug_span!("request", id)
        }
    }

    /// Says how it was answered.
    pub(crate) fn end(&self, response: &Response, problem: Option<&Problem>, refusals: &RefusalLines, now: Timestamp) {
        let (id, method, path) = (self.id.as_str(), self.method.as_str(), self.uri.path());
        let (status, client) = (response.status().as_u16(), self.client.map(display));
        if let Some(problem) = problem {
            if let Some(unsaid) = refusals.may_say(now) {
                let detail = problem.detail();
                let unsaid = (unsaid > 0).then_some(unsaid);
                tracing::info!(id, method, path, status, detail, client, unsaid, "refused");
            }
        } else if response.extensions().get::<Declined>().is_none() {
            let duration = self.begun.map(|begun| u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
            let bytes = response.body().size_hint().exact();
            tracing::debug!(id, method, path, status, duration_us = duration, bytes, client, "answered");
        }
    }
}

/// How many refusals were said in this second.
#[derive(Debug, Default)]
pub(crate) struct RefusalLines(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    number: u64,
    said: u32,
    unsaid: u64,
}

impl RefusalLines {
    /// Whether one more may be said, and how many were not since the last.
    pub(crate) fn may_say(&self, now: Timestamp) -> Option<u64> {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.0 / 1000;
        if second.number != number {
            (second.number, second.said) = (number, 0);
        }
        if second.said == REFUSAL_LINES_PER_SECOND_MAX {
            second.unsaid += 1;
            return None;
        }
        second.said += 1;
        Some(std::mem::take(&mut second.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_refusals_a_second_are_said_and_the_rest_counted() {
        let lines = RefusalLines::default();
        let say = |milliseconds| lines.may_say(Timestamp(milliseconds));
        for _ in 0..REFUSAL_LINES_PER_SECOND_MAX {
            assert_eq!(say(5000), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(say(5999), None);
        }
        assert_eq!(say(6000), Some(7));
        assert_eq!(say(6000), Some(0));
    }
}
