//! What is asked for, again and again.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderName, PRAGMA};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::credentials::{self, Redacted};
use crate::redirect;
use crate::{Error, Kind};

/// The request of every attempt (C8 to C13). Redirects change an attempt, never this (C4).
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) header_provider: Option<HeaderProvider>,
    /// What a client that was configured elsewhere may add to each request by itself.
    pub(crate) client_credentials: Vec<HeaderName>,
    /// Off where the user's own client has a redirect policy: a second opinion here could undo it.
    pub(crate) follows_redirects: bool,
}

pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

impl Request {
    /// One attempt: sends the request, follows redirects, and returns the answer as soon as its head is there.
    pub(crate) async fn send(
        self: Arc<Self>,
        client: reqwest::Client,
        last_event_id: Arc<str>,
    ) -> Result<reqwest::Response, Error> {
        let mut request = self.attempt(&client, &last_event_id).await?;
        for _ in 0..=crate::limits::REDIRECTS_MAX {
            let (next, url) = (request.try_clone(), request.url().clone());
            let response = client.execute(request).await.map_err(|error| failure(&url, error))?;
            match next {
                Some(next) if self.follows_redirects && redirect::is_redirect(response.status()) => {
                    request = redirect::follow(next, &response, &self.client_credentials)?;
                }
                _ => return Ok(response),
            }
        }
        let text = format!("{} redirects in a row lead nowhere", crate::limits::REDIRECTS_MAX + 1);
        Err(Error::new(Kind::Redirect, text))
    }

    async fn attempt(&self, client: &reqwest::Client, last_event_id: &str) -> Result<reqwest::Request, Error> {
        if !matches!(self.url.scheme(), "http" | "https") {
            // Not thrown but told (C7).
            let text = format!("{} is no http: or https: URL, and can't be subscribed to", Redacted(&self.url));
            return Err(Error::new(Kind::Url, text));
        }
        let mut headers = self.headers.clone();
        if let Some(HeaderProvider(provide)) = &self.header_provider {
            let provided = provide().await;
            let provided =
                provided.map_err(|error| Error::new(Kind::Headers, "the header provider failed").with_source(error))?;
            for name in provided.keys() {
                headers.remove(name);
            }
            headers.extend(provided);
        }
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static(fanfare_wire::CONTENT_TYPE));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
        headers.entry(PRAGMA).or_insert(HeaderValue::from_static("no-cache"));
        headers.remove(LAST_EVENT_ID);
        if let Some(id) = last_event_id_value(last_event_id) {
            headers.insert(LAST_EVENT_ID, id);
        }
        credentials::mark_sensitive(&mut headers);
        // Names alone: what a header of the user's own holds, nobody knows.
        tracing::trace!(headers = ?headers.keys().collect::<Vec<_>>(), "asking");
        let mut request = client.request(self.method.clone(), self.url.clone()).headers(headers);
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        request.build().map_err(|error| failure(&self.url, error))
    }
}

/// What went wrong with `url`, which a redirect may have led to.
fn failure(url: &Url, error: reqwest::Error) -> Error {
    let (kind, text) = if error.is_redirect() {
        (Kind::Redirect, format!("a redirect from {} was refused", Redacted(url)))
    } else if error.is_builder() {
        (Kind::Request, format!("the request for {} can't be made", Redacted(url)))
    } else {
        (Kind::Connect, format!("no answer from {}", url.origin().ascii_serialization()))
    };
    // Its own text repeats the URL, which may hold a secret.
    Error::new(kind, text).with_source(error.without_url())
}

/// The id as raw UTF-8 (C13); none if it is empty, for an empty header would be wrong (C12).
///
/// The standard lets an id hold control characters, HTTP (RFC 9110, section 5.5) does not let a header value: such an
/// id is not sent, and the server begins where it begins for a new client.
fn last_event_id_value(id: &str) -> Option<HeaderValue> {
    if id.is_empty() {
        return None;
    }
    let value = HeaderValue::from_bytes(id.as_bytes());
    if value.is_err() {
        tracing::warn!(?id, "no header can carry this last event id; it is not sent");
    }
    value.ok()
}

/// Asks for headers before every attempt, such as a token that is still fresh.
pub(crate) struct HeaderProvider(pub(crate) Arc<dyn Fn() -> Provided + Send + Sync>);

pub(crate) type Provided =
    Pin<Box<dyn Future<Output = Result<HeaderMap, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

impl fmt::Debug for HeaderProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderProvider")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_c13_the_header_is_absent_or_raw_utf_8() {
        for (id, expected) in [
            ("", None),
            ("42", Some(&b"42"[..])),
            ("…", Some("…".as_bytes())),
            ("a\tb", Some(b"a\tb")),
            ("a\u{1}b", None),
            ("\u{7f}", None),
        ] {
            let value = last_event_id_value(id);
            assert_eq!(value.as_ref().map(HeaderValue::as_bytes), expected, "{id:?}");
        }
    }
}
