//! Who may talk to a hub without keys: this machine, and pages that the operator allowed.

use fanfare_hub::{Hub, RunError};
use fanfare_log::Retention;
use reqwest::{Method, Response};
use tokio::net::TcpListener;

use crate::running::Running;

async fn with_origins(subscribe: &[&str], publish: &[&str]) -> Running {
    let parse = |origins: &[&str]| origins.iter().map(|origin| origin.parse().unwrap()).collect();
    let (subscribe, publish) = (parse(subscribe), parse(publish));
    Running::with(
        |settings| (settings.cors_origins, settings.publish_origins) = (subscribe, publish),
        Retention::default(),
    )
    .await
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn get(hub: &Running, origin: &str) -> Response {
    hub.get("/events").header("origin", origin).send().await.unwrap()
}

async fn post(hub: &Running, origin: &str) -> Response {
    hub.post("/events/a").header("origin", origin).body("x").send().await.unwrap()
}

async fn preflight(hub: &Running, origin: &str, method: &str) -> Response {
    let request = hub.client.request(Method::OPTIONS, hub.url("/events/a")).header("origin", origin);
    request.header("access-control-request-method", method).send().await.unwrap()
}

const LOCAL: &str = "http://localhost:8080";
const FRIEND: &str = "https://friend.example";
const STRANGER: &str = "https://stranger.example";
const ALLOW_ORIGIN: &str = "access-control-allow-origin";

#[tokio::test]
async fn pages_of_this_machine_may_do_both_and_others_neither() {
    let hub = with_origins(&[], &[]).await;
    assert_eq!(header(&get(&hub, LOCAL).await, ALLOW_ORIGIN), LOCAL);
    assert_eq!(post(&hub, LOCAL).await.status(), 200);
    for origin in [STRANGER, "null", "http://localhost.stranger.example"] {
        assert_eq!(header(&get(&hub, origin).await, ALLOW_ORIGIN), "");
        assert_eq!(header(&preflight(&hub, origin, "POST").await, ALLOW_ORIGIN), "");
        let refused = post(&hub, origin).await;
        assert_eq!((refused.status().as_u16(), header(&refused, ALLOW_ORIGIN)), (403, ""));
    }
    assert_eq!(hub.hub.figures().published, 1);
}

#[tokio::test]
async fn an_origin_that_may_subscribe_may_not_publish() {
    let hub = with_origins(&[FRIEND], &[]).await;
    let response = get(&hub, FRIEND).await;
    assert_eq!(header(&response, ALLOW_ORIGIN), FRIEND);
    assert_eq!(header(&response, "access-control-expose-headers"), "last-event-id,fanfare-node,x-request-id");
    assert!(header(&response, "vary").contains("origin"));
    assert_eq!(header(&preflight(&hub, FRIEND, "GET").await, ALLOW_ORIGIN), FRIEND);
    assert_eq!(header(&preflight(&hub, FRIEND, "POST").await, ALLOW_ORIGIN), "");
    assert_eq!(post(&hub, FRIEND).await.status(), 403);
    assert_eq!(header(&get(&hub, STRANGER).await, ALLOW_ORIGIN), "");
}

#[tokio::test]
async fn an_origin_that_may_publish_is_named_apart() {
    let hub = with_origins(&[], &[FRIEND]).await;
    let response = post(&hub, FRIEND).await;
    assert_eq!((response.status().as_u16(), header(&response, ALLOW_ORIGIN)), (200, FRIEND));
    let response = preflight(&hub, FRIEND, "POST").await;
    assert_eq!(header(&response, ALLOW_ORIGIN), FRIEND);
    assert!(header(&response, "access-control-allow-headers").contains("idempotency-key"));
    assert_eq!(header(&get(&hub, FRIEND).await, ALLOW_ORIGIN), "");
}

#[tokio::test]
async fn any_origin_is_a_star_as_in_the_tutorial() {
    let hub = with_origins(&["*"], &[]).await;
    assert_eq!(header(&get(&hub, STRANGER).await, ALLOW_ORIGIN), "*");
    assert_eq!(header(&hub.get("/events").send().await.unwrap(), ALLOW_ORIGIN), "*");
    assert_eq!(post(&hub, STRANGER).await.status(), 403);
}

#[tokio::test]
async fn a_name_that_is_not_this_machines_own_is_refused() {
    let hub = Running::start().await;
    let port = hub.address.port();
    for (host, status) in [
        (format!("localhost:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        (format!("stranger.example:{port}"), 421),
        ("localhost.stranger.example".to_owned(), 421),
        ("a b".to_owned(), 400),
    ] {
        let response = hub.get("/health/live").header("host", &host).send().await.unwrap();
        assert_eq!(response.status(), status, "{host}");
    }
}

#[tokio::test]
async fn a_hub_without_keys_does_not_listen_to_other_machines() {
    let hub = Hub::builder().build().await.unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = hub.run(listener, std::future::pending()).await.unwrap_err();
    assert!(matches!(error, RunError::Exposed(_)), "{error}");
}
