//! An application that says who may do what, and takes it back.

use std::time::Duration;

use fanfare_hub::{Access, Authorization, Grant, Hub, Refusal, Revocation, Selector, Settings, Tls, Topic, Update};
use fanfare_log::Retention;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::http2::frames::{self, Peer};
use crate::running::{PATIENCE, Running, Subscriber};

const ALL_SUBSCRIPTIONS: &str = "/.well-known/mercure/subscriptions{/topic}{/subscriber}";

/// Users by the header `x-user`; Ada's session ends with `session`.
pub(crate) fn application(session: &Revocation) -> Authorization {
    let session = session.clone();
    Authorization::asking(move |request| {
        let session = session.clone();
        async move {
            // It is not there at once, as an answer of a database is not.
            tokio::task::yield_now().await;
            let user = request.headers.get("x-user").map(|name| name.to_str().unwrap());
            match user {
                None => return Err(Refusal::unauthorized("log in first")),
                Some("basic") => {
                    let challenge = http::HeaderValue::from_static("Basic realm=\"x\"");
                    return Err(Refusal::unauthorized("with a password").with_challenge(challenge));
                }
                Some("banned") => return Err(Refusal::forbidden("you are banned")),
                Some("later") => return Err(Refusal::unavailable("no sessions now")),
                Some("wrong") => return Ok(Access::from(Grant::default().with_publish([""])?)),
                Some("never") => std::future::pending().await,
                Some(_) => {}
            }
            let name = user.unwrap_or_default();
            let own = Selector::from(Topic::new(&format!("users/{name}")).unwrap());
            let selectors = [own, ALL_SUBSCRIPTIONS.parse().unwrap()];
            let grant = Grant::default().with_publish(["rooms/{room}"])?.with_subscribe(selectors)?;
            let access = Access::from(grant).with_payload(&json!({ "name": name }));
            Ok(match name {
                "ada" => access.until(&session),
                "short" => access.expires_in(Duration::from_secs(60)),
                "shorter" => access.expires_in(Duration::from_secs(4)),
                "brief" => access.expires_in(Duration::from_secs(1)),
                "until" => access.expires_at(std::time::UNIX_EPOCH + Duration::from_secs(1)),
                "bearer" => access.from_any_page(),
                _ => access,
            })
        }
    })
}

pub(crate) async fn hub(session: &Revocation) -> Running {
    hub_with(session, |_| {}).await
}

async fn hub_with(session: &Revocation, set: impl FnOnce(&mut Settings)) -> Running {
    let set = |settings: &mut Settings| {
        settings.authorization = application(session);
        settings.subscriptions = true;
        set(settings);
    };
    Running::with(set, Retention::default()).await
}

async fn private(hub: &Hub, topic: &str, data: &str) {
    hub.publish(Update::new(Topic::new(topic).unwrap(), data).private()).await.unwrap();
}

fn as_user(request: RequestBuilder, user: &str) -> RequestBuilder {
    if user.is_empty() { request } else { request.header("x-user", user) }
}

async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let document: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (status, document["detail"].as_str().unwrap().to_owned())
}

const REFUSALS: [(&str, u16, &str); 5] = [
    ("", 401, "log in first"),
    ("basic", 401, "with a password"),
    ("banned", 403, "you are banned"),
    ("later", 503, "no sessions now"),
    ("wrong", 500, "what you may do could not be found out"),
];

#[tokio::test]
async fn every_path_asks_it_and_tells_what_it_says() {
    let hub = hub(&Revocation::new()).await;
    let form = "application/x-www-form-urlencoded";
    for (user, status, reason) in REFUSALS {
        let requests = [
            hub.get("/events"),
            hub.get("/events/a"),
            hub.get("/events").header("connection", "close"),
            hub.get("/.well-known/mercure?topic=a"),
            hub.get("/.well-known/mercure/subscriptions"),
            hub.get("/console/types"),
            hub.post("/events/rooms/1").body("x"),
            hub.post("/events").header("content-type", "application/x-ndjson").body("{\"topic\":\"rooms/1\"}"),
            hub.post("/.well-known/mercure").header("content-type", form).body("topic=rooms/1&data=x"),
            hub.post("/events/rooms/1").body("x".repeat(100_000)),
        ];
        for request in requests {
            let response = as_user(request, user).send().await.unwrap();
            let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
            let expected = match user {
                "" => Some("Session realm=\"fanfare\""),
                "basic" => Some("Basic realm=\"x\""),
                _ => None,
            };
            let url = response.url().clone();
            assert_eq!(challenge.as_deref(), expected, "{user} {url}");
            assert_eq!(problem(response).await, (status, reason.to_owned()), "{user} {url}");
        }
    }
    assert_eq!(hub.hub.figures().published, 0);
    assert_eq!(hub.hub.figures().subscribers, 0);
}

