//! The classic tutorial's page: what everyone's first `EventSource` does.

use std::net::Ipv4Addr;

use serde_json::json;
use tokio::net::TcpListener;

use crate::webdriver::Browser;

#[path = "../../../server/examples/counter.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod counter;

const LOG: &str = "Array.from(document.querySelectorAll('#log li'), (item) => item.textContent)";

#[tokio::test]
async fn hears_messages_names_and_json_until_it_closes() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, counter::app()).into_future());

    let browser = Browser::open().await;
    browser.go(&url).await;
    browser.until("document.getElementById('state').textContent === 'open'").await;
    for line in ["Got 1", "Got 2", "heartbeat OK", "JSON, second 1", "JSON, second 2"] {
        browser.until(&format!("{LOG}.includes('{line}')")).await;
    }

    browser.click("#close").await;
    let heard = browser.run(&format!("return {LOG}")).await;
    let states = "return [counter, heartbeat, mine].map((source) => source.readyState)";
    assert_eq!(browser.run(states).await, json!([2, 2, 2]));

    // Another connection hears of two more seconds; the closed ones, which would have too, hear nothing.
    let witness =
        "window.heard = 0; window.witness = new EventSource('/events'); witness.onmessage = () => { heard += 1; };";
    browser.run(witness).await;
    browser.until("window.heard >= 2").await;
    browser.run("witness.close()").await;
    browser.click("#close").await;
    assert_eq!(browser.run(states).await, json!([2, 2, 2]));
    assert_eq!(browser.run(&format!("return {LOG}")).await, heard);
    assert_eq!(browser.run("return document.getElementById('state').textContent").await, "closed");
    browser.expect_clean_console().await;
}
