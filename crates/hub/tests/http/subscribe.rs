//! What a subscriber is sent, and which of it.

use std::time::Duration;

use fanfare_hub::{Topic, Update};
use fanfare_log::Retention;

use crate::running::{PATIENCE, Running};

#[tokio::test]
async fn the_head_and_a_first_comment_come_at_once() {
    let hub = Running::start().await;
    let tail = hub.publish("a", "before").await;
    let mut subscriber = hub.subscribe("/events").await;
    assert_eq!(subscriber.response.status(), 200);
    assert_eq!(subscriber.header("content-type"), "text/event-stream");
    assert_eq!(subscriber.header("cache-control"), "no-cache, no-store, no-transform");
    assert_eq!(subscriber.header("x-accel-buffering"), "no");
    assert_eq!(subscriber.header("last-event-id"), tail);
    subscriber.read().await;
    assert_eq!(subscriber.comments, 1);
    hub.publish("a", "after").await;
    assert_eq!(subscriber.data(1).await, ["after"]);
}

#[tokio::test]
async fn head_answers_without_a_stream() {
    let hub = Running::start().await;
    let response = hub.client.head(hub.url("/events/a")).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    assert_eq!(response.bytes().await.unwrap(), "");
}

#[tokio::test]
async fn an_event_that_matches_several_selectors_comes_once() {
    let hub = Running::start().await;
    let mut subscriber = hub.subscribe("/events?topic=a&topic=b&topic=%7Bx%7D").await;
    let update = Update::new(Topic::new("a").unwrap(), "1").with_alternate(Topic::new("b").unwrap());
    hub.hub.publish(update.with_alternate(Topic::new("a").unwrap())).await.unwrap();
    hub.publish("a", "2").await;
    assert_eq!(subscriber.data(2).await, ["1", "2"]);
}

#[tokio::test]
async fn selectors_select() {
    let hub = Running::start().await;
    let table = [
        ("/events", vec!["books/1", "books/2", "*", "users/a/b"]),
        ("/events?topic=*", vec!["books/1", "books/2", "*", "users/a/b"]),
        ("/events?topic=books/1", vec!["books/1"]),
        ("/events?topic=books/%7Bid%7D", vec!["books/1", "books/2"]),
        ("/events?topic=books/%7Bid%7D&topic=*", vec!["books/1", "books/2", "*", "users/a/b"]),
        ("/events?topic=users/%7B%2Bpath%7D", vec!["users/a/b"]),
        ("/events?topic=users/%7Bpath%7D", vec![]),
        ("/events/books/1", vec!["books/1"]),
        ("/events/*", vec!["*"]),
        ("/events/books/2?topic=books/1", vec!["books/1", "books/2"]),
        ("/.well-known/mercure?topic=books/1&topic=books/2", vec!["books/1", "books/2"]),
    ];
    let mut subscribers = Vec::new();
    for (path, _) in &table {
        subscribers.push(hub.subscribe(path).await);
    }
    // A last event that all of them want shows that nothing else is on its way.
    for topic in ["books/1", "books/2", "*", "users/a/b"] {
        hub.publish(topic, topic).await;
    }
    let names = ["books/1", "books/2", "*", "users/a/b"].map(|topic| Topic::new(topic).unwrap());
    let mut last = Update::new(names[0].clone(), "last");
    for name in &names[1..] {
        last = last.with_alternate(name.clone());
    }
    hub.hub.publish(last.with_alternate(Topic::new("users/x").unwrap())).await.unwrap();
    for ((path, expected), subscriber) in table.iter().zip(&mut subscribers) {
        let mut data = subscriber.data(expected.len() + 1).await;
        assert_eq!(data.pop().as_deref(), Some("last"), "{path}");
        assert_eq!(&data, expected, "{path}");
    }
}

#[tokio::test]
async fn bad_subscriptions_are_refused() {
    let hub = Running::with(|settings| settings.topics_max = 2, Retention::default()).await;
    for (path, reason) in [
        ("/.well-known/mercure", "topic"),
        ("/events?topic=", "empty"),
        ("/events?topic=%0A", "control"),
        ("/events?topic=%FF", "UTF-8"),
        ("/events?topic=a&topic=b&topic=c", "2 topics"),
        ("/events/a?topic=b&topic=c", "2 topics"),
        ("/events?topic=%7Bx:9999%7D", "too complex"),
        ("/events?lastEventID=%0D", "control"),
        ("/events?lastEventID=a&lastEventID=b", "twice"),
    ] {
        let response = hub.get(path).header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 400, "{path}");
        let text = response.text().await.unwrap();
        assert!(text.contains(reason), "{path}: {text}");
    }
    let hub = Running::start().await;
    let templates = |count| (0..count).map(|n| format!("topic={n}%7Bx%7D&")).collect::<String>();
    assert_eq!(hub.get(&format!("/events?{}", templates(100))).send().await.unwrap().status(), 200);
    let refused = hub.get(&format!("/events?{}", templates(101))).send().await.unwrap();
    assert!(refused.text().await.unwrap().contains("100 URI Templates"));
    let not_utf8 = reqwest::header::HeaderValue::from_bytes(b"\xFF").unwrap();
    let response = hub.get("/events").header("Last-Event-ID", not_utf8).send().await.unwrap();
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn a_comment_comes_while_nothing_happens() {
    let hub = Running::with(|settings| settings.heartbeat = Duration::from_millis(10), Retention::default()).await;
    let mut subscriber = hub.subscribe("/events").await;
    for _ in 0..8 {
        assert!(subscriber.read().await);
    }
    assert!(subscriber.comments >= 4, "nothing else is sent but where it is");
    hub.publish("a", "x").await;
    assert_eq!(subscriber.data(1).await, ["x"]);
}

#[tokio::test]
async fn the_figures_and_health_are_told() {
    let hub = Running::start().await;
    let mut subscriber = hub.subscribe("/events").await;
    hub.publish("a", "x").await;
    subscriber.next().await;
    let metrics = hub.get("/metrics").send().await.unwrap();
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = metrics.text().await.unwrap();
    for line in [
        "fanfare_subscribers{path=\"shard\"} 1",
        "fanfare_published_events_total 1",
        "fanfare_delivered_events_total 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(hub.get(path).send().await.unwrap().status(), 200);
    }
    let page = hub.get("/").send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    drop(subscriber);
    tokio::time::timeout(PATIENCE, async {
        while hub.hub.figures().subscribers > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