#[tokio::test]
async fn an_event_source_that_is_refused_for_now_is_told_to_come_back() {
    let hub = hub(&Revocation::new()).await;
    let request = hub.get("/events").header("accept", "text/event-stream").header("x-user", "later");
    let mut refused = Subscriber::new(request.send().await.unwrap());
    assert_eq!(refused.response.status(), 200);
    assert_eq!(refused.next().await, None);
    assert!(refused.retry.is_some());
}

/// With the clock paused nobody waits.
#[tokio::test(start_paused = true)]
async fn an_application_that_never_answers_is_not_waited_for() {
    let hub = hub(&Revocation::new()).await;
    for more in ["", "Connection: close\r\n"] {
        let mut stream = hub.connect().await;
        let head = format!("GET /events HTTP/1.1\r\nHost: localhost\r\nX-User: never\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        timeout(PATIENCE * 60, stream.read_exact(&mut status)).await.unwrap().unwrap();
        assert_eq!(&status, b"HTTP/1.1 503");
    }
}

#[tokio::test]
async fn a_grant_counts_on_every_path() {
    let hub = hub(&Revocation::new()).await;
    let mut streams = Vec::new();
    for request in [
        hub.get("/events"),
        hub.get("/events").header("connection", "close"),
        hub.get("/.well-known/mercure?topic=*"),
        // One who watches subscriptions is on the general path.
        hub.get("/events?topic=users/bo&topic=users/ada"),
    ] {
        streams.push(Subscriber::new(as_user(request, "bo").send().await.unwrap()));
    }
    private(&hub.hub, "users/ada", "hers").await;
    private(&hub.hub, "users/bo", "his").await;
    for stream in &mut streams {
        let seen = loop {
            let got = stream.next().await.unwrap();
            // Some are told who is subscribed.
            if !got.data.starts_with('{') {
                break got.data;
            }
        };
        assert_eq!(seen, "his");
    }
    let list = as_user(hub.get("/.well-known/mercure/subscriptions/users%2Fbo"), "bo").send().await.unwrap();
    let list: Value = serde_json::from_str(&list.text().await.unwrap()).unwrap();
    assert_eq!(list["subscriptions"][0]["payload"], json!({ "name": "bo" }));

    assert_eq!(as_user(hub.post("/events/rooms/1").body("x"), "bo").send().await.unwrap().status(), 200);
    let refused = as_user(hub.post("/events/users/ada").body("x"), "bo").send().await.unwrap();
    let expected = "you may not publish on every one of these topics".to_owned();
    assert_eq!(problem(refused).await, (403, expected));
}

#[tokio::test]
async fn a_foreign_page_can_not_publish_with_what_its_visitors_browser_sends() {
    let named = "https://named.example";
    let set = |settings: &mut Settings| settings.publish_origins = vec![named.parse().unwrap(), "*".parse().unwrap()];
    let hub = hub_with(&Revocation::new(), set).await;
    let own = format!("http://{}", hub.address);
    let page = format!("{own}/page");
    let check = async |user: &str, headers: &[(&str, &str)], expected: u16| {
        let mut request = as_user(hub.post("/events/rooms/1").body("x"), user);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.unwrap().status(), expected, "{user} {headers:?}");
    };
    check("bo", &[], 200).await;
    check("bo", &[("origin", &own)], 200).await;
    check("bo", &[("origin", named)], 200).await;
    check("bo", &[("cookie", "session=1"), ("referer", &page)], 200).await;
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "http://localhost")],
        &[("cookie", "session=1")],
        &[("cookie", "session=1"), ("origin", "https://evil.example")],
        &[("referer", "https://evil.example/page")],
    ] {
        check("bo", headers, 403).await;
        check("bearer", headers, 200).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_what_was_granted_does() {
    let hub = hub(&Revocation::new()).await;
    for more in ["", "Connection: close\r\n"] {
        let mut stream = hub.connect().await;
        let head = format!("GET /events/a HTTP/1.1\r\nHost: localhost\r\nX-User: short\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        timeout(PATIENCE * 60, stream.read_to_end(&mut seen)).await.expect("it ends").unwrap();
        let text = String::from_utf8(seen).unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n0\r\n\r\n"), "{text}");
    }
    let over = as_user(hub.get("/events"), "until").send().await.unwrap();
    assert_eq!(problem(over).await, (401, "what you were granted has ended".to_owned()));
}

/// A stream needs time to end cleanly, and a publish none.
#[tokio::test]
async fn who_has_a_second_left_may_publish() {
    let hub = hub(&Revocation::new()).await;
    for (user, status) in [("brief", 200), ("until", 401)] {
        let published = as_user(hub.post("/events/rooms/1").body("x"), user).send().await.unwrap();
        assert_eq!(published.status(), status, "{user}");
        let listed = as_user(hub.get("/console/types"), user).send().await.unwrap();
        assert_eq!(listed.status(), status, "{user}");
    }
    let stream = as_user(hub.get("/events"), "brief").send().await.unwrap();
    assert_eq!(problem(stream).await, (401, "what you were granted has ended".to_owned()));
}

#[tokio::test]
async fn streams_end_at_once_when_a_session_does_and_nobody_elses() {
    let session = Revocation::new();
    let hub = hub(&session).await;
    let mut streams = Vec::new();
    for request in [
        hub.get("/events/rooms/1"),
        hub.get("/events/rooms/1?lastEventID=earliest"),
        hub.get("/events/rooms/1").header("connection", "close"),
        hub.get("/events?topic=*"),
    ] {
        streams.push(Subscriber::new(as_user(request, "ada").send().await.unwrap()));
    }
    let mut others = Subscriber::new(as_user(hub.get("/events/rooms/1"), "bo").send().await.unwrap());
    hub.publish("rooms/1", "before").await;
    for stream in &mut streams {
        while stream.next().await.unwrap().data != "before" {}
    }
    session.revoke();
    for stream in &mut streams {
        assert_eq!(stream.next().await, None);
    }
    let again = as_user(hub.get("/events/rooms/1"), "ada").send().await.unwrap();
    assert_eq!(problem(again).await, (401, "what you were granted has ended".to_owned()));
    let publish = as_user(hub.post("/events/rooms/1").body("x"), "ada").send().await.unwrap();
    assert_eq!(publish.status(), 401);
    hub.publish("rooms/1", "after").await;
    assert_eq!(others.data(2).await, ["before", "after"]);
    assert_eq!(hub.hub.figures().subscribers, 1);
}

/// The end of a chunked body shows that it was not cut.
#[tokio::test]
async fn a_stream_that_is_revoked_ends_whole() {
    for more in ["", "Connection: close\r\n"] {
        let session = Revocation::new();
        let hub = hub(&session).await;
        let mut stream = hub.connect().await;
        let head = format!("GET /events/a HTTP/1.1\r\nHost: localhost\r\nX-User: ada\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut seen = vec![0; 12];
        stream.read_exact(&mut seen).await.unwrap();
        session.revoke();
        timeout(PATIENCE, stream.read_to_end(&mut seen)).await.unwrap().unwrap();
        let text = String::from_utf8(seen).unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n0\r\n\r\n"), "{more:?} {text}");
    }
}

/// Whoever does not read is not waited for.
#[tokio::test(start_paused = true)]
async fn a_subscriber_who_does_not_read_is_cut_off_when_its_session_ends() {
    let session = Revocation::new();
    let hub = hub(&session).await;
    let mut streams = Vec::new();
    for more in ["", "Connection: close\r\n"] {
        let mut stream = hub.connect().await;
        let head = format!("GET /events/a HTTP/1.1\r\nHost: localhost\r\nX-User: ada\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        streams.push(stream);
    }
    let large = "x".repeat(1 << 20);
    for _ in 0..20 {
        hub.publish("a", large.clone()).await;
    }
    session.revoke();
    hub.publish("a", "too late").await;
    for mut stream in streams {
        let mut seen = Vec::new();
        // A reset is an end too.
        let _ = timeout(PATIENCE * 60, stream.read_to_end(&mut seen)).await.expect("it ends");
        let text = String::from_utf8_lossy(&seen);
        assert!(!text.contains("too late") && seen.len() < 20 << 20, "{} bytes", seen.len());
    }
}

#[tokio::test]
async fn a_stream_of_http2_is_revoked_and_those_beside_it_go_on() {
    let session = Revocation::new();
    let hub = hub(&session).await;
    let mut peer = Peer::connect(hub.address, 65_535).await;
    for (stream, user) in [(1, "ada"), (3, "bob")] {
        let head = [frames::subscription(), [&b"\0\x06x-user\x03"[..], user.as_bytes()].concat()].concat();
        peer.ask(stream, &head).await;
        peer.hear_data(stream).await;
    }
    session.revoke();
    let (payload, is_last) = peer.hear_data(1).await;
    assert!(payload.is_empty() && is_last);
    hub.publish("a", "for bob").await;
    let (payload, is_last) = peer.hear_data(3).await;
    assert!(String::from_utf8(payload).unwrap().contains("for bob") && !is_last);
}

#[tokio::test]
async fn a_stream_over_tls_is_revoked() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let tls = Tls::new(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes()).unwrap();
    let session = Revocation::new();
    let mut settings = Settings::default();
    settings.authorization = application(&session);
    let hub = Hub::builder().settings(settings).build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/events/users/ada", listener.local_addr().unwrap());
    tokio::spawn({
        let hub = hub.clone();
        async move { hub.run_tls(listener, tls, std::future::pending()).await }
    });
    let authority = reqwest::Certificate::from_pem(cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let mut stream = Subscriber::new(client.get(url).header("x-user", "ada").send().await.unwrap());
    private(&hub, "users/ada", "hers").await;
    assert_eq!(stream.data(1).await, ["hers"]);
    session.revoke();
    assert_eq!(stream.next().await, None);
}
