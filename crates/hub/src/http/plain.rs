//! `POST /events/{topic}`: the body is the data. Publishing is one line of curl.

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;

use crate::http::form::Form;
use crate::http::{Problem, access, publish};
use crate::update::Attributes;
use crate::{Hub, InvalidUpdate, Topic, Update};

/// The parameters that the query may have. A typing error in `private` must not make an update public, so unknown
/// ones are refused.
const PARAMETERS: [&str; 5] = ["type", "id", "retry", "private", "authorization"];

pub(crate) async fn publish(State(hub): State<Hub>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let publisher = access::publisher(&hub, &head).await?;
    let update = update(&head.uri, &head.headers)?;
    let data = publish::read_text(&hub, &head.headers, body).await?;
    let ids = publish::publish(&hub, &publisher, &head.headers, vec![update(data)]).await?;
    Ok(publish::answer(&ids))
}

/// What the head of the request says of the update, which then waits for its data.
fn update(uri: &Uri, headers: &HeaderMap) -> Result<impl FnOnce(String) -> Update, Problem> {
    let topic = topic_of(uri)?;
    let query = Form::parse(uri.query().unwrap_or_default())?;
    if let Some(name) = query.unknown(&PARAMETERS) {
        return Err(Problem::bad_request(format!("there is no parameter `{name}`: use type, id, retry or private")));
    }
    let event_type = either(&query, "type", headers, "event-type")?;
    let id = either(&query, "id", headers, "event-id")?;
    let attributes = Attributes::parse(event_type, id, query.one("retry")?, query.has("private"))?;
    Ok(move |data| attributes.of(Update::new(topic, data)))
}

/// The topic behind `/events/`, percent-decoded. It may contain slashes.
pub(crate) fn topic_of(uri: &Uri) -> Result<Topic, Problem> {
    let path = uri.path().strip_prefix("/events/").unwrap_or_default();
    let text = percent_decode_str(path).decode_utf8();
    let text = text.map_err(|_| Problem::bad_request("the topic is not UTF-8 once it is percent-decoded"))?;
    Topic::new(&text).map_err(Problem::bad_request)
}

/// A value that may stand in the query or in a header; the query's wins.
fn either<'a>(
    query: &'a Form,
    parameter: &str,
    headers: &'a HeaderMap,
    header: &str,
) -> Result<Option<&'a str>, Problem> {
    if let Some(value) = query.one(parameter)? {
        return Ok(Some(value));
    }
    let Some(value) = headers.get(header) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| Problem::bad_request(format!("the header {header} is not UTF-8")))
}

impl From<InvalidUpdate> for Problem {
    fn from(error: InvalidUpdate) -> Self {
        Self::bad_request(error)
    }
}
