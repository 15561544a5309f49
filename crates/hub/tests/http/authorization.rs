//! Who may do what on a hub with keys, over HTTP.

use std::sync::Arc;

use fanfare_hub::{Algorithm, Authorization, Fetching, Hub, KeySource, RunError, Settings, Tokens, Verifier};
use reqwest::header::{AUTHORIZATION, COOKIE, ORIGIN, REFERER};
use reqwest::{RequestBuilder, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::running::{Running, Subscriber};
use crate::tokens::{NOW, PUBLISHER, SUBSCRIBER, both, hub, hub_with, publisher, signed, subscriber, verifier};

/// Every way to subscribe, and every way to publish on the topic `a`.
const SUBSCRIBE: [&str; 3] = ["/events", "/events/a", "/.well-known/mercure?topic=a"];
const PUBLISH: [&str; 3] = ["/events", "/events/a", "/.well-known/mercure"];

fn publish(hub: &Running, path: &str) -> RequestBuilder {
    let path_alone = path.split('?').next().unwrap();
    let (content_type, body) = match path_alone {
        "/events" => ("application/x-ndjson", r#"{"topic":"a","data":"x"}"#),
        "/.well-known/mercure" => ("application/x-www-form-urlencoded", "topic=a&data=x"),
        _ => ("text/plain", "x"),
    };
    hub.post(path).header("content-type", content_type).body(body)
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

fn challenge(response: &Response) -> &str {
    response.headers().get("www-authenticate").map_or("", |value| value.to_str().unwrap())
}

/// Bad tokens, and what their holder is told.
fn bad_tokens() -> Vec<(&'static str, String, &'static str)> {
    let everything = json!({ "publish": ["*"], "subscribe": ["*"] });
    vec![
        ("of a stranger", signed("a stranger's secret", &json!({ "mercure": everything })), "signature"),
        ("expired", signed(SUBSCRIBER, &json!({ "mercure": everything, "exp": NOW - 60 })), "expired"),
        ("about to expire", signed(SUBSCRIBER, &json!({ "mercure": everything, "exp": NOW + 1 })), "expired"),
        ("not yet valid", signed(SUBSCRIBER, &json!({ "mercure": everything, "nbf": NOW + 60 })), "not valid yet"),
        ("of another form", signed(SUBSCRIBER, &json!({ "mercure": { "subscribe": "*" } })), "claims"),
        ("with no selector", signed(SUBSCRIBER, &json!({ "mercure": { "subscribe": [""] } })), "selector"),
        ("with too many selectors", subscriber(&vec!["a"; 1001]), "too many selectors"),
        ("too long", subscriber(&["x".repeat(4000).as_str(); 4]), "longer than"),
        ("that is none", "nonsense".to_owned(), "JSON Web Token"),
        ("of publishers", publisher(&["*"]), "signature"),
    ]
}

#[tokio::test]
async fn without_a_token_nobody_does_anything() {
    let hub = hub(both()).await;
    let requests = SUBSCRIBE.map(|path| hub.get(path)).into_iter().chain(PUBLISH.map(|path| publish(&hub, path)));
    for request in requests.chain([hub.get("/console/types"), hub.client.head(hub.url("/events"))]) {
        let response = request.send().await.unwrap();
        assert_eq!((response.status().as_u16(), challenge(&response)), (401, "Bearer realm=\"fanfare\""));
    }
    assert_eq!(hub.hub.figures().published, 0);
    for path in ["/", "/health/live", "/health/ready", "/metrics"] {
        assert_eq!(status(hub.get(path)).await, 200, "{path}");
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_also_where_none_is_needed() {
    let hub = hub(both().with_anonymous()).await;
    for path in SUBSCRIBE {
        assert_eq!(status(hub.get(path)).await, 200);
        for (what, token, reason) in bad_tokens() {
            let response = hub.get(path).bearer_auth(&token).send().await.unwrap();
            let answer = (response.status().as_u16(), challenge(&response).to_owned());
            let expected = (401, "Bearer realm=\"fanfare\", error=\"invalid_token\"".to_owned());
            assert_eq!(answer, expected, "{what}");
            let text = response.text().await.unwrap();
            assert!(text.contains(reason) && !text.contains(&token), "{what}: {text}");
        }
    }
    for value in ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "nonsense"] {
        assert_eq!(status(hub.get("/events").header(AUTHORIZATION, value)).await, 401, "{value}");
    }
}

#[tokio::test]
async fn a_token_publishes_what_it_allows_and_nothing_else() {
    let hub = hub(both()).await;
    for path in PUBLISH {
        for selectors in [&["a"][..], &["*"], &["{x}"], &["z", "a"]] {
            assert_eq!(status(publish(&hub, path).bearer_auth(publisher(selectors))).await, 200, "{path}");
        }
        let before = hub.hub.figures().published;
        for token in [publisher(&[]), publisher(&["b"]), publisher(&["A"]), signed(PUBLISHER, &json!({}))] {
            let response = publish(&hub, path).bearer_auth(token).send().await.unwrap();
            assert_eq!(response.status(), 403, "{path}");
            assert!(challenge(&response).contains("insufficient_scope"));
        }
        for (what, token, _) in bad_tokens().into_iter().filter(|(what, ..)| *what != "of publishers") {
            assert_eq!(status(publish(&hub, path).bearer_auth(&token)).await, 401, "{path} {what}");
        }
        // A good token for subscribers, which even says that it may publish.
        let token = signed(SUBSCRIBER, &json!({ "mercure": { "publish": ["*"], "subscribe": ["*"] } }));
        assert_eq!(status(publish(&hub, path).bearer_auth(token)).await, 401);
        assert_eq!(hub.hub.figures().published, before, "{path}");
    }
}

#[tokio::test]
async fn every_topic_and_every_event_of_a_batch_must_be_allowed() {
    let hub = hub(both()).await;
    let token = publisher(&["a", "b/{x}"]);
    let post = async |path: &str, content_type: &str, body: &str| {
        status(hub.post(path).header("content-type", content_type).bearer_auth(&token).body(body.to_owned())).await
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(post("/.well-known/mercure", form, "topic=a&topic=b/1").await, 200);
    assert_eq!(post("/.well-known/mercure", form, "topic=a&topic=c").await, 403);
    let lines = "application/x-ndjson";
    assert_eq!(post("/events", lines, "{\"topic\":\"a\"}\n{\"topic\":[\"b/1\",\"a\"]}").await, 200);
    assert_eq!(post("/events", lines, "{\"topic\":\"a\"}\n{\"topic\":[\"b/1\",\"c\"]}\n{\"topic\":\"a\"}").await, 403);
    assert_eq!(hub.hub.figures().published, 3);
}

#[tokio::test]
async fn the_key_of_publishers_also_serves_subscribers_who_have_none() {
    let hub = hub(Tokens::of_publishers(verifier(PUBLISHER))).await;
    let token = signed(PUBLISHER, &json!({ "mercure": { "subscribe": ["a"] } }));
    assert_eq!(status(hub.get("/events").bearer_auth(&token)).await, 200);
    assert_eq!(status(hub.get("/events").bearer_auth(publisher(&["a"]))).await, 200);
    assert_eq!(status(hub.get("/events").bearer_auth(subscriber(&["a"]))).await, 401);
    assert_eq!(status(hub.get("/events")).await, 401);
    assert_eq!(status(publish(&hub, "/events").bearer_auth(&token)).await, 403);
}

#[tokio::test]
async fn a_key_of_subscribers_alone_lets_nobody_publish() {
    let hub = hub(Tokens::of_subscribers(verifier(SUBSCRIBER))).await;
    let token = signed(SUBSCRIBER, &json!({ "mercure": { "publish": ["*"], "subscribe": ["*"] } }));
    for path in PUBLISH {
        assert_eq!(status(publish(&hub, path)).await, 403);
        assert_eq!(status(publish(&hub, path).bearer_auth(&token)).await, 403);
        assert_eq!(status(publish(&hub, path).bearer_auth("nonsense")).await, 403);
    }
    assert_eq!(hub.hub.figures().published, 0);
    assert_eq!(status(hub.get("/events").bearer_auth(&token)).await, 200);
}

/// The header, else the query, else the cookie; the first that is there decides.
#[tokio::test]
async fn a_token_comes_in_one_of_three_ways() {
    let hub = hub(both()).await;
    let good = subscriber(&["a"]);
    let cookie = |token: &str| format!("theme=dark; mercureAuthorization={token}");
    for path in SUBSCRIBE {
        let and = if path.contains('?') { '&' } else { '?' };
        let with_query = |token: &str| hub.get(&format!("{path}{and}authorization={token}"));
        for (request, expected) in [
            (hub.get(path).bearer_auth(&good), 200),
            (with_query(&good), 200),
            (hub.get(path).header(COOKIE, cookie(&good)), 200),
            (hub.get(path).header("cookie", "theme=dark").header("cookie", cookie(&good)), 200),
            (with_query("bad").bearer_auth(&good).header(COOKIE, cookie("bad")), 200),
            (with_query(&good).header(COOKIE, cookie("bad")), 200),
            (with_query(&good).bearer_auth("bad"), 401),
            (with_query("bad").header(COOKIE, cookie(&good)), 401),
            (hub.get(path).header(COOKIE, cookie("bad")), 401),
            (hub.get(path).header(COOKIE, format!("MercureAuthorization={good}")), 401),
            (hub.get(path).bearer_auth(&good).bearer_auth(&good), 401),
            (with_query(&format!("{good}&authorization={good}")), 400),
        ] {
            assert_eq!(status(request).await, expected, "{path}");
        }
    }
    let token = publisher(&["a"]);
    for path in PUBLISH {
        assert_eq!(status(publish(&hub, &format!("{path}?authorization={token}"))).await, 200);
        assert_eq!(status(publish(&hub, &format!("{path}?authorization={token}")).bearer_auth("bad")).await, 401);
    }
}

#[tokio::test]
async fn the_cookie_may_have_another_name() {
    let hub = hub(both().with_cookie_name("session").unwrap()).await;
    let good = subscriber(&["a"]);
    assert_eq!(status(hub.get("/events").header(COOKIE, format!("session={good}"))).await, 200);
    assert_eq!(status(hub.get("/events").header(COOKIE, format!("mercureAuthorization={good}"))).await, 401);
    for name in ["", "a b", "a=b", "a;b", "é", "a\n"] {
        assert!(both().with_cookie_name(name).is_err(), "{name:?}");
    }
}

/// A browser sends the cookie with whatever any page posts to the hub.
#[tokio::test]
async fn a_cookie_publishes_only_for_pages_that_may() {
    let friend = "https://friend.example";
    let hub = hub_with(both(), |settings| {
        settings.publish_origins = vec![friend.parse().unwrap(), "*".parse().unwrap()];
    })
    .await;
    let own = format!("http://{}", hub.address);
    let cookie = format!("mercureAuthorization={}", publisher(&["a"]));
    for path in PUBLISH {
        for (header, value, expected) in [
            (ORIGIN, own.clone(), 200),
            (ORIGIN, own.replace("http:", "https:"), 200),
            (ORIGIN, friend.to_owned(), 200),
            (REFERER, format!("{own}/page?x=y"), 200),
            (REFERER, format!("{friend}/page"), 200),
            (ORIGIN, "https://stranger.example".to_owned(), 403),
            (ORIGIN, "null".to_owned(), 403),
            (ORIGIN, String::new(), 403),
            (ORIGIN, "http://localhost:1".to_owned(), 403),
            (ORIGIN, format!("{own}.stranger.example"), 403),
            (ORIGIN, format!("ftp://{}", hub.address), 403),
            (REFERER, format!("https://stranger.example/{friend}"), 403),
            (REFERER, format!("{}@stranger.example/", own), 403),
            (REFERER, format!("https://user@{}/", &friend["https://".len()..]), 403),
            (REFERER, "/page".to_owned(), 403),
            (REFERER, "about:blank".to_owned(), 403),
        ] {
            let request = publish(&hub, path).header(COOKIE, &cookie).header(&header, &value);
            assert_eq!(status(request).await, expected, "{path} {header}: {value}");
        }
        assert_eq!(status(publish(&hub, path).header(COOKIE, &cookie)).await, 403, "nobody says which page it is");
        let both = publish(&hub, path).header(COOKIE, &cookie).header(ORIGIN, "https://stranger.example");
        assert_eq!(status(both.header(REFERER, friend)).await, 403, "the Origin decides");
        // What no browser sends by itself needs no origin.
        let token = publisher(&["a"]);
        let stranger = publish(&hub, path).bearer_auth(&token).header(ORIGIN, "https://stranger.example");
        assert_eq!(status(stranger).await, 200);
    }
}

#[tokio::test]
async fn who_is_anonymous_gets_what_is_public() {
    let hub = hub(both().with_anonymous()).await;
    let mut anonymous = hub.subscribe("/events").await;
    let mut holder = hub.subscribe_with("/events", &subscriber(&["a"])).await;
    let token = publisher(&["*"]);
    for (topic, private) in [("a", ""), ("a", "?private"), ("b", "?private"), ("b", "")] {
        let path = format!("/events/{topic}{private}");
        assert_eq!(status(hub.post(&path).bearer_auth(&token).body(path.clone())).await, 200);
    }
    assert_eq!(anonymous.data(2).await, ["/events/a", "/events/b"]);
    assert_eq!(holder.data(3).await, ["/events/a", "/events/a?private", "/events/b"]);
}

/// The ids that others chose are none of the holder's business, nor is its publish theirs.
#[tokio::test]
async fn an_idempotency_key_belongs_to_its_holder() {
    let hub = hub(both()).await;
    let publish = async |token: &str, topic: &str| {
        let request = hub.post(&format!("/events/{topic}?id={topic}-id")).header("idempotency-key", "same");
        request.bearer_auth(token).body("x").send().await.unwrap().text().await.unwrap()
    };
    let (alice, bob) = (publisher(&["alice"]), publisher(&["bob"]));
    assert_eq!(publish(&alice, "alice").await, "alice-id");
    assert_eq!(publish(&bob, "bob").await, "bob-id");
    // A new token with the same claims is the same holder.
    let renewed = signed(PUBLISHER, &json!({ "mercure": { "publish": ["alice"] }, "exp": NOW + 60 }));
    assert_eq!(publish(&renewed, "alice").await, "alice-id");
    assert_eq!(hub.hub.figures().published, 2);
}

fn allowed(response: &Response) -> (&str, &str) {
    let header = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap());
    (header("access-control-allow-origin"), header("access-control-allow-credentials"))
}

#[tokio::test]
async fn cookies_cross_origins_only_for_pages_that_are_named() {
    let (friend, stranger) = ("https://friend.example", "https://stranger.example");
    let parse = |origins: &[&str]| origins.iter().map(|origin| origin.parse().unwrap()).collect::<Vec<_>>();
    let table: [(&[&str], &str, (&str, &str)); 6] = [
        (&[friend], friend, (friend, "true")),
        (&[friend], stranger, ("", "")),
        (&[], "http://localhost:3000", ("", "")),
        (&["*"], stranger, ("*", "")),
        (&["*", friend], friend, (friend, "true")),
        (&["*", friend], stranger, (stranger, "")),
    ];
    for (origins, origin, expected) in table {
        let hub = hub_with(both(), |settings| {
            (settings.cors_origins, settings.publish_origins) = (parse(origins), parse(origins));
        })
        .await;
        let response = hub.get("/events").bearer_auth(subscriber(&[])).header(ORIGIN, origin).send().await.unwrap();
        assert_eq!(allowed(&response), expected, "{origins:?} {origin}");
        let post = hub.post("/events/a").bearer_auth(publisher(&["a"])).header(ORIGIN, origin).send().await.unwrap();
        let (got, credentials) = allowed(&post);
        let any_or_one = got == expected.0 || expected.0 == "*" && got == origin;
        assert!(any_or_one && credentials == expected.1, "{origins:?} {origin}: {got} {credentials}");
    }
}

/// Behind a proxy it has any name. Cookies are bound to the name, so that rebinding it brings a foreign page nothing.
#[tokio::test]
async fn a_hub_with_keys_answers_to_any_name() {
    let hub = hub(both()).await;
    let request = hub.get("/events").header("host", "hub.example").bearer_auth(subscriber(&["a"]));
    assert_eq!(status(request).await, 200);
}

#[tokio::test]
async fn a_hub_listens_to_other_machines_only_if_a_key_says_who_publishes() {
    let address = "0.0.0.0:0".parse().unwrap();
    let may_listen = |tokens| {
        let mut settings = Settings::default();
        settings.authorization = Authorization::Tokens(tokens);
        settings.may_listen(address)
    };
    assert!(may_listen(both()).is_ok());
    assert!(may_listen(Tokens::of_publishers(verifier(PUBLISHER)).with_anonymous()).is_ok());
    assert!(matches!(may_listen(Tokens::of_subscribers(verifier(SUBSCRIBER))), Err(RunError::Exposed(_))));

    let mut settings = Settings::default();
    settings.authorization = Authorization::Tokens(both());
    let hub = Hub::builder().settings(settings).build().await.unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    hub.run(listener, std::future::ready(())).await.unwrap();
}

/// An issuer that takes its time.
#[derive(Debug)]
struct SlowIssuer(Arc<Notify>);

impl KeySource for SlowIssuer {
    fn fetch(&self, _: usize) -> Fetching<'_> {
        Box::pin(async {
            self.0.notified().await;
            // `SUBSCRIBER` as base64.
            let key = "dGhlIHN1YnNjcmliZXJzJyBzZWNyZXQgb2YgMzIgYnl0ZXMgb3IgbW9yZQ";
            Ok(json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": key }] }).to_string().into_bytes())
        })
    }
}

/// A shard waits for nobody: such a subscriber goes on with hyper, and gets its stream when there are keys.
#[tokio::test]
async fn a_subscriber_waits_for_keys_that_are_on_their_way() {
    let release = Arc::new(Notify::new());
    let verifier = Verifier::published(SlowIssuer(release.clone()), Some(Algorithm::HS256));
    let hub = hub(Tokens::of_subscribers(verifier)).await;
    let waiting = hub.get("/events").bearer_auth(subscriber(&["a"])).send();
    let also_waiting = hub.get("/events").bearer_auth("nonsense").send();
    let (answers, ()) = tokio::join!(async { tokio::join!(waiting, also_waiting) }, async {
        // Others are served meanwhile.
        assert_eq!(status(hub.get("/events")).await, 401);
        release.notify_one();
    });
    assert_eq!((answers.0.unwrap().status().as_u16(), answers.1.unwrap().status().as_u16()), (200, 401));
    assert_eq!(status(hub.get("/events").bearer_auth(subscriber(&["a"]))).await, 200);
}

/// Inside another application the same tokens count, on its paths.
#[tokio::test]
async fn a_nested_hub_asks_for_tokens_too() {
    let mut settings = Settings::default();
    settings.authorization = Authorization::Tokens(both());
    let hub = Hub::builder().settings(settings).build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/below", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, axum::Router::new().nest("/below/", hub.router())).into_future());
    let client = reqwest::Client::new();
    assert_eq!(status(client.get(format!("{url}/events"))).await, 401);
    assert_eq!(status(client.post(format!("{url}/events/a")).body("x")).await, 401);
    let mut subscriber =
        Subscriber::new(client.get(format!("{url}/events")).bearer_auth(subscriber(&["a"])).send().await.unwrap());
    let publish = client.post(format!("{url}/events/a?private")).bearer_auth(publisher(&["a"])).body("x");
    assert_eq!(status(publish).await, 200);
    assert_eq!(subscriber.data(1).await, ["x"]);
}
