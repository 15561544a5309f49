//! Pages that are logged in by a cookie, as an application beside its hub has them: `app.site.test`, `hub.site.test`.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::hub::Hub;
use crate::origin::other_site;
use crate::webdriver::{Browser, PATIENCE};

pub(crate) const KEY: &str = "a secret of more than thirty-two bytes";

pub(crate) fn token(claims: &Value) -> String {
    encode(&Header::default(), &json!({ "mercure": claims }), &EncodingKey::from_secret(KEY.as_bytes())).unwrap()
}

async fn open(url: &str) -> Browser {
    let rules = "--host-resolver-rules=MAP *.site.test 127.0.0.1, MAP stranger.test 127.0.0.1";
    let browser = Browser::open_with(&[rules]).await;
    browser.go(url).await;
    browser
}

/// The hub under its name in the site.
fn named(hub: &Hub, path: &str) -> String {
    hub.url(path).replace("127.0.0.1", "hub.site.test")
}

/// What the application's login would answer with.
async fn log_in(browser: &Browser, claims: &Value) {
    let cookie = format!("mercureAuthorization={}; Domain=site.test; Path=/; SameSite=Strict", token(claims));
    browser.run(&format!("document.cookie = '{cookie}'")).await;
}

/// Subscribes with the cookie, and gives what becomes of it: `open` or `refused`.
async fn subscribe(browser: &Browser, url: &str) -> String {
    let script = "window.outcome = null; window.received = []; window.source = new EventSource('URL', { withCredentials: true });\
                  source.onmessage = (event) => received.push(event.data);\
                  source.onopen = () => { outcome = 'open'; }; source.onerror = () => { outcome = 'refused'; };";
    browser.run(&script.replace("URL", url)).await;
    browser.until("outcome").await.as_str().unwrap().to_owned()
}

/// Publishes as the application's server does.
pub(crate) async fn publish(hub: &Hub, path: &str, data: &str) {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let request = client.post(hub.url(path)).bearer_auth(token(&json!({ "publish": ["*"] }))).body(data.to_owned());
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn each_user_gets_their_own_private_updates() {
    let port = other_site().await;
    let origin = format!("http://app.site.test:{port}");
    let hub = Hub::serve_with(&["--publisher-key", KEY, "--cors-origin", &origin]);
    let (alice, bob) = (open(&format!("{origin}/")).await, open(&format!("{origin}/")).await);
    for (browser, user) in [(&alice, "alice"), (&bob, "bob")] {
        log_in(browser, &json!({ "subscribe": [format!("users/{user}/{{+any}}")] })).await;
        assert_eq!(subscribe(browser, &named(&hub, "/.well-known/mercure?topic=*")).await, "open");
    }
    for data in ["alice", "bob", "nobody"] {
        publish(&hub, &format!("/events/users/{data}/messages?private"), data).await;
    }
    publish(&hub, "/events/news", "for all").await;
    for (browser, user) in [(&alice, "alice"), (&bob, "bob")] {
        browser.until("received.includes('for all')").await;
        assert_eq!(browser.run("return received").await, json!([user, "for all"]));
        browser.expect_clean_console().await;
    }
}

#[tokio::test]
async fn a_page_of_the_hubs_own_origin_subscribes_and_publishes_with_its_cookie() {
    let hub = Hub::serve_with(&["--publisher-key", KEY]);
    let browser = open(&named(&hub, "/health/live")).await;
    let publish = async || {
        browser.run("window.status = ''; fetch('/events/a', { method: 'POST', body: 'x' }).then((response) => { window.status = response.status; })").await;
        browser.until("window.status").await
    };
    assert_eq!(subscribe(&browser, "/events").await, "refused");
    assert_eq!(publish().await, "401");
    log_in(&browser, &json!({ "publish": ["a"], "subscribe": [] })).await;
    assert_eq!(subscribe(&browser, "/events").await, "open");
    assert_eq!(publish().await, "200");
    browser.until("received.includes('x')").await;
}

#[tokio::test]
async fn a_named_page_of_another_origin_publishes_with_the_cookie() {
    let port = other_site().await;
    let origin = format!("http://app.site.test:{port}");
    let hub = Hub::serve_with(&["--publisher-key", KEY, "--publish-origin", &origin]);
    let browser = open(&format!("{origin}/")).await;
    log_in(&browser, &json!({ "publish": ["a"] })).await;
    // The type of event is a header that the browser asks about first.
    let script = "window.outcome = null; fetch('URL', { method: 'POST', body: 'x', credentials: 'include', headers: { 'Event-Type': 't' } })\
                  .then((response) => { outcome = response.status; }, () => { outcome = 'refused'; })";
    for (path, expected) in [("/events/a", 200), ("/events/b", 403)] {
        browser.run(&script.replace("URL", &named(&hub, path))).await;
        assert_eq!(browser.until("outcome").await, json!(expected));
    }
    assert_eq!(hub.published().await, 1);
}

/// The cookie goes along with what any page of the site asks for, so it is for the hub to say which page may.
#[tokio::test]
async fn a_page_that_is_not_allowed_gets_nothing_out_of_the_cookie() {
    let (port, friend) = (other_site().await, "http://app.site.test:1");
    let hub = Hub::serve_with(&["--publisher-key", KEY, "--cors-origin", friend, "--publish-origin", friend]);
    let script = "window.outcome = null; fetch('URL', { method: 'POST', body: 'x', mode: 'no-cors', credentials: 'include' })\
                  .then((response) => { outcome = response.type; }, () => { outcome = 'refused'; })";
    for site in ["app.site.test", "stranger.test"] {
        let browser = open(&format!("http://{site}:{port}/")).await;
        if site == "stranger.test" {
            // The user is logged in there, and comes upon this page.
            browser.go(&format!("http://app.site.test:{port}/")).await;
            log_in(&browser, &json!({ "publish": ["*"], "subscribe": ["*"] })).await;
            browser.go(&format!("http://{site}:{port}/")).await;
        } else {
            log_in(&browser, &json!({ "publish": ["*"], "subscribe": ["*"] })).await;
        }
        assert_eq!(subscribe(&browser, &named(&hub, "/events")).await, "refused", "{site}");
        browser.run(&script.replace("URL", &named(&hub, "/events/a"))).await;
        assert_eq!(browser.until("outcome").await, json!("opaque"), "{site}");
    }
    assert_eq!(hub.published().await, 0);
}
