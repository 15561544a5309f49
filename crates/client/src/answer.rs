//! Is an answer a stream? (C15, C16)

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::content_type::is_event_stream;
use crate::{Error, Kind, Opened, credentials};

/// The head of an answer, after redirects: an open stream, or why it is none.
pub(crate) fn judge(status: StatusCode, mut headers: HeaderMap, url: Url) -> Result<Opened, Error> {
    credentials::mark_sensitive(&mut headers);
    let error = if status != StatusCode::OK {
        Error::new(Kind::Status, format!("the server answered {status}"))
    } else if !is_event_stream(&headers) {
        let text = match headers.get(CONTENT_TYPE) {
            Some(value) => format!("the server answered with {value:?} and not text/event-stream"),
            None => "the server answered without a Content-Type, and not with text/event-stream".to_owned(),
        };
        Error::new(Kind::ContentType, text)
    } else {
        return Ok(Opened::new(url, status, headers));
    };
    Err(error.with_head(status, headers))
}
