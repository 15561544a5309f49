//! The Mercure protocol, 0.x: a table for each of its sections on subscribing, publishing, private updates and history.

use reqwest::Method;
use serde_json::json;

use crate::running::{Running, Subscriber};
use crate::tokens::{SUBSCRIBER, both, hub, hub_with, publisher, signed, subscriber};

const HUB: &str = "/.well-known/mercure";

async fn post(hub: &Running, form: &str) -> (u16, String) {
    let request = hub.post(HUB).bearer_auth(publisher(&["*"])).body(form.to_owned());
    let response = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Publishes and gives the id.
async fn publish(hub: &Running, form: &str) -> String {
    let (status, id) = post(hub, form).await;
    assert_eq!(status, 200, "{form}: {id}");
    id
}

async fn follow(hub: &Running, query: &str, token: &str) -> Subscriber {
    hub.subscribe_with(&format!("{HUB}?{query}"), token).await
}

/// Clients in use make a message of each empty line, also of one that ends no event. On a shard and off it.
#[tokio::test]
async fn no_empty_line_comes_before_that_of_the_first_event() {
    let hub = hub_with(both(), |settings| settings.subscriptions = true).await;
    for query in ["topic=a", "topic=a&topic=*"] {
        let request = hub.get(&format!("{HUB}?{query}")).bearer_auth(subscriber(&[]));
        let mut response = request.send().await.unwrap();
        publish(&hub, "topic=a&id=1&data=x").await;
        let mut text = String::new();
        while !text.ends_with("data: x\n\n") {
            text += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
        }
        assert_eq!(text, ":\nid: 1\ndata: x\n\n", "{query}");
    }
}

/// Section 3.
#[tokio::test]
async fn subscribing() {
    let hub = hub(both()).await;
    let token = subscriber(&["*"]);
    for (query, expected) in [
        ("topic=a", 200),
        ("topic=a&topic=b", 200),
        ("topic=*", 200),
        ("topic=https%3A%2F%2Fexample.com%2Fbooks%2F%7Bid%7D", 200),
        ("topic=a+b", 200),
        ("topic=a&unknown=1", 200),
        ("", 400),
        ("topic=", 400),
        ("Topic=a", 400),
        ("topic=%00", 400),
        ("topic=%FF", 400),
    ] {
        let response = hub.get(&format!("{HUB}?{query}")).bearer_auth(&token).send().await.unwrap();
        assert_eq!(response.status(), expected, "{query}");
    }
    let many = |count| (0..count).map(|n| format!("topic={n}&")).collect::<String>();
    assert_eq!(follow(&hub, &many(1000), &token).await.response.status(), 200);
    assert_eq!(follow(&hub, &many(1001), &token).await.response.status(), 400);

    let mut stream = follow(&hub, "topic=a", &token).await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert!(stream.header("cache-control").contains("no-store"));
    assert_eq!(stream.header("x-accel-buffering"), "no");
    stream.read().await;
    assert_eq!(stream.comments, 1, "the head is sent at once");
    let head = hub.client.head(hub.url(&format!("{HUB}?topic=a"))).bearer_auth(&token).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-type"].to_str().unwrap()), (200, "text/event-stream"));
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let refused = hub.client.request(method, hub.url(HUB)).send().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers()["allow"].to_str().unwrap()), (405, "GET,HEAD,POST"));
    }
}

/// Section 4, and that several matches are one event.
#[tokio::test]
async fn selectors() {
    let hub = hub(both()).await;
    let token = subscriber(&[]);
    let table: [(&str, &[&str]); 7] = [
        ("topic=*", &["books/1", "books/2", "authors/1", "books/1/pages"]),
        ("topic=books/1", &["books/1"]),
        ("topic=books/%7Bid%7D", &["books/1", "books/2"]),
        ("topic=books/%7B%2Bid%7D", &["books/1", "books/2", "books/1/pages"]),
        ("topic=%7Bkind%7D/%7Bid%7D", &["books/1", "books/2", "authors/1"]),
        ("topic=books/1&topic=books/%7Bid%7D&topic=books/1", &["books/1", "books/2"]),
        ("topic=Books/1", &[]),
    ];
    let mut streams = Vec::new();
    for (query, _) in &table {
        streams.push(follow(&hub, &format!("{query}&topic=end"), &token).await);
    }
    for topic in ["books/1", "books/2", "authors/1", "books/1/pages", "end"] {
        publish(&hub, &format!("topic={topic}&data={topic}")).await;
    }
    for ((query, expected), stream) in table.iter().zip(&mut streams) {
        let mut data = stream.data(expected.len() + 1).await;
        assert_eq!(data.pop().as_deref(), Some("end"), "{query}");
        assert_eq!(&data, expected, "{query}");
    }
}

