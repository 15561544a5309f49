//! What a client is told when its request can't be served: a problem document (RFC 9457).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::http::RequestId;

/// A refusal: whose fault it is, what is wrong, and what to do. It never shows the hub's insides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    retry_after_seconds: Option<u32>,
    challenge: Option<HeaderValue>,
}

impl Problem {
    #[expect(clippy::needless_pass_by_value, reason = "so that its callers can be given to map_err")]
    fn new(status: StatusCode, detail: impl ToString) -> Self {
        Self { status, detail: detail.to_string(), retry_after_seconds: None, challenge: None }
    }

    pub(crate) fn bad_request(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// A token is needed, and none came. RFC 6750, section 3.1: the challenge names no error then.
    pub(crate) fn no_token() -> Self {
        let detail = "a token is needed: send it as `Authorization: Bearer TOKEN`, or in the cookie of this hub";
        Self {
            challenge: Some(HeaderValue::from_static("Bearer realm=\"fanfare\"")),
            ..Self::new(StatusCode::UNAUTHORIZED, detail)
        }
    }

    /// The token is not believed.
    pub(crate) fn bad_token(detail: impl ToString) -> Self {
        let challenge = Some(HeaderValue::from_static("Bearer realm=\"fanfare\", error=\"invalid_token\""));
        Self { challenge, ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// The token is a good one, and does not allow it.
    pub(crate) fn insufficient_token(detail: impl ToString) -> Self {
        let challenge = Some(HeaderValue::from_static("Bearer realm=\"fanfare\", error=\"insufficient_scope\""));
        Self { challenge, ..Self::forbidden(detail) }
    }

    pub(crate) fn unauthorized(detail: impl ToString) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// Says how to do better.
    pub(crate) fn with_challenge(self, challenge: Option<HeaderValue>) -> Self {
        Self { challenge, ..self }
    }

    pub(crate) fn forbidden(detail: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(crate) fn not_found(detail: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn method_not_allowed(detail: impl ToString) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    pub(crate) fn request_timeout(detail: impl ToString) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, detail)
    }

    pub(crate) fn too_large(detail: impl ToString) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    pub(crate) fn unsupported_media_type(detail: impl ToString) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    pub(crate) fn misdirected(detail: impl ToString) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, detail)
    }

    pub(crate) fn internal(detail: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// Refused only for now: the client may come back.
    pub(crate) fn unavailable(detail: impl ToString) -> Self {
        Self { retry_after_seconds: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Somebody has as many connections or streams as it may.
    pub(crate) fn crowded(who: &str) -> Self {
        let detail = format!("{who} has as many connections as one may have here: close some, or come back later");
        Self { retry_after_seconds: Some(5), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// Somebody publishes faster than it may, and may again after this time.
    pub(crate) fn too_fast(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let detail = format!("more events a second than one may publish here: come back in {seconds} s");
        Self { retry_after_seconds: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    pub(crate) fn is_for_now(&self) -> bool {
        self.retry_after_seconds.is_some()
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl Problem {
    /// The document, with the name of the request that it is about.
    pub(crate) fn document(&self, id: Option<&RequestId>) -> String {
        let mut document = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(id) = id {
            document["request_id"] = id.as_str().into();
        }
        document.to_string()
    }
}

/// The response also holds the problem itself, for the guard.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.document(None)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = &self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}
