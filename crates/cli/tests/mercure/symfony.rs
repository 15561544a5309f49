//! Symfony's Mercure component publishes.

use serde_json::{Value, json};

use crate::clients::{Script, endpoint, hub, publish, token};
use crate::running::{curl, fanfare, run};

/// The events that a subscriber gets of `updates`: type, data and id.
fn received(topics: &str, grant: &str, updates: &[Value]) -> Vec<Value> {
    let hub = hub(&["--memory"]);
    let end = json!({ "topics": "end", "id": "end" });
    let ids = publish(&hub, &[], &[updates, &[end]].concat());
    assert!(ids.len() == updates.len() + 1 && ids.iter().all(|id| !id.starts_with("refused")), "{ids:?}");
    let url = format!("{}?{topics}&topic=end&lastEventID=earliest", endpoint(&hub));
    let mut subscriber = Script::start("subscribe.js", &token(&["--subscribe", grant]), &[&url, "book"]);
    assert_eq!(subscriber.next(), json!(["open"]));
    let mut events = subscriber.until(&json!(["message", "", "end"]));
    events.pop();
    events
}

#[test]
fn an_update_arrives_as_it_was_written() {
    let text = "Bücher, 本, 😀: a=b&c=d+e%20f";
    let table = [
        (json!({ "topics": "a", "data": text, "id": "1" }), json!(["message", text, "1"])),
        (
            json!({ "topics": "a", "data": " 1\n2\r\n3\r\n\r4\n", "id": "2" }),
            json!(["message", " 1\n2\n3\n\n4\n", "2"]),
        ),
        (json!({ "topics": "a", "id": "urn:uuid:5e94c686" }), json!(["message", "", "urn:uuid:5e94c686"])),
        (json!({ "topics": "a", "type": "book", "retry": 5, "id": "é" }), json!(["book", "", "é"])),
        (json!({ "topics": "a", "data": "data: x\n\nid: y", "id": "5" }), json!(["message", "data: x\n\nid: y", "5"])),
    ];
    let (updates, expected): (Vec<Value>, Vec<Value>) = table.into_iter().unzip();
    assert_eq!(received("topic=a", "nothing", &updates), expected);
}

#[test]
fn the_hub_makes_the_id_where_there_is_none() {
    let hub = hub(&["--memory"]);
    let ids = publish(&hub, &[], &[json!({ "topics": "a", "data": "x" })]);
    let url = format!("{}?topic=a&lastEventID=earliest", endpoint(&hub));
    let mut subscriber = Script::start("subscribe.js", &token(&[]), &[&url]);
    assert_eq!(subscriber.until(&json!(["message", "x", ids[0]])).len(), 2);
}

/// The selectors stand in the URL as people write them, with braces and slashes.
#[test]
fn topics_and_grants_decide_what_arrives() {
    let books = "https://example.com/books/";
    let update =
        |topics: &[&str], private: bool, data: &str| json!({ "topics": topics, "private": private, "data": data });
    let (one, both) = (format!("{books}1"), [&*format!("{books}2"), "https://example.com/users/42/books/2"]);
    let updates = [
        update(&[&one], false, "public"),
        update(&["https://example.com/authors/1"], false, "of another topic"),
        update(&[&one], true, "private"),
        update(&both, true, "private, for user 42"),
        update(&[&one, both[0]], false, "on two topics that were asked for"),
    ];
    let data = |topics: &str, grant: &str| -> Vec<String> {
        received(topics, grant, &updates).iter().map(|event| event[1].as_str().unwrap().to_owned()).collect()
    };
    let template = format!("topic={books}{{id}}");
    let (public, two) = ("public", "on two topics that were asked for");
    assert_eq!(data(&template, "nothing"), [public, two]);
    assert_eq!(data(&template, "https://example.com/users/42/{+any}"), [public, "private, for user 42", two]);
    assert_eq!(data(&format!("topic={one}&{template}"), &one), [public, "private", two]);
    assert_eq!(data("topic=*", "*").len(), updates.len());
}

#[test]
fn a_refusal_throws_and_stores_nothing() {
    let hub = hub(&["--memory"]);
    let stranger = run(
        fanfare(&["token", "--publish", "*", "--key", "a key that the hub does not know"]).args(["--alg", "HS256"]),
        b"",
    );
    let tokens = [
        (stranger.stdout.trim_end(), "a", "refused 401 ", "signature"),
        (&token(&["--publish", "b"]), "a", "refused 403 ", "does not allow"),
        (&token(&["--subscribe", "*"]), "a", "refused 403 ", "does not allow"),
        (
            &token(&["--publish", "*"]),
            "/.well-known/mercure/subscriptions/a/b",
            "refused 403 ",
            "the hub keeps for itself",
        ),
        (&token(&["--publish", "*"]), "line\nbreak", "refused 400 ", "control characters"),
    ];
    for (token, topic, status, reason) in tokens {
        let outcome = publish(&hub, &[("MERCURE_JWT", token)], &[json!({ "topics": topic, "private": true })]);
        assert!(
            outcome.len() == 1 && outcome[0].starts_with(status) && outcome[0].contains(reason),
            "{topic} {outcome:?}"
        );
    }
    let outcome = publish(&hub, &[], &[json!({ "topics": [] }), json!({ "topics": "a", "type": "a\nb" })]);
    assert!(outcome.iter().all(|outcome| outcome.starts_with("refused 400 ")), "{outcome:?}");
    let metrics = curl(&[&hub.url("/metrics")]);
    assert!(metrics.lines().any(|line| line == "fanfare_published_events_total 0"), "{metrics}");
    // What was refused is not for the component's sake.
    let good = token(&["--publish", "a"]);
    assert_eq!(publish(&hub, &[("MERCURE_JWT", &good)], &[json!({ "topics": "a", "id": "stored" })]), ["stored"]);
}
