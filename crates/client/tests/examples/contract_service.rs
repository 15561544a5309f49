//! The part of the public harness, in small: it makes streams, listens for reports, gives commands.

use fanfare_scripted_server::{EVENT_STREAM, Peer, Playback, Script, ScriptedServer};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::program::Program;

struct Harness {
    service: Program,
    service_url: String,
    client: Client,
    streams: ScriptedServer,
    reports: Playback,
    reports_seen: usize,
}

impl Harness {
    async fn start(arguments: &[&str]) -> Self {
        let mut service = Program::start("contract_service", &[&["0"], arguments].concat());
        let line = service.line();
        let service_url = line.strip_prefix("Listening on ").unwrap().to_owned();
        Self {
            service,
            service_url,
            client: Client::new(),
            streams: ScriptedServer::start().await.unwrap(),
            reports: ScriptedServer::start().await.unwrap().play(std::iter::repeat(Script::status(202))),
            reports_seen: 0,
        }
    }

    async fn ask(&self, method: Method, url: &str, body: Value) -> reqwest::Response {
        self.client.request(method, url).body(body.to_string()).send().await.unwrap()
    }

    /// Makes a stream, and opens it. `more` is added to what every stream needs.
    async fn create(&self, more: Value) -> (String, Peer) {
        let mut request = json!({
            "streamUrl": self.streams.url("/stream"),
            "callbackUrl": self.reports.url("/callback"),
            "tag": "a test",
            "initialDelayMs": 0,
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.ask(Method::POST, &self.service_url, request).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        let location = answer.headers()["location"].to_str().unwrap();
        // As the harness does it: a path is put behind the URL that it was given.
        let url = format!("{}{location}", self.service_url);
        (url, self.open().await)
    }

    async fn open(&self) -> Peer {
        let mut peer = self.streams.accept().await.unwrap();
        peer.send(EVENT_STREAM).await.unwrap();
        peer
    }

    async fn command(&self, stream: &str, command: Value) -> StatusCode {
        self.ask(Method::POST, stream, command).await.status()
    }

    /// The next report, which has to come to the next number.
    async fn report(&mut self) -> Value {
        let request = self.reports.request(self.reports_seen).await.unwrap();
        self.reports_seen += 1;
        assert_eq!((request.method(), request.target()), ("POST", &*format!("/callback/{}", self.reports_seen)));
        serde_json::from_slice(request.body()).unwrap()
    }

    async fn expect_event(&mut self, event_type: &str, data: &str, id: &str) {
        let expected = json!({"kind": "event", "event": {"type": event_type, "data": data, "id": id}});
        assert_eq!(self.report().await, expected);
    }
}

#[tokio::test]
async fn announces_everything_in_two_parts() {
    let common = [
        "bom",
        "headers",
        "last-event-id",
        "post",
        "read-timeout",
        "report",
        "restart",
        "server-directed-shutdown-request",
    ];
    for (arguments, own) in [(&[][..], "comments"), (&["--callbacks"][..], "event-type-listeners")] {
        let harness = Harness::start(arguments).await;
        let answer: Value = harness.client.get(&harness.service_url).send().await.unwrap().json().await.unwrap();
        let expected: Vec<_> = common.into_iter().chain([own]).collect();
        assert_eq!(answer["capabilities"], json!(expected));
        // Then the harness sends it home.
        assert_eq!(
            harness.ask(Method::DELETE, &harness.service_url, Value::Null).await.status(),
            StatusCode::NO_CONTENT
        );
        drop(harness.client);
        harness.service.expect_end();
    }
}

#[tokio::test]
async fn reports_what_the_stream_tells_in_order() {
    let mut harness = Harness::start(&[]).await;
    let (stream, mut peer) = harness.create(json!({"lastEventId": "41", "headers": {"x-one": "1"}})).await;
    assert_eq!(peer.request().header("last-event-id"), Some("41"));
    assert_eq!(peer.request().header("x-one"), Some("1"));
    let long = "x".repeat(100_000);
    peer.send(format!(":Hello\ndata: a\n\nevent: greeting\nid: 42\ndata: {long}\n\n")).await.unwrap();
    assert_eq!(harness.report().await, json!({"kind": "comment", "comment": "Hello"}));
    harness.expect_event("message", "a", "41").await;
    harness.expect_event("greeting", &long, "42").await;
    for n in 0..100 {
        peer.send(format!("data: {n}\n\n")).await.unwrap();
    }
    for n in 0..100 {
        harness.expect_event("message", &n.to_string(), "42").await;
    }
    peer.end().await.unwrap();
    assert_eq!(harness.report().await["kind"], "error");
    let mut peer = harness.open().await;
    assert_eq!(peer.request().header("last-event-id"), Some("42"));
    assert_eq!(harness.ask(Method::DELETE, &stream, Value::Null).await.status(), StatusCode::NO_CONTENT);
    peer.closed().await;
    assert_eq!(harness.ask(Method::DELETE, &stream, Value::Null).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sends_the_request_that_it_was_told_to() {
    let harness = Harness::start(&[]).await;
    let request = json!({
        "method": "REPORT",
        "body": "{\"hello\": \"world\"}",
        "headers": {"content-type": "application/json; charset=utf-8"},
    });
    let (_stream, peer) = harness.create(request).await;
    assert_eq!((peer.request().method(), &peer.request().body()[..]), ("REPORT", &b"{\"hello\": \"world\"}"[..]));
    assert_eq!(peer.request().header("content-type"), Some("application/json; charset=utf-8"));
}

#[tokio::test]
async fn a_restart_goes_on_with_the_id_and_is_no_error() {
    for arguments in [&[][..], &["--callbacks"][..]] {
        let mut harness = Harness::start(arguments).await;
        let (stream, mut peer) = harness.create(json!({})).await;
        assert!(
            harness.command(&stream, json!({"command": "listen", "listen": {"type": "greeting"}})).await.is_success()
        );
        peer.send("id: 1\ndata: Hello\n\n").await.unwrap();
        harness.expect_event("message", "Hello", "1").await;
        assert!(harness.command(&stream, json!({"command": "restart"})).await.is_success());
        peer.closed().await;
        let mut peer = harness.open().await;
        assert_eq!(peer.request().header("last-event-id"), Some("1"));
        peer.send("event: greeting\ndata: Thanks\n\n").await.unwrap();
        harness.expect_event("greeting", "Thanks", "1").await;
    }
}

#[tokio::test]
async fn a_read_timeout_is_an_error_and_a_new_connection() {
    for arguments in [&[][..], &["--callbacks"][..]] {
        let mut harness = Harness::start(arguments).await;
        let (_stream, mut peer) = harness.create(json!({"readTimeoutMs": 500})).await;
        peer.send("data: Hello\n\n").await.unwrap();
        harness.expect_event("message", "Hello", "").await;
        assert_eq!(harness.report().await["kind"], "error");
        peer.closed().await;
        harness.open().await;
    }
}

#[tokio::test]
async fn callbacks_hear_the_types_that_they_were_told_to_listen_for() {
    let mut harness = Harness::start(&["--callbacks"]).await;
    let (stream, mut peer) = harness.create(json!({})).await;
    peer.send("event: greeting\ndata: too early\n\ndata: first\n\n").await.unwrap();
    harness.expect_event("message", "first", "").await;
    for event_type in ["greeting", "error", "message"] {
        let listen = json!({"command": "listen", "listen": {"type": event_type}});
        assert!(harness.command(&stream, listen).await.is_success());
    }
    peer.send(":unheard\nevent: greeting\ndata: Hello\n\nevent: error\ndata: mine\n\ndata: once\n\n").await.unwrap();
    harness.expect_event("greeting", "Hello", "").await;
    harness.expect_event("error", "mine", "").await;
    harness.expect_event("message", "once", "").await;
    peer.end().await.unwrap();
    assert_eq!(harness.report().await["kind"], "error");
    assert_eq!(harness.ask(Method::DELETE, &stream, Value::Null).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn status_204_and_a_redirect_to_nowhere_are_errors() {
    let mut harness = Harness::start(&[]).await;
    let callback = harness.reports.url("/callback");
    for script in [Script::status(204), Script::redirect(307, ""), Script::redirect(301, "")] {
        let server = ScriptedServer::start().await.unwrap().play([script]);
        let request = json!({"streamUrl": server.url("/"), "callbackUrl": callback});
        assert!(harness.ask(Method::POST, &harness.service_url, request).await.status().is_success());
        let request = harness.reports.request(harness.reports_seen).await.unwrap();
        harness.reports_seen += 1;
        let report: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!((request.target(), &report["kind"]), ("/callback/1", &json!("error")));
    }
}

#[tokio::test]
async fn what_is_invalid_is_400_and_what_is_unknown_404() {
    let harness = Harness::start(&[]).await;
    let service = &harness.service_url;
    let good = json!({"streamUrl": harness.streams.url("/"), "callbackUrl": harness.reports.url("/")});
    let with = |name: &str, value: Value| {
        let mut request = good.clone();
        request[name] = value;
        request
    };
    for request in [
        Value::Null,
        json!({}),
        json!({"streamUrl": "http://127.0.0.1/"}),
        with("streamUrl", json!("no URL")),
        with("callbackUrl", json!("no URL")),
        with("method", json!("no method")),
        with("headers", json!({"no name": "x"})),
        with("readTimeoutMs", json!("soon")),
        with("lastEventId", json!("a\nb")),
    ] {
        let answer = harness.ask(Method::POST, service, request.clone()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{request}");
    }
    let (stream, _peer) = harness.create(json!({})).await;
    for command in [Value::Null, json!({}), json!({"command": "dance"}), json!({"command": "listen"})] {
        assert_eq!(harness.command(&stream, command.clone()).await, StatusCode::BAD_REQUEST, "{command}");
    }
    let nowhere = format!("{service}/streams/99");
    assert_eq!(harness.command(&nowhere, json!({"command": "restart"})).await, StatusCode::NOT_FOUND);
    assert_eq!(harness.ask(Method::DELETE, &nowhere, Value::Null).await.status(), StatusCode::NOT_FOUND);
}
