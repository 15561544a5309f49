//! The vote among the server library's examples, with Datastar as npm has it.

use serde_json::json;

use crate::applications::{serve, until};
use crate::webdriver::Browser;

#[path = "../../../server/examples/datastar/main.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod example;

const OPTIONS: &str = "Array.from(document.querySelectorAll('#options li'), (item) => item.textContent)";

#[tokio::test]
async fn a_vote_is_seen_by_all() {
    let scripts = example::installed().unwrap_or_else(|error| panic!("{error}"));
    vote(example::Version::Beta, scripts).await;
}

async fn vote(version: example::Version, scripts: example::Scripts) {
    let (router, channel) = example::app(version, scripts);
    let url = serve(router).await;
    let (first, second) = (Browser::open().await, Browser::open().await);
    for browser in [&first, &second] {
        browser.go(&url).await;
    }
    // A page subscribes when Datastar is loaded.
    until(|| channel.subscribers() == 2).await;
    let hostile = "<img src=x onerror='window.ran = 1'>";
    first.fill("input", "The Ox\u{e007}").await;
    // The answer to the post has emptied the field by a signal.
    first.until(&format!("{OPTIONS}.length === 1 && document.querySelector('input').value === ''")).await;
    second.fill("input", &format!("{hostile}\u{e007}")).await;
    for browser in [&first, &second] {
        browser.until(&format!("{OPTIONS}.length === 2")).await;
    }
    second.click("#options li:last-child button").await;
    for browser in [&first, &second] {
        browser.until("document.getElementById('total').textContent === '1'").await;
        browser.until(&format!("{OPTIONS}[1].endsWith(' 1')")).await;
        assert_eq!(browser.run(&format!("return {OPTIONS}")).await, json!(["The Ox 0", format!("{hostile} 1")]));
        assert_eq!(browser.run("return window.ran").await, json!(null));
    }
    // Whoever comes late is told the newest.
    first.reload().await;
    first.until(&format!("{OPTIONS}.length === 2 && document.getElementById('total').textContent === '1'")).await;
    for browser in [&first, &second] {
        browser.expect_clean_console().await;
    }
}
