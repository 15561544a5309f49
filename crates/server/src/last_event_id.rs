//! Where a client that reconnects wants to go on.

use fanfare_wire::EventId;
use http::header::{HeaderMap, HeaderName};

/// The request's `Last-Event-ID`: the id of the last event that the client received, if it had one (S10).
///
/// A client that connects for the first time sends none, and neither does one whose last id was empty (C12). The id is
/// whatever the client says: look it up, trust nothing about it. It holds no line break and no NUL.
///
/// With the feature `axum` it is an extractor, whose rejection is a 400.
///
/// ```
/// use fanfare_server::LastEventId;
///
/// let mut headers = http::HeaderMap::new();
/// assert_eq!(LastEventId::from_headers(&headers), Ok(LastEventId(None)));
/// headers.insert(LastEventId::HEADER, "42".parse()?);
/// let LastEventId(Some(id)) = LastEventId::from_headers(&headers)? else { panic!("there is one") };
/// assert_eq!(id.as_str(), "42");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEventId(pub Option<EventId>);

impl LastEventId {
    /// The header's name.
    pub const HEADER: HeaderName = HeaderName::from_static("last-event-id");

    /// Reads it from a request's headers. Of several only the first counts.
    ///
    /// # Errors
    ///
    /// [`LastEventIdNotUtf8`] if it is not UTF-8, as which browsers send it (C13).
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, LastEventIdNotUtf8> {
        let Some(value) = headers.get(Self::HEADER) else { return Ok(Self(None)) };
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| LastEventIdNotUtf8)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        // A header value holds no CR, LF or NUL, so this can't fail on one that came over HTTP.
        EventId::new(text).map(|id| Self(Some(id))).map_err(|_| LastEventIdNotUtf8)
    }
}

/// The `Last-Event-ID` header is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header Last-Event-ID is not UTF-8: send the id as it was received")]
pub struct LastEventIdNotUtf8;

#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::FromRequestParts<S> for LastEventId {
    type Rejection = LastEventIdNotUtf8;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, LastEventIdNotUtf8> {
        Self::from_headers(&parts.headers)
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for LastEventIdNotUtf8 {
    fn into_response(self) -> axum_core::response::Response {
        (http::StatusCode::BAD_REQUEST, self.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(value: Option<&[u8]>, expected: Result<Option<&str>, LastEventIdNotUtf8>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(LastEventId::HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        let found = LastEventId::from_headers(&headers);
        assert_eq!(found.as_ref().map(|id| id.0.as_ref().map(EventId::as_str)), expected.as_ref().map(|id| *id));
    }

    #[test]
    fn absent_and_empty_are_the_same() {
        check(None, Ok(None));
        check(Some(b""), Ok(None));
    }

    #[test]
    fn it_is_utf8() {
        check(Some(b"42"), Ok(Some("42")));
        check(Some("…é".as_bytes()), Ok(Some("…é")));
        check(Some(b"\xFF"), Err(LastEventIdNotUtf8));
    }
}
