//! What every way of publishing shares: the body within its limits, the grant, the answer.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use fanfare_log::AppendErrorKind;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::{BodyExt, Limited};
use tokio::time::Instant;

use crate::http::access::Publisher;
use crate::http::{Problem, access};
use crate::limits::{BODY_TIMEOUT, DISCARD_TIMEOUT, DISCARDED_BODY_BYTES_MAX};
use crate::{Hub, IdempotencyKey, PublishError, Update};

/// Reads the body as text, within the limits on its size and time.
pub(crate) async fn read_text(hub: &Hub, headers: &HeaderMap, mut body: Body) -> Result<String, Problem> {
    // A few bytes may be gigabytes when they are unpacked, and taken as they are they would be a subscriber's nonsense.
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        discard(body).await;
        return Err(Problem::unsupported_media_type("the body has a content coding: send it as it is"));
    }
    let bytes_max = hub.shared.settings.body_bytes_max;
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let read = if announced.is_some_and(|length| length > bytes_max as u64) {
        Err(Unread::TooLarge)
    } else {
        tokio::time::timeout(BODY_TIMEOUT, read(&mut body, bytes_max)).await.unwrap_or(Err(Unread::TooSlow))
    };
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(Unread::CutOff) => return Err(Problem::bad_request("the body ended early")),
        Err(Unread::TooSlow) => return Err(Problem::request_timeout("the body did not arrive in time")),
        Err(Unread::TooLarge) => {
            // Who asked first is told at once, and sends nothing.
            if !headers.contains_key(EXPECT) {
                discard(body).await;
            }
            return Err(Problem::too_large(format!("the body has at most {bytes_max} bytes: set --max-body for more")));
        }
    };
    String::from_utf8(bytes)
        .map_err(|_| Problem::bad_request("the body is not UTF-8: an event stream can carry nothing else"))
}

/// Why there is no body.
enum Unread {
    TooLarge,
    TooSlow,
    CutOff,
}

async fn read(body: &mut Body, bytes_max: usize) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::CutOff)?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        if bytes.len() + data.len() > bytes_max {
            return Err(Unread::TooLarge);
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// Reads on what a client that did not wait for an answer is sending: closed on, it would never see the answer.
async fn discard(body: Body) {
    let mut body = Limited::new(body, DISCARDED_BODY_BYTES_MAX);
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, async { while let Some(Ok(_)) = body.frame().await {} }).await;
}

/// Whether the body is of this type, whatever its parameters.
pub(crate) fn is_of_type(headers: &HeaderMap, essence: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|found| found.trim().eq_ignore_ascii_case(essence))
}

/// Publishes `updates`, all or none, and gives their ids.
pub(crate) async fn publish(
    hub: &Hub,
    publisher: &Publisher,
    headers: &HeaderMap,
    updates: Vec<Update>,
) -> Result<Vec<String>, Problem> {
    for update in &updates {
        let topics: Vec<_> = update.topics().iter().map(|topic| topic.shared().clone()).collect();
        if !publisher.grant.may_publish(&topics) {
            return Err(access::may_not_publish(hub));
        }
    }
    if let Some(rate) = &hub.shared.publish_rate {
        rate.take(publisher.party, updates.len(), Instant::now()).map_err(Problem::too_fast)?;
    }
    let published = match idempotency_key(headers)? {
        Some(key) => hub.publish_once(&key.of_holder(&publisher.grant), updates).await,
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

/// The answer to the publish of one event: its id as plain text. A key that was used for a batch brings the batch's ids.
pub(crate) fn answer(ids: &[String]) -> Response {
    // axum's text is `text/plain; charset=utf-8`.
    ids.join("\n").into_response()
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match &error {
            PublishError::Draining | PublishError::IdempotencyKeys => Self::unavailable(error),
            PublishError::BatchSize => Self::too_large(error),
            PublishError::Topics(_) => Self::bad_request(error),
            PublishError::Reserved(_) => Self::forbidden(error),
            PublishError::Append(cause) if cause.kind() == AppendErrorKind::TooLarge => Self::too_large(cause),
            PublishError::Append(cause) => {
                tracing::error!(error = %cause, source = ?std::error::Error::source(cause), "an append failed");
                // The log's own words are for an operator to read, and name no file.
                Self::unavailable(match cause.kind() {
                    AppendErrorKind::NotStored | AppendErrorKind::TooLarge => {
                        format!("the event was not stored, try again: {cause}")
                    }
                    AppendErrorKind::MaybeStored => format!("it is not known whether the event was stored: {cause}"),
                })
            }
        }
    }
}
