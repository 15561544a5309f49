//! Every way to publish, and what is refused.

use reqwest::{Method, RequestBuilder, StatusCode};

use crate::running::{Got, Running};

const NDJSON: &str = "application/x-ndjson";
const FORM: &str = "application/x-www-form-urlencoded";

async fn ok(request: RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    let status = response.status();
    let content_type = response.headers()["content-type"].clone();
    let text = response.text().await.unwrap();
    assert_eq!((status, content_type.to_str().unwrap()), (StatusCode::OK, "text/plain; charset=utf-8"), "{text}");
    text
}

fn got(event_type: &str, data: &str, id: &str) -> Got {
    Got { event_type: event_type.to_owned(), data: data.to_owned(), id: id.to_owned() }
}

#[tokio::test]
async fn the_body_is_the_data_whatever_curl_says_of_its_type() {
    let hub = Running::start().await;
    let mut subscriber = hub.subscribe("/events").await;
    let id = ok(hub.post("/events/greetings").header("content-type", FORM).body("a=1&b\r\nzwei\n\nü")).await;
    assert_eq!(subscriber.next().await, Some(got("message", "a=1&b\nzwei\n\nü", &id)));
    let id = ok(hub.post("/events/greetings")).await;
    assert_eq!(subscriber.next().await, Some(got("message", "", &id)));
}

#[tokio::test]
async fn the_topic_is_percent_decoded_and_may_contain_slashes() {
    let hub = Running::start().await;
    let mut subscriber = hub.subscribe("/events?topic=https%3A%2F%2Fexample.com%2Fb%C3%BCcher%2F1").await;
    ok(hub.post("/events/other").body("no")).await;
    ok(hub.post("/events/https://example.com/b%C3%BCcher/1").body("yes")).await;
    ok(hub.post("/events/https:%2F%2Fexample.com%2Fb%C3%BCcher%2F1").body("yes too")).await;
    assert_eq!(subscriber.data(2).await, ["yes", "yes too"]);
}

#[tokio::test]
async fn type_id_and_retry_come_from_the_query_or_headers() {
    let hub = Running::start().await;
    let mut subscriber = hub.subscribe("/events/a").await;
    let id = ok(hub.post("/events/a?type=t+1&id=urn:x&retry=1500").body("1")).await;
    assert_eq!(id, "urn:x");
    let id = ok(hub.post("/events/a").header("Event-Type", "t2").header("Event-ID", "mine").body("2")).await;
    assert_eq!(id, "mine");
    assert_eq!(subscriber.next().await, Some(got("t 1", "1", "urn:x")));
    assert_eq!(subscriber.next().await, Some(got("t2", "2", "mine")));
    assert_eq!(subscriber.retry, Some(1500));
    // Without keys nobody can be told apart, so private updates are for everyone.
    ok(hub.post("/events/a?private").body("3")).await;
    assert_eq!(subscriber.data(1).await, ["3"]);
}

#[tokio::test]
async fn a_batch_is_stored_in_order_and_answered_a_line_each() {
    let hub = Running::start().await;
    let mut subscriber = hub.subscribe("/events").await;
    let lines = "{\"topic\":\"a\",\"data\":\"1\"}\n\n{\"topic\":[\"a\",\"b\"],\"data\":{\"n\":2},\"id\":\"two\",\"type\":\"t\"}\n";
    let ids = ok(hub.post("/events").header("content-type", NDJSON).body(lines)).await;
    let ids: Vec<_> = ids.lines().collect();
    assert_eq!((ids.len(), ids[1]), (2, "two"));
    assert_eq!(subscriber.next().await, Some(got("message", "1", ids[0])));
    assert_eq!(subscriber.next().await, Some(got("t", "{\"n\":2}", "two")));
}

#[tokio::test]
async fn mercures_form_publishes() {
    let hub = Running::start().await;
    let mut subscriber = hub.subscribe("/.well-known/mercure?topic=books/%7Bid%7D").await;
    let body = "topic=books/1&topic=users/42&data=a%0Ab+c&type=t&id=&retry=7&private=on&unknown=1";
    let id = ok(hub.post("/.well-known/mercure").header("content-type", FORM).body(body)).await;
    assert_eq!(subscriber.next().await, Some(got("t", "a\nb c", &id)));
    assert_eq!(subscriber.retry, Some(7));
    let form = "application/x-www-form-urlencoded; charset=UTF-8";
    ok(hub.post("/.well-known/mercure").header("content-type", form).body("topic=books/2")).await;
    assert_eq!(subscriber.data(1).await, [""]);
}

