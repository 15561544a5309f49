//! Which pages of other origins a browser lets talk to the hub.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use crate::hub::Hub;
use crate::webdriver::Browser;

/// A name that is not this machine's own, though it leads here: what the web outside looks like.
const FOREIGN: &str = "foreign.test";

/// An empty page on a port of its own, which is another origin whatever the host's name.
pub(crate) async fn other_site() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let page = Router::new()
        .route("/", get(async || Html("<!doctype html><title>Elsewhere</title><link rel=icon href=data:,>")));
    tokio::spawn(axum::serve(listener, page).into_future());
    port
}

async fn open(url: &str) -> Browser {
    let browser = Browser::open_with(&[&format!("--host-resolver-rules=MAP {FOREIGN} 127.0.0.1")]).await;
    browser.go(url).await;
    browser
}

/// Whether the page that is open may subscribe: what becomes of a source.
async fn may_subscribe(browser: &Browser, hub: &Hub) -> bool {
    let script = "window.outcome = null; window.source = new EventSource('URL');\
                  source.onopen = () => { outcome = 'open'; }; source.onerror = () => { outcome = 'refused'; };";
    browser.run(&script.replace("URL", &hub.url("/events"))).await;
    let outcome = browser.until("outcome").await;
    // A refusal is for good; only a connection that broke is tried again.
    let state = browser.run("const state = source.readyState; source.close(); return state").await;
    assert_eq!(state, if outcome == "open" { 1 } else { 2 });
    outcome == "open"
}

/// What the page that is open learns of its publish, and whether there was one. A browser asks nobody before it sends
/// a plain POST, so it is the hub that must refuse.
async fn may_publish(browser: &Browser, hub: &Hub, mode: &str) -> (String, bool) {
    let before = hub.published().await;
    let script = "window.outcome = null; fetch('URL', { method: 'POST', body: 'x', mode: 'MODE' })\
                  .then((response) => { outcome = response.type + ' ' + response.status; }, () => { outcome = 'refused'; })";
    browser.run(&script.replace("URL", &hub.url("/events/t")).replace("MODE", mode)).await;
    let outcome = browser.until("outcome").await;
    (outcome.as_str().unwrap().to_owned(), hub.published().await > before)
}

#[tokio::test]
async fn a_foreign_page_may_do_nothing_by_default() {
    let hub = Hub::serve();
    let browser = open(&format!("http://{FOREIGN}:{}/", other_site().await)).await;
    assert!(!may_subscribe(&browser, &hub).await);
    assert_eq!(may_publish(&browser, &hub, "cors").await, ("refused".to_owned(), false));
    assert_eq!(may_publish(&browser, &hub, "no-cors").await, ("opaque 0".to_owned(), false));
}

#[tokio::test]
async fn an_allowed_page_may_do_what_it_is_allowed() {
    let port = other_site().await;
    let origin = format!("http://{FOREIGN}:{port}");
    let browser = open(&format!("{origin}/")).await;

    let reader = Hub::serve_with(&["--cors-origin", &origin]);
    assert!(may_subscribe(&browser, &reader).await);
    assert_eq!(may_publish(&browser, &reader, "cors").await, ("refused".to_owned(), false));
    assert_eq!(may_publish(&browser, &reader, "no-cors").await, ("opaque 0".to_owned(), false));

    let writer = Hub::serve_with(&["--publish-origin", &origin]);
    assert!(!may_subscribe(&browser, &writer).await);
    assert_eq!(may_publish(&browser, &writer, "cors").await, ("cors 200".to_owned(), true));

    let neighbour = Hub::serve_with(&["--cors-origin", &format!("http://{FOREIGN}"), "--cors-origin", "http://x.test"]);
    assert!(!may_subscribe(&browser, &neighbour).await);

    let anyone = Hub::demo();
    assert!(may_subscribe(&browser, &anyone).await);
}

#[tokio::test]
async fn a_page_of_this_machine_may_do_everything() {
    let (hub, port) = (Hub::serve(), other_site().await);
    for host in ["127.0.0.1", "localhost"] {
        let browser = open(&format!("http://{host}:{port}/")).await;
        assert!(may_subscribe(&browser, &hub).await, "{host}");
        assert_eq!(may_publish(&browser, &hub, "cors").await, ("cors 200".to_owned(), true), "{host}");
        browser.expect_clean_console().await;
    }
}

/// DNS rebinding: a foreign page makes its own name lead here, and the hub then is of its own origin to the browser.
#[tokio::test]
async fn a_rebound_name_is_refused() {
    let hub = Hub::serve();
    let port = hub.address.split_once(':').unwrap().1;
    let browser = open(&format!("http://{FOREIGN}:{port}/")).await;
    browser.run("window.outcome = null").await;
    for request in ["fetch('/metrics')", "fetch('/events')", "fetch('/events/t', { method: 'POST', body: 'x' })"] {
        browser.run(&format!("outcome = null; {request}.then((response) => {{ outcome = response.status; }})")).await;
        assert_eq!(browser.until("outcome").await, json!(421), "{request}");
    }
    assert_eq!(hub.published().await, 0);
}
