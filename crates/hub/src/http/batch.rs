//! `POST /events`: many events in one request, one JSON object a line, all or nothing.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use fanfare_log::BATCH_EVENTS_MAX;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::http::{Problem, access, publish};
use crate::update::Attributes;
use crate::{Hub, InvalidUpdate, Update};

pub(crate) async fn publish(State(hub): State<Hub>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let publisher = access::publisher(&hub, &head).await?;
    if !publish::is_of_type(&head.headers, "application/x-ndjson") {
        let detail = "send a batch as application/x-ndjson, an object a line, or one event to /events/{topic}";
        return Err(Problem::unsupported_media_type(detail));
    }
    let text = publish::read_text(&hub, &head.headers, body).await?;
    let updates = parse(&text)?;
    let ids = publish::publish(&hub, &publisher, &head.headers, updates).await?;
    Ok(ids.iter().flat_map(|id| [id.as_str(), "\n"]).collect::<String>().into_response())
}

fn parse(text: &str) -> Result<Vec<Update>, Problem> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut updates = Vec::new();
    for (index, line) in lines {
        if updates.len() == BATCH_EVENTS_MAX {
            return Err(Problem::too_large(format!("a batch has at most {BATCH_EVENTS_MAX} events")));
        }
        let at_line = |error: String| Problem::bad_request(format!("line {}: {error}", index + 1));
        let line: Line<'_> = serde_json::from_str(line).map_err(|error| at_line(error.to_string()))?;
        updates.push(line.update().map_err(|error| at_line(error.to_string()))?);
    }
    if updates.is_empty() {
        return Err(Problem::bad_request(
            "the batch is empty: send an object a line, such as {\"topic\":\"news\",\"data\":\"hello\"}",
        ));
    }
    Ok(updates)
}

/// One line. Unknown members are refused: a typing error in `private` must not make an update public.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    topic: OneOrMany,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    id: Option<String>,
    retry: Option<u64>,
    private: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`topic` must be a string or an array of strings")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Tells `"data":null`, which is sent as `null`, from no data.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Line<'_> {
    fn update(self) -> Result<Update, LineError> {
        let topics = match self.topic {
            OneOrMany::One(topic) => vec![topic],
            OneOrMany::Many(topics) => topics,
        };
        let update = Update::on(topics.iter().map(String::as_str), data(self.data)?)?.ok_or(LineError::NoTopic)?;
        let retry = self.retry.map(|milliseconds| milliseconds.to_string());
        let (event_type, id) = (self.event_type.as_deref(), self.id.as_deref());
        let attributes = Attributes::parse(event_type, id, retry.as_deref(), self.private == Some(true))?;
        Ok(attributes.of(update))
    }
}

/// A string's text; anything else as the JSON that was written, digit for digit.
fn data(value: Option<&RawValue>) -> Result<String, LineError> {
    match value.map(RawValue::get) {
        None => Ok(String::new()),
        Some(json) if json.starts_with('"') => serde_json::from_str(json).map_err(LineError::Data),
        Some(json) => Ok(json.to_owned()),
    }
}

#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("`topic` is an empty array")]
    NoTopic,
    #[error("`data`: {0}")]
    Data(serde_json::Error),
    #[error(transparent)]
    Update(#[from] InvalidUpdate),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;

    fn topic(text: &str) -> Topic {
        Topic::new(text).unwrap()
    }

    #[test]
    fn a_line_is_an_update() {
        let update = |data: &str| Update::new(topic("a"), data);
        let check = |line: &str, expected: Update| assert_eq!(parse(line).unwrap(), [expected], "{line}");
        check(r#"{"topic":"a"}"#, update(""));
        check(r#"{"topic":"a","data":"x\ny"}"#, update("x\ny"));
        check(r#"{"topic":["a","b"],"data":"x"}"#, update("x").with_alternate(topic("b")));
        check(
            r#"{"topic":"a","data":{"n":1.10,"big":12345678901234567890}}"#,
            update(r#"{"n":1.10,"big":12345678901234567890}"#),
        );
        check(r#"{"topic":"a","data":null,"type":null,"id":"","private":false}"#, update("null"));
        let full = update("x").with_type("t".try_into().unwrap()).with_id("i".try_into().unwrap());
        let full = full.with_retry(std::time::Duration::from_millis(5)).private();
        check(r#" {"topic":"a","data":"x","type":"t","id":"i","retry":5,"private":true} "#, full);
    }

    #[test]
    fn blank_lines_count_for_nothing_but_the_line_numbers() {
        assert_eq!(parse("\n{\"topic\":\"a\"}\r\n\n{\"topic\":\"b\"}\n").unwrap().len(), 2);
        let problem = parse("\n{\"topic\":\"a\"}\n\n{\"topic\":\"\"}\n").unwrap_err();
        assert!(problem.detail().starts_with("line 4: "), "{}", problem.detail());
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_of_the_batch_counts() {
        for line in [
            "x",
            "[]",
            "{}",
            r#"{"topic":5}"#,
            r#"{"topic":[]}"#,
            r#"{"topic":"a","privat":true}"#,
            r#"{"topic":"a","id":5}"#,
            r#"{"topic":"a","retry":-1}"#,
            r#"{"topic":"a","retry":99999999999}"#,
            r#"{"topic":"a","data":"\ud800"}"#,
            r#"{"topic":"a","id":"earliest"}"#,
            r#"{"topic":"a","type":"a\nb"}"#,
            r#"{"topic":"a","topic":"b"}"#,
        ] {
            let problem = parse(&format!("{{\"topic\":\"ok\"}}\n{line}")).unwrap_err();
            assert!(problem.detail().starts_with("line 2: "), "{line}: {}", problem.detail());
        }
        assert!(parse("").is_err());
        assert!(parse(&"{\"topic\":\"a\"}\n".repeat(BATCH_EVENTS_MAX + 1)).is_err());
    }
}
