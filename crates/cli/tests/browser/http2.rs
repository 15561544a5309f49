//! Over HTTP/2 a page may have as many streams as it likes; over HTTP/1.1 a browser opens six connections to a host.

use serde_json::json;

use crate::hub::Hub;
use crate::webdriver::Browser;

const STREAMS: usize = 20;

#[tokio::test]
async fn twenty_streams_of_one_page_are_one_connection() {
    let hub = Hub::serve_tls(&[]);
    let browser = Browser::open_with(&["--ignore-certificate-errors"]).await;
    browser.go(&hub.url("/health/live")).await;
    let protocol = browser.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol").await;
    assert_eq!(protocol, "h2");
    browser
        .run(&format!(
            "window.heard = {{}}; window.sources = [];\
             for (let n = 0; n < {STREAMS}; n += 1) {{\
               const source = new EventSource('/events/' + n);\
               source.onmessage = (event) => {{ heard[n] = (heard[n] ?? '') + event.data; }};\
               sources.push(source);\
             }}"
        ))
        .await;
    browser.until("sources.every((source) => source.readyState === EventSource.OPEN)").await;
    // All are open, and the page still gets an answer: over HTTP/1.1 the seventh stream would wait for ever.
    let metrics = "fetch('/metrics').then((answer) => answer.text()).then((text) => { window.metrics = text; })";
    browser.run(metrics).await;
    let metrics = browser.until("window.metrics").await;
    assert!(
        metrics.as_str().unwrap().contains(&format!("\nfanfare_subscribers{{path=\"general\"}} {STREAMS}\n")),
        "{metrics}"
    );
    for n in 0..STREAMS {
        hub.publish(&format!("/events/{n}"), &format!("event {n}")).await;
    }
    browser.until(&format!("Object.keys(heard).length === {STREAMS}")).await;
    let expected: Vec<_> = (0..STREAMS).map(|n| format!("event {n}")).collect();
    assert_eq!(browser.run("return Object.values(heard)").await, json!(expected));
    browser.expect_clean_console().await;
}
