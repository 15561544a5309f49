//! The shared list among the server library's examples, with htmx as npm has it.

use serde_json::json;

use crate::applications::{serve, until};
use crate::webdriver::Browser;

#[path = "../../../server/examples/htmx/main.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod example;

const ITEMS: &str = "Array.from(document.querySelectorAll('#items button'), (item) => item.textContent)";
const DONE: &str = "Array.from(document.querySelectorAll('#items button.done'), (item) => item.textContent)";

#[tokio::test]
async fn a_list_is_the_same_for_all_who_look_at_it() {
    let (router, channel) = example::app().unwrap_or_else(|error| panic!("{error}"));
    let url = serve(router).await;
    let (first, second) = (Browser::open().await, Browser::open().await);
    for browser in [&first, &second] {
        browser.go(&url).await;
    }
    // A page subscribes when it is loaded.
    until(|| channel.subscribers() == 2).await;
    let hostile = "<img src=x onerror='window.ran = 1'>";
    first.fill("input", "water the plants\u{e007}").await;
    first.until(&format!("{ITEMS}.length === 1")).await;
    second.fill("input", &format!("{hostile}\u{e007}")).await;
    for browser in [&first, &second] {
        browser.until(&format!("{ITEMS}.length === 2")).await;
        assert_eq!(browser.run(&format!("return {ITEMS}")).await, json!(["water the plants", hostile]));
    }
    // What came as an event is alive: a button of it can be pressed.
    second.click("#items li button").await;
    for browser in [&first, &second] {
        browser.until(&format!("{DONE}.length === 1 && {DONE}[0] === 'water the plants'")).await;
        assert_eq!(browser.run("return window.ran").await, json!(null));
    }
    // Whoever comes late has the list in the page itself.
    first.reload().await;
    assert_eq!(first.run(&format!("return {ITEMS}")).await, json!(["water the plants", hostile]));
    assert_eq!(first.run("return window.ran").await, json!(null));
    for browser in [&first, &second] {
        browser.expect_clean_console().await;
    }
}
