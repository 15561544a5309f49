//! The forms of publishing: a batch in NDJSON, Mercure's form, a plain body.

use axum::body::Body;
use http::Request;
use http::header::CONTENT_TYPE;

use crate::hub::with_hub;

pub const WORDS: &[&[u8]] = &[
    b"/events\n",
    b"/events/a\n",
    b"/events/a?type=b&id=c&retry=5&private\n",
    b"/.well-known/mercure\n",
    b"topic=",
    b"&data=",
    b"&id=",
    b"&type=",
    b"&retry=",
    b"&private",
    b"&",
    b"=",
    b"%",
    b"%0A",
    b"%0D",
    b"%00",
    b"%FF",
    b"%C3%A9",
    b"+",
    b"{\"topic\":\"a\"}\n",
    b"\"topic\":",
    b"\"data\":",
    b"\"id\":",
    b"\"type\":",
    b"\"retry\":",
    b"\"private\":true",
    b"[\"a\",\"b\"]",
    b"null",
    b"\\n",
    b"\\r",
    b"\\u0000",
    b"\\ud800",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"1e99",
    b"\n",
    b"\r",
    b"data: x\n\n",
    b"fanfare-gap",
    b"earliest",
    b".well-known/mercure/x",
];

/// The first line of the input is the request's target, the rest its body. It is refused as the client's fault, or it is
/// published: then a subscriber gets as many events as there were ids in the answer, whatever is in them.
pub fn check(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (target, body) = (&bytes[..line], bytes.get(line + 1..).unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let content_type = match path {
        b"/events" => "application/x-ndjson",
        b"/.well-known/mercure" => "application/x-www-form-urlencoded",
        _ => "text/plain",
    };
    let request = Request::post(target).header(CONTENT_TYPE, content_type).body(Body::from(body.to_vec()));
    let Ok(request) = request else { return };
    with_hub(|hub| {
        let before = hub.publish("before", "before");
        let (status, answer) = hub.answer(request);
        if status != 200 {
            assert!(status.is_client_error(), "{status}: {answer}");
            return;
        }
        hub.publish("after", LAST);
        let events = hub.replay("", &before, LAST).expect("everything can be asked for");
        assert_eq!(events.len(), answer.lines().count(), "{answer} became {events:?}");
    });
}

/// What no input has: it would have to be a line longer.
const LAST: &str = "the last event of this input, which is longer than what a mutation could come upon by chance";
