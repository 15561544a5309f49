//! What is said of a subscription, as JSON-LD.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::presence::Subscriber;

/// Where subscriptions live: topics of their events, and paths of their API.
pub(crate) const SUBSCRIPTIONS: &str = "/.well-known/mercure/subscriptions";

/// All but the unreserved characters (RFC 3986, section 2.3), which a URI Template's simple expansion encodes.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of all subscriptions, of those to one selector, or of one subscriber's. Each part is encoded once.
pub(crate) fn path<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut path = SUBSCRIPTIONS.to_owned();
    for part in parts {
        path.push('/');
        path.extend(utf8_percent_encode(part, RESERVED));
    }
    path
}

/// One subscription.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    #[serde(rename = "@context", skip_serializing_if = "Option::is_none")]
    context: Option<&'static str>,
    pub(crate) id: String,
    r#type: &'static str,
    topic: &'a str,
    subscriber: &'a str,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    /// Where they are connected. Mercure's documents may say more than its names do.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(rename = "lastEventID", skip_serializing_if = "Option::is_none")]
    last_event_id: Option<String>,
}

/// What the names in a document mean.
pub(crate) const CONTEXT: &str = "https://mercure.rocks/";

impl<'a> Document<'a> {
    /// What is said of `subscriber`'s subscription to `topic`, within something larger.
    pub(crate) fn new(topic: &'a str, subscriber: &'a Subscriber, active: bool) -> Self {
        Self {
            context: None,
            id: path([topic, subscriber.name()]),
            r#type: "Subscription",
            topic,
            subscriber: subscriber.name(),
            active,
            payload: subscriber.payload(),
            node: subscriber.node(),
            last_event_id: None,
        }
    }

    /// The same on its own.
    pub(crate) fn alone(self) -> Self {
        Self { context: Some(CONTEXT), ..self }
    }

    /// The same in an answer, with the cursor from which its events can be followed.
    pub(crate) fn answer(self, last_event_id: String) -> Self {
        Self { last_event_id: Some(last_event_id), ..self.alone() }
    }

    /// As JSON.
    pub(crate) fn json(&self) -> String {
        // Every key is a string, so this can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn each_part_of_a_path_is_encoded_once() {
        assert_eq!(path([]), "/.well-known/mercure/subscriptions");
        assert_eq!(
            path(["https://example.com/{id}", "urn:uuid:1"]),
            "/.well-known/mercure/subscriptions/https%3A%2F%2Fexample.com%2F%7Bid%7D/urn%3Auuid%3A1"
        );
        assert_eq!(path(["a%2Fb~", "é *"]), "/.well-known/mercure/subscriptions/a%252Fb~/%C3%A9%20%2A");
    }

    #[test]
    fn a_document_says_what_the_protocol_wants() {
        let payload = RawValue::from_string(r#"{"user":"é"}"#.to_owned()).unwrap();
        let subscriber = Subscriber::new(0, [Arc::from("a")].into_iter(), Some(payload.into()), None);
        let name = subscriber.name();
        assert_eq!(
            Document::new("a", &subscriber, true).alone().json(),
            format!(
                r#"{{"@context":"https://mercure.rocks/","id":"{}","type":"Subscription","topic":"a","subscriber":"{name}","active":true,"payload":{{"user":"é"}}}}"#,
                path(["a", name])
            )
        );
        let node = Some("n1".parse().unwrap());
        let subscriber = Subscriber::new(0, [Arc::from("a")].into_iter(), None, node);
        let json = Document::new("a", &subscriber, false).answer("e1-2".to_owned()).json();
        assert!(json.ends_with(r#""active":false,"node":"n1","lastEventID":"e1-2"}"#), "{json}");
    }
}
