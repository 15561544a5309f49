//! A browser reads a compressed stream event by event: history in one compressor's words, and live.

use serde_json::json;

use crate::hub::Hub;
use crate::webdriver::Browser;

async fn expect_history_and_live(hub: &Hub, browser: &Browser) {
    browser.go(&hub.url("/health/live")).await;
    let history: Vec<_> = (0..50).map(|n| format!("{{\"event\":{n},\"text\":\"the same in all of them\"}}")).collect();
    hub.publish_batch("t", &history).await;
    browser
        .run(
            "window.heard = []; window.errors = 0; \
             window.source = new EventSource('/events/t?lastEventID=earliest');\
             source.onmessage = (event) => heard.push(event.data);\
             source.onerror = () => { errors += 1; };",
        )
        .await;
    browser.until("heard.length === 50").await;
    let mut expected = history;
    for n in 0..10 {
        expected.push(format!("live {n}"));
        hub.publish("/events/t", &expected[expected.len() - 1]).await;
        browser.until(&format!("heard.length === {}", expected.len())).await;
    }
    assert_eq!(browser.run("return [heard, errors]").await, json!([expected, 0]));
    // What the browser was sent, as it offered all it knows. `fetch` offers the same.
    let script = "const stop = new AbortController(); \
        fetch('/events/t', { signal: stop.signal }).then((answer) => {\
          window.coding = answer.headers.get('content-encoding'); stop.abort(); })";
    browser.run(script).await;
    assert_eq!(browser.until("window.coding").await, "zstd");
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn a_browser_reads_a_compressed_stream() {
    let hub = Hub::serve_with(&["--compression", "on"]);
    let browser = Browser::open().await;
    expect_history_and_live(&hub, &browser).await;
}

#[tokio::test]
async fn a_browser_reads_a_compressed_stream_over_http2() {
    let hub = Hub::serve_tls(&["--compression", "on"]);
    let browser = Browser::open_with(&["--ignore-certificate-errors"]).await;
    expect_history_and_live(&hub, &browser).await;
}
