//! The examples of the server library: pages that need no hub.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use serde_json::json;
use tokio::net::TcpListener;

use crate::webdriver::{Browser, PATIENCE};

#[path = "../../../server/examples/chat_room.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod chat;

#[path = "../../../server/examples/generation/main.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod generation;

pub(crate) async fn serve(application: Router) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, application).into_future());
    url
}

/// Waits for what no event tells of.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes true in time");
}

const MESSAGES: &str = "Array.from(document.querySelectorAll('#messages li'), (item) => item.textContent)";
const OPEN: &str = "document.getElementById('state').textContent === 'open'";

#[tokio::test]
async fn a_chat_is_heard_by_all_of_its_room_and_read_again_by_whoever_comes_late() {
    let channel = chat::channel();
    let url = serve(chat::app(channel.clone())).await;
    let (first, second) = (Browser::open().await, Browser::open().await);
    first.go(&url).await;
    first.until(OPEN).await;
    first.fill("#name", "Ada").await;
    let hostile = "<img src=x onerror='window.ran = 1'>";
    first.fill("#text", &format!("{hostile}\u{e007}")).await;
    first.until(&format!("{MESSAGES}.length === 1")).await;

    second.go(&url).await;
    second.until(&format!("{OPEN} && {MESSAGES}.length === 1")).await;
    second.fill("#name", "Bo").await;
    second.fill("#text", "hello\u{e007}").await;
    for browser in [&first, &second] {
        browser.until(&format!("{MESSAGES}.length === 2")).await;
        assert_eq!(browser.run(&format!("return {MESSAGES}")).await, json!([format!("Ada{hostile}"), "Bohello"]));
        assert_eq!(browser.run("return window.ran").await, json!(null));
        browser.expect_clean_console().await;
    }

    // Who leaves is seen: a peer that has gone is noticed by its socket.
    drop(second);
    until(|| channel.subscribers_of("lobby") <= 1).await;
}

const ANSWER: &str = "document.getElementById('answer').textContent";

#[tokio::test]
async fn an_answer_outlasts_a_reload() {
    let model = generation::StandIn::new(Duration::from_millis(30));
    let upstream = generation::Upstream::new(&model.serve().await.unwrap(), "stand-in", None).unwrap();
    let url = serve(generation::app(upstream, Duration::from_secs(30))).await;
    let browser = Browser::open().await;
    browser.go(&url).await;
    browser.run("document.getElementById('prompt').value = 'Good morning.'").await;
    browser.click("#ask button").await;
    browser.until(&format!("{ANSWER}.startsWith('This is answer 1.')")).await;
    browser.reload().await;
    browser.until("document.getElementById('state').textContent === 'done'").await;
    let expected = "This is answer 1. You said: Good morning. I have no more to say about that, but I say it slowly, so \
                    that there is time to reload the page.";
    assert_eq!(browser.run(&format!("return {ANSWER}")).await, expected);

    // Also when it is over: the model was asked once.
    browser.reload().await;
    browser.until("document.getElementById('state').textContent === 'done'").await;
    assert_eq!(browser.run(&format!("return {ANSWER}")).await, expected);
    assert_eq!(model.begun(), 1);
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_keeps_what_was_said_and_is_text() {
    let hostile = "<img src=x onerror='window.ran = 1'>";
    let chunk = json!({ "choices": [{ "delta": { "content": hostile } }] });
    let refusal = json!({ "error": { "message": hostile } });
    let model = Router::new().fallback(async move || {
        ([("content-type", "text/event-stream")], format!("data: {chunk}\n\ndata: {refusal}\n\n"))
    });
    let upstream = generation::Upstream::new(&serve(model).await, "hostile", None).unwrap();
    let browser = Browser::open().await;
    browser.go(&serve(generation::app(upstream, Duration::from_secs(30))).await).await;
    browser.click("#ask button").await;
    let state = browser.until("document.getElementById('state').textContent.startsWith('broke off') && document.getElementById('state').textContent").await;
    assert_eq!(state, format!("broke off: {hostile}"));
    assert_eq!(browser.run(&format!("return {ANSWER}")).await, hostile);
    assert_eq!(browser.run("return window.ran").await, json!(null));
}
