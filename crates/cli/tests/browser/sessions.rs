//! The example of the hub library: users with sessions, each in a browser of their own.

use std::net::Ipv4Addr;

use serde_json::json;
use tokio::net::TcpListener;

use crate::webdriver::Browser;

#[path = "../../../hub/examples/sessions.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod example;

const MESSAGES: &str =
    "Array.from(document.querySelectorAll('#messages li'), (item) => item.className + ' ' + item.textContent)";
const INSIDE: &str =
    "!document.getElementById('inside').hidden && document.getElementById('state').textContent === 'open'";
const OUTSIDE: &str = "!document.getElementById('login').hidden";

async fn log_in(browser: &Browser, name: &str) {
    browser.until(OUTSIDE).await;
    browser.fill("#name", &format!("{name}\u{e007}")).await;
    browser.until(INSIDE).await;
}

#[tokio::test]
async fn each_user_sees_what_is_theirs_until_they_log_out() {
    let (hub, router) = example::app().await.unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let (ada, bo) = (Browser::open().await, Browser::open().await);
    for (browser, name) in [(&ada, "Ada"), (&bo, "Bo")] {
        browser.go(&url).await;
        log_in(browser, name).await;
        assert_eq!(browser.run("return document.cookie").await, "", "no script reads the session");
    }

    for (to, text) in [("Bo", "for Bo"), ("Ada", "for Ada"), ("", "<img src=x onerror='window.ran = 1'>")] {
        ada.fill("#to", to).await;
        ada.fill("#text", &format!("{text}\u{e007}")).await;
        ada.until("document.getElementById('text').value === ''").await;
    }
    let all = "board Ada<img src=x onerror='window.ran = 1'>";
    for (browser, own) in [(&ada, "private Adafor Ada"), (&bo, "private Adafor Bo")] {
        browser.until(&format!("{MESSAGES}.length === 2")).await;
        assert_eq!(browser.run(&format!("return {MESSAGES}")).await, json!([own, all]));
        assert_eq!(browser.run("return window.ran").await, json!(null));
        browser.expect_clean_console().await;
    }

    // As in another tab: this page learns of it by the end of its stream, and what it is answered when it comes back.
    ada.run("return fetch('logout', { method: 'POST' }).then(() => true)").await;
    ada.until(OUTSIDE).await;
    assert_eq!(hub.figures().subscribers, 1);
    ada.expect_only_network_errors().await;

    // Whoever comes next in the same browser sees nothing of it.
    log_in(&ada, "Eve").await;
    ada.until(&format!("{MESSAGES}.length === 1")).await;
    assert_eq!(ada.run(&format!("return {MESSAGES}")).await, json!([all]));
    bo.click("#logout").await;
    bo.until(OUTSIDE).await;
}