/// Section 5.
#[tokio::test]
async fn publishing() {
    let hub = hub(both()).await;
    for (form, expected) in [
        ("topic=a", 200),
        ("data=x&topic=a&unknown=1", 200),
        ("topic=a&topic=b&data=x", 200),
        ("topic=a&private", 200),
        ("topic=a&private=", 200),
        ("topic=a&id=urn:uuid:5e94c686-2c0b-4f9b-958c-92ccc3bbb4eb&type=t&retry=5", 200),
        ("topic=a&id=&type=&retry=", 200),
        ("", 400),
        ("data=x", 400),
        ("topic=", 400),
        ("topic=a&retry=-1", 400),
        ("topic=a&retry=soon", 400),
        ("topic=a&id=x%0Ay", 400),
        ("topic=a&id=x%0D", 400),
        ("topic=a&type=x%0Ay", 400),
        ("topic=a&type=%00", 400),
        ("topic=a%0A", 400),
        ("topic=a&data=%FF", 400),
        ("topic=/.well-known/mercure/subscriptions/a/b", 403),
    ] {
        assert_eq!(post(&hub, form).await.0, expected, "{form}");
    }
    let many = |count| (0..count).map(|n| format!("topic={n}&")).collect::<String>();
    assert_eq!(post(&hub, &many(1000)).await.0, 200);
    assert_eq!(post(&hub, &many(1001)).await.0, 400);

    let request = || hub.post(HUB).bearer_auth(publisher(&["*"]));
    assert_eq!(request().json(&json!({})).send().await.unwrap().status(), 415);
    let typed = request().header("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    let response = typed.body("topic=a&id=mine").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.text().await.unwrap(), "mine", "the body is the id alone");

    let mut stream = follow(&hub, "topic=lines", &subscriber(&[])).await;
    publish(&hub, "topic=lines&data=a%0Ab%0D%0Ac%0Dd&type=t&retry=150&id=last").await;
    let got = stream.next().await.unwrap();
    assert_eq!((got.data.as_str(), got.event_type.as_str(), got.id.as_str()), ("a\nb\nc\nd", "t", "last"));
    assert_eq!(stream.retry, Some(150));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let hub = hub_with(both(), |settings| settings.body_bytes_max = 100).await;
    assert_eq!(post(&hub, &format!("topic=a&data={}", "x".repeat(100))).await.0, 413);
}

/// Section 6: what routes an update and what allows it are asked apart, of any of its topics.
#[tokio::test]
async fn private_updates() {
    let hub = hub(both()).await;
    // Selectors of the subscription, selectors of the token, and which of the updates below come.
    let table: [(&str, &[&str], &[&str]); 10] = [
        ("topic=*", &["*"], &["public", "to 42", "to 7", "alone"]),
        ("topic=*", &[], &["public"]),
        ("topic=books/1", &["users/42/books/1"], &["public", "to 42"]),
        ("topic=books/1", &["users/42/{+any}"], &["public", "to 42"]),
        ("topic=books/%7Bid%7D", &["users/7/{+any}"], &["public", "to 7"]),
        ("topic=users/42/books/1", &["users/42/{+any}"], &["to 42"]),
        ("topic=users/42/books/1", &["books/1"], &["to 42"]),
        ("topic=users/42/books/1", &["users/7/{+any}"], &[]),
        ("topic=alone", &["alone"], &["alone"]),
        ("topic=alone", &["books/1"], &[]),
    ];
    let mut streams = Vec::new();
    for (query, grant, _) in &table {
        streams.push(follow(&hub, &format!("{query}&topic=end"), &subscriber(grant)).await);
    }
    publish(&hub, "topic=books/1&data=public").await;
    publish(&hub, "topic=books/1&topic=users/42/books/1&private=on&data=to 42").await;
    publish(&hub, "topic=books/1&topic=users/7/books/1&private=&data=to 7").await;
    publish(&hub, "topic=alone&private&data=alone").await;
    publish(&hub, "topic=end&data=end").await;
    for ((query, grant, expected), live) in table.iter().zip(&mut streams) {
        let mut history = follow(&hub, &format!("{query}&topic=end&lastEventID=earliest"), &subscriber(grant)).await;
        for stream in [live, &mut history] {
            let mut data = stream.data(expected.len() + 1).await;
            assert_eq!(data.pop().as_deref(), Some("end"), "{query} {grant:?}");
            assert_eq!(&data, expected, "{query} {grant:?}");
        }
    }
}

/// Section 6, its last sentence: who had a right once has history only with the right of now.
#[tokio::test]
async fn replay_asks_the_token_of_now() {
    let hub = hub(both()).await;
    let mut first = follow(&hub, "topic=*", &subscriber(&["a", "b"])).await;
    for topic in ["a", "b", "a"] {
        publish(&hub, &format!("topic={topic}&private&data={topic}")).await;
    }
    assert_eq!(first.data(3).await, ["a", "b", "a"]);
    let mut second = follow(&hub, "topic=*&lastEventID=earliest", &subscriber(&["b", "c"])).await;
    publish(&hub, "topic=c&private&data=c").await;
    assert_eq!(second.data(2).await, ["b", "c"]);
}

/// Section 7.
#[tokio::test]
async fn history() {
    let hub = hub(both()).await;
    let token = subscriber(&["mine"]);
    publish(&hub, "topic=a&data=1&id=one").await;
    publish(&hub, "topic=secret&data=2&private&id=hidden").await;
    publish(&hub, "topic=mine&data=3&private&id=three").await;
    let position = publish(&hub, "topic=a&data=4").await;
    publish(&hub, "topic=a&data=5&id=one").await;
    // Where it asks to go on, what the answer says, whether there is a gap, and what comes.
    let table: [(&str, &str, bool, &[&str]); 9] = [
        ("earliest", "earliest", false, &["1", "3", "4", "5"]),
        ("one", "one", false, &["3", "4", "5"]),
        ("three", "three", false, &["4", "5"]),
        (&position, &position, false, &["5"]),
        // Nobody learns from the answer that there is such an id.
        ("hidden", "earliest", true, &["1", "3", "4", "5"]),
        ("nobody's", "earliest", true, &["1", "3", "4", "5"]),
        ("e1-1", "earliest", true, &["1", "3", "4", "5"]),
        ("One", "earliest", true, &["1", "3", "4", "5"]),
        ("HIDDEN", "earliest", true, &["1", "3", "4", "5"]),
    ];
    for (cursor, header, has_gap, expected) in table {
        let by_query = follow(&hub, &format!("topic=*&lastEventID={cursor}"), &token).await;
        let legacy = follow(&hub, &format!("topic=*&Last-Event-ID={cursor}"), &token).await;
        let request = hub.get(&format!("{HUB}?topic=*&lastEventID=nonsense")).header("last-event-id", cursor);
        let by_header = Subscriber::new(request.bearer_auth(&token).send().await.unwrap());
        for mut stream in [by_query, legacy, by_header] {
            assert_eq!(stream.header("last-event-id"), header, "{cursor}");
            if has_gap {
                let gap = stream.next().await.unwrap();
                assert_eq!(gap.event_type, "fanfare-gap", "{cursor}");
                let data: serde_json::Value = serde_json::from_str(&gap.data).unwrap();
                assert_eq!((&data["requested"], &data["reason"]), (&json!(cursor), &json!("unknown")));
            }
            assert_eq!(stream.data(expected.len()).await, expected, "{cursor}");
        }
    }
    let live = follow(&hub, "topic=*", &token).await;
    assert!(live.header("last-event-id").starts_with('e'), "a position, never the id that somebody chose");
}

/// What somebody who may not see an event learns by asking for its id, against what they learn by asking for none.
#[tokio::test]
async fn an_id_that_one_may_not_know_answers_as_one_that_is_not_there() {
    let hub = hub(both()).await;
    for n in 0..5 {
        publish(&hub, &format!("topic=secret&private&id=secret-{n}&data=x")).await;
        publish(&hub, &format!("topic=open&id=open-{n}&data={n}")).await;
    }
    let token = signed(SUBSCRIBER, &json!({}));
    let answer = async |id: &str| {
        let mut stream = follow(&hub, &format!("topic=*&lastEventID={id}"), &token).await;
        let mut headers: Vec<String> = stream
            .response
            .headers()
            .iter()
            .filter(|(name, _)| *name != "date" && *name != "x-request-id")
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.sort();
        let mut events = Vec::new();
        for _ in 0..6 {
            events.push(stream.next().await.unwrap());
        }
        format!("{headers:?} {events:?}").replace(id, "ID")
    };
    let unknown = answer("nobody-0").await;
    for n in 0..5 {
        assert_eq!(answer(&format!("secret-{n}")).await, unknown);
    }
}