#[tokio::test]
async fn the_same_key_stores_once_and_answers_alike() {
    let hub = Running::start().await;
    let keyed = |path: &str, key: &str| hub.post(path).header("Idempotency-Key", key).body("x");
    let (a, b, c) = tokio::join!(ok(keyed("/events/a", "k")), ok(keyed("/events/a", "k")), ok(keyed("/events/a", "k")));
    assert_eq!((&a, &a), (&b, &c));
    assert_ne!(ok(keyed("/events/a", "another")).await, a);
    // What failed was not stored, so its key is free.
    assert_eq!(keyed("/events/.well-known/mercure", "free").send().await.unwrap().status(), 403);
    ok(keyed("/events/a", "free")).await;
    assert_eq!(hub.hub.figures().log_events, 3);
    for bad in ["", &"x".repeat(256)] {
        assert_eq!(keyed("/events/a", bad).send().await.unwrap().status(), 400);
    }
}

#[tokio::test]
async fn bad_input_is_refused_with_a_reason_and_changes_nothing() {
    let hub =
        Running::with(|settings| (settings.body_bytes_max, settings.topics_max) = (1000, 3), Default::default()).await;
    let batch = |body: &'static str| hub.post("/events").header("content-type", NDJSON).body(body);
    let form = |body: &'static str| hub.post("/.well-known/mercure").header("content-type", FORM).body(body);
    let long = "x".repeat(1001);
    let chunks = futures_util::stream::iter((0..30_000).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100])));
    let table: Vec<(RequestBuilder, u16, &str)> = vec![
        (hub.post("/events/a").body(vec![0xFF]), 400, "UTF-8"),
        (hub.post("/events/").body("x"), 404, "nothing"),
        (hub.post("/events/a%0Ab"), 400, "control"),
        (hub.post("/events/%FF"), 400, "UTF-8"),
        (hub.post("/events/a?id=earliest"), 400, "earliest"),
        (hub.post("/events/a?id=e1-2"), 400, "position"),
        (hub.post("/events/a?id=%20x"), 400, "space"),
        (hub.post("/events/a?id=x%0Aid:y"), 400, "control"),
        (hub.post("/events/a?type=fanfare-gap"), 400, "fanfare-"),
        (hub.post("/events/a?type=a%0Db"), 400, "line break"),
        (hub.post("/events/a?type=a%00b"), 400, "NUL"),
        (hub.post("/events/a").header("Event-ID", "earliest"), 400, "earliest"),
        (hub.post("/events/a?retry=soon"), 400, "milliseconds"),
        (hub.post("/events/a?privat"), 400, "privat"),
        (hub.post("/events/a?id=1&id=2"), 400, "twice"),
        (hub.post("/events/a").body(long.clone()), 413, "1000 bytes"),
        (hub.post("/events/a").body(reqwest::Body::wrap_stream(chunks)), 413, "1000 bytes"),
        (hub.post("/events/.well-known/mercure/subscriptions/x"), 403, "namespace"),
        (hub.post("/events/%252ewell-known/mercure"), 403, "namespace"),
        (hub.post("/events").body("x"), 415, "x-ndjson"),
        (batch(""), 400, "empty"),
        (batch("{\"topic\":\"a\"}\n{\"topic\":\"b\",}"), 400, "line 2"),
        (batch("{\"topic\":\"a\"}\n{\"topic\":\"/.well-known/mercure\"}"), 403, "namespace"),
        (batch("{\"topic\":[\"1\",\"2\",\"3\",\"4\"]}"), 400, "3 topics"),
        (form("data=x"), 400, "topic"),
        (form("topic=a&id=earliest"), 400, "earliest"),
        (form("topic=a&retry=x"), 400, "milliseconds"),
        (form("topic=%FF"), 400, "UTF-8"),
        (form("topic=1&topic=2&topic=3&topic=4"), 400, "3 topics"),
        (hub.post("/.well-known/mercure").body("topic=a"), 415, "form"),
        (hub.post("/nowhere"), 404, "/nowhere"),
        (hub.client.request(Method::PUT, hub.url("/events/a")), 405, "PUT"),
    ];
    for (request, status, reason) in table {
        let request = request.build().unwrap();
        let name = format!("{} {}", request.method(), request.url());
        let response = hub.client.execute(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{name}");
        assert_eq!(response.headers().contains_key("allow"), status == 405, "{name}");
        let document: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(document["status"], status, "{name}: {document}");
        assert!(document["detail"].as_str().unwrap().contains(reason), "{name}: {document}");
    }
    assert_eq!(hub.hub.figures().log_events, 0);
}
