//! What every way of publishing shares: the body within its limits, the grant, the answer.

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use fanfare_log::AppendErrorKind;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use crate::http::{Problem, access};
use crate::limits::BODY_TIMEOUT;
use crate::{Hub, IdempotencyKey, PublishError, Update};

/// Reads the body as text, within the limits on its size and time.
pub(crate) async fn read_text(hub: &Hub, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    let bytes_max = hub.shared.settings.body_bytes_max;
    let too_large = || Problem::too_large(format!("the body has at most {bytes_max} bytes: set --max-body for more"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    // One byte more than allowed tells a body that is too large from one that was cut off.
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, bytes_max)).await;
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if is_too_large(&error) => return Err(too_large()),
        Ok(Err(_)) => return Err(Problem::bad_request("the body ended early")),
        Err(_) => return Err(Problem::request_timeout("the body did not arrive in time")),
    };
    String::from_utf8(bytes.into())
        .map_err(|_| Problem::bad_request("the body is not UTF-8: an event stream can carry nothing else"))
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

/// Whether the body is of this type, whatever its parameters.
pub(crate) fn is_of_type(headers: &HeaderMap, essence: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|found| found.trim().eq_ignore_ascii_case(essence))
}

/// Publishes `updates`, all or none, and gives their ids.
pub(crate) async fn publish(hub: &Hub, headers: &HeaderMap, updates: Vec<Update>) -> Result<Vec<String>, Problem> {
    let grant = access::publisher(hub, headers)?;
    for update in &updates {
        let topics: Vec<_> = update.topics().iter().map(|topic| topic.shared().clone()).collect();
        if !grant.may_publish(&topics) {
            return Err(Problem::forbidden("the token does not allow publishing on every one of these topics"));
        }
    }
    let published = match idempotency_key(headers)? {
        Some(key) => hub.publish_once(&key, updates).await,
        None => hub.publish_batch(updates).await,
    };
    published.map_err(Problem::from)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| Problem::bad_request("the header Idempotency-Key is not UTF-8"))?;
    IdempotencyKey::new(text).map(Some).map_err(Problem::bad_request)
}

/// The answer to a publish: ids as plain text.
pub(crate) fn answer(ids: String) -> Response {
    // axum's text is `text/plain; charset=utf-8`.
    ids.into_response()
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match &error {
            PublishError::Draining | PublishError::IdempotencyKeys => Self::unavailable(error),
            PublishError::BatchSize => Self::too_large(error),
            PublishError::Topics(_) => Self::bad_request(error),
            PublishError::Reserved(_) => Self::forbidden(error),
            PublishError::Append(cause) => {
                tracing::error!(error = %cause, source = ?std::error::Error::source(cause), "an append failed");
                Self::unavailable(match cause.kind() {
                    AppendErrorKind::NotStored => "the event was not stored: try again",
                    AppendErrorKind::MaybeStored => "it is not known whether the event was stored",
                })
            }
        }
    }
}
