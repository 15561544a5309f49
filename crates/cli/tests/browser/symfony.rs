//! An application in PHP, on another origin than its hub: Symfony's component logs its users in and publishes, and clients
//! of npm, as their authors publish them, subscribe in the page.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::hub::Hub;
use crate::process::Process;
use crate::webdriver::Browser;

const SECRET: &str = "!ChangeThisMercureHubJWTSecretKey!";

/// The hub of `hub.site.test` and the application at `app.site.test`.
struct Site {
    application: String,
    _php: Process,
    _hub: Hub,
}

impl Site {
    /// Each has to know the other's address before it starts: the hub is started again with the application's.
    fn start() -> Self {
        let mut hub = Hub::serve_with(&["--publisher-key", SECRET, "--heartbeat", "100ms"]);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mercure");
        assert!(folder.join("node_modules").is_dir(), "scripts/test installs what the page needs, by npm ci");
        let mut php = Command::new("sh");
        // What PHP's server says of itself goes to standard error.
        php.args(["-c", "exec php -S 127.0.0.1:0 -t \"$0/node_modules\" \"$0/application.php\" 2>&1"]).arg(&folder);
        php.env("MERCURE_URL", hub.url("/.well-known/mercure")).env("MERCURE_JWT_SECRET", SECRET);
        php.env("MERCURE_PUBLIC_URL", hub.url("/.well-known/mercure").replace("127.0.0.1", "hub.site.test"));
        let (php, address) =
            Process::start(php, |line| Some(line.split_once("(http://127.0.0.1:")?.1.split_once(')')?.0.to_owned()));
        let application = format!("http://app.site.test:{address}");
        hub.restart_with(&["--cors-origin", &application]);
        Self { application, _php: php, _hub: hub }
    }

    async fn open(&self, user: &str) -> Browser {
        let browser = Browser::open_with(&["--host-resolver-rules=MAP *.site.test 127.0.0.1"]).await;
        browser.go(&format!("{}/?user={user}", self.application)).await;
        browser
    }

    /// Has the application publish for a user.
    async fn publish(&self, user: &str, data: &str) {
        let url = format!("{}/publish?user={user}", self.application).replace("app.site.test", "127.0.0.1");
        let client = reqwest::Client::builder().no_proxy().timeout(crate::webdriver::PATIENCE).build().unwrap();
        client.post(url).body(data.to_owned()).send().await.unwrap().error_for_status().unwrap();
    }
}

/// The cookie of Symfony's `Authorization`, and Turbo's streams by Symfony UX.
#[tokio::test]
async fn turbo_shows_each_user_what_symfony_publishes_for_them() {
    let site = Site::start();
    let (ann, bob) = (site.open("ann").await, site.open("bob").await);
    for browser in [&ann, &bob] {
        browser.until("document.querySelector('turbo-mercure-stream-source[connected]')").await;
    }
    let append = |text: &str| {
        let item = format!("<li>{text}</li>");
        format!("<turbo-stream action=\"append\" target=\"messages\">\n<template>{item}</template>\n</turbo-stream>")
    };
    for (user, text) in
        [("ann", "Grüße, Ann"), ("bob", "for bob"), ("nobody", "for nobody"), ("ann", "2"), ("bob", "2")]
    {
        site.publish(user, &append(text)).await;
    }
    let messages = "Array.from(document.querySelectorAll('#messages li'), (item) => item.textContent)";
    for (browser, first) in [(&ann, "Grüße, Ann"), (&bob, "for bob")] {
        browser.until(&format!("{messages}.includes('2')")).await;
        assert_eq!(browser.run(&format!("return {messages}")).await, json!([first, "2"]));
        browser.expect_clean_console().await;
    }
}

/// The client that Mercure's documentation names for tokens in a header. The page finds the hub by the `Link` that
/// Symfony's `Discovery` writes.
#[tokio::test]
async fn fetch_event_source_sends_its_token_in_a_header() {
    let site = Site::start();
    let browser = site.open("ann").await;
    let script = "window.received = []; window.opened = 0; window.failed = [];\
        (async () => {\
          const { fetchEventSource } = await import('/@microsoft/fetch-event-source/lib/esm/index.js');\
          const link = (await fetch('/?user=ann')).headers.get('Link');\
          const hub = new URL(/<([^>]+)>; rel=\"mercure\"/.exec(link)[1]);\
          hub.searchParams.append('topic', 'users/{id}');\
          const token = await (await fetch('/token?user=ann')).text();\
          await fetchEventSource(hub.href, {\
            headers: { Authorization: `Bearer ${token}` },\
            credentials: 'omit',\
            openWhenHidden: true,\
            onopen: async (response) => { opened = response.status; },\
            onmessage: (event) => { received.push(event.data); },\
            onerror: (error) => { failed.push(String(error)); },\
          });\
        })().catch((error) => { failed.push(String(error)); });";
    browser.run(script).await;
    assert_eq!(browser.until("failed.length ? failed : opened").await, json!(200));
    for (user, data) in [("bob", "for bob"), ("ann", "one"), ("ann", "two\nlines")] {
        site.publish(user, data).await;
    }
    browser.until("received.includes('two\\nlines')").await;
    // It would hand on blocks without data too, of which the hub sends it none, also while nothing happens.
    assert_eq!(browser.run("return received").await, json!(["one", "two\nlines"]));
    assert_eq!(browser.run("return failed").await, json!([]));
    browser.expect_clean_console().await;
}
