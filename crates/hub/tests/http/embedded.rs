//! The hub inside another application.

use std::time::Duration;

use fanfare_hub::{Authorization, Hub, Settings, Topic, Update};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::running::{PATIENCE, Subscriber};

#[tokio::test]
async fn an_application_merges_or_nests_it_and_ends_its_streams() {
    let mut settings = Settings::default();
    settings.drain = Duration::from_millis(50);
    let hub = Hub::builder().settings(settings).build().await.unwrap();
    let application = axum::Router::new()
        .route("/own", axum::routing::get(async || "mine"))
        .fallback(async || "the application's fallback")
        .merge(hub.router())
        .nest("/below/", hub.router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, application).with_graceful_shutdown(async { stopped.await.unwrap_or_default() });
    let server = tokio::spawn(server.into_future());

    let get = async |path: &str| reqwest::get(format!("{url}{path}")).await.unwrap();
    assert_eq!(get("/own").await.text().await.unwrap(), "mine");
    assert_eq!(get("/nowhere").await.text().await.unwrap(), "the application's fallback");
    assert!(get("/below/").await.text().await.unwrap().contains("EventSource"));
    let id = hub.publish(Update::new(Topic::new("a").unwrap(), "x")).await.unwrap();
    for path in ["/events/a?lastEventID=earliest", "/below/events/a?lastEventID=earliest"] {
        let mut stream = get(path).await;
        let mut text = String::new();
        while !text.contains(&format!("id: {id}\ndata: x\n\n")) {
            text += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
        }
    }

    let mut open = get("/events").await;
    tokio::spawn(async move { while let Ok(Some(_)) = open.chunk().await {} });
    tokio::time::timeout(PATIENCE, hub.stop()).await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}

/// hyper waits for it without end, and looks at its stream no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_never_reads_does_not_hold_an_application_up() {
    let mut settings = Settings::default();
    settings.drain = Duration::from_millis(50);
    let hub = Hub::builder().settings(settings).build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, hub.router()).into_future());
    let _never_reads = reqwest::get(url).await.unwrap();
    for _ in 0..30 {
        hub.publish(Update::new(Topic::new("a").unwrap(), "x".repeat(1 << 20))).await.unwrap();
    }
    tokio::time::timeout(PATIENCE / 6, hub.stop()).await.unwrap();
    assert_eq!(hub.figures().subscribers, 1);
}

/// Every path is the same below a prefix, and what names others names them so that they are found.
#[tokio::test]
async fn below_a_prefix_everything_is_as_it_is_without() {
    let mut settings = Settings::default();
    settings.subscriptions = true;
    let hub = Hub::builder().settings(settings).build().await.unwrap();
    let application = axum::Router::new().nest("/live", hub.router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/live", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, application).into_future());
    let client = reqwest::Client::new();

    // The page finds the hub by its own address, with and without a slash at its end.
    let page = client.get(&url).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("location.pathname.replace(/\\/*$/, '/')"));

    let publish = async |path: &str, content_type: &str, body: &str| {
        let request = client.post(format!("{url}{path}")).header("content-type", content_type).body(body.to_owned());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    };
    let first = publish("/events/a/b%20c", "text/plain", "one").await;
    publish("/events", "application/x-ndjson", r#"{"topic":"a/b c","data":"two"}"#).await;
    publish("/.well-known/mercure", "application/x-www-form-urlencoded", "topic=a/b+c&data=three").await;
    for path in ["/events/a/b%20c", "/events?topic=a/b%20c", "/.well-known/mercure?topic=a/%7Bx%7D&topic=a/b%20c"] {
        let request = client.get(format!("{url}{path}")).header("last-event-id", &first);
        let mut stream = Subscriber::new(request.send().await.unwrap());
        assert_eq!(stream.header("last-event-id"), first, "{path}");
        assert_eq!(stream.data(2).await, ["two", "three"], "{path}");
    }

    let _subscriber = client.get(format!("{url}/events/a")).send().await.unwrap();
    let list = client.get(format!("{url}/.well-known/mercure/subscriptions/a")).send().await.unwrap();
    let list: Value = serde_json::from_str(&list.text().await.unwrap()).unwrap();
    // Names of subscriptions are topics, which are the same for every way to the hub.
    assert_eq!(list["id"], "/.well-known/mercure/subscriptions/a");
    let id = list["subscriptions"][0]["id"].as_str().unwrap();
    let one = client.get(format!("{url}{id}")).send().await.unwrap();
    let one: Value = serde_json::from_str(&one.text().await.unwrap()).unwrap();
    assert_eq!((&one["topic"], &one["active"]), (&json!("a"), &json!(true)));

    assert_eq!(client.get(format!("{url}/health/ready")).send().await.unwrap().status(), 200);
    assert_eq!(client.delete(format!("{url}/events")).send().await.unwrap().status(), 405);

    // An EventSource that is refused only for now is told to come back.
    let stopping = hub.clone();
    let stop = tokio::spawn(async move { stopping.stop().await });
    let mut refused = loop {
        let request = client.get(format!("{url}/events")).header("accept", "text/event-stream");
        let stream = Subscriber::new(request.send().await.unwrap());
        if stream.header("last-event-id").is_empty() {
            break stream;
        }
    };
    assert_eq!((refused.response.status().as_u16(), refused.next().await), (200, None));
    assert!(refused.retry.is_some());
    stop.abort();
}

/// What an application's middleware knows of a request, its hook knows too.
#[tokio::test]
async fn the_hook_sees_what_middleware_put_into_the_request() {
    use axum::extract::Request;
    use axum::middleware::{Next, from_fn};
    use fanfare_hub::{Access, Grant, Refusal};

    #[derive(Clone)]
    struct User(&'static str);

    let mut settings = Settings::default();
    settings.authorization = Authorization::asking(|request| async move {
        let Some(User(name)) = request.extensions.get() else { return Err(Refusal::unauthorized("nobody")) };
        Ok(Access::from(Grant::default().with_subscribe([*name])?))
    });
    let hub = Hub::builder().settings(settings).build().await.unwrap();
    let recognize = from_fn(async |mut request: Request, next: Next| {
        request.extensions_mut().insert(User("ada"));
        next.run(request).await
    });
    let application = axum::Router::new().nest("/live", hub.router()).layer(recognize).nest("/bare", hub.router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, application).into_future());

    assert_eq!(reqwest::get(format!("{url}/bare/events")).await.unwrap().status(), 401);
    let mut stream = Subscriber::new(reqwest::get(format!("{url}/live/events")).await.unwrap());
    for (topic, data) in [("bo", "his"), ("ada", "hers")] {
        hub.publish(Update::new(Topic::new(topic).unwrap(), data).private()).await.unwrap();
    }
    assert_eq!(stream.data(1).await, ["hers"]);
}
