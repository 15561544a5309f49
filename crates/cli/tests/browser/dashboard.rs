//! The dashboard among the server library's examples.

use std::time::Duration;

use serde_json::json;

use crate::applications::serve;
use crate::webdriver::Browser;

#[path = "../../../server/examples/dashboard/main.rs"]
#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own")]
mod example;

use example::Dashboard;

const LIVE: &str = "document.getElementById('state').textContent === 'live'";

/// How many lines each plot has, and how many points all of them have together.
const LINES: &str =
    "Array.from(document.querySelectorAll('main svg'), (plot) => plot.querySelectorAll('.line').length)";
const POINTS: &str = "Array.from(document.querySelectorAll('#cpu .line'), (line) => line.getAttribute('d').split(/[ML]/).length - 1)\
                      .reduce((sum, length) => sum + length, 0)";

async fn open(dashboard: &Dashboard) -> Browser {
    let browser = Browser::open().await;
    browser.go(&serve(dashboard.app()).await).await;
    browser.until(LIVE).await;
    browser
}

#[tokio::test]
async fn the_plots_are_full_again_after_a_reload() {
    let dashboard = Dashboard::start(Duration::from_millis(200)).unwrap();
    let browser = open(&dashboard).await;
    browser.until(&format!("{POINTS} >= 10")).await;
    assert_eq!(browser.run(&format!("return {LINES}")).await, json!([1, 1, 1, 1]));
    let first = browser.run("return samples[0].time").await;
    let many = browser.run("return samples.length").await.as_u64().unwrap();
    browser.reload().await;
    // What is drawn first is all there was before.
    browser.until(&format!("{POINTS} > 0")).await;
    assert_eq!(browser.run("return samples[0].time").await, first);
    assert!(browser.run(&format!("return {POINTS}")).await.as_u64().unwrap() >= many);

    // Real figures, with units: of a process that has a page open and uses memory.
    let texts =
        browser.run("return Array.from(document.querySelectorAll('output'), (output) => output.textContent)").await;
    for (text, unit) in texts.as_array().unwrap().iter().zip(["%", " MiB", "", "/s"]) {
        let text = text.as_str().unwrap();
        assert!(
            text.strip_suffix(unit).is_some_and(|number| number.replace(',', "").parse::<f64>().is_ok()),
            "{texts}"
        );
    }
    // The newest sample of before the reload has nobody.
    browser.until("samples.at(-1).subscribers === 1").await;
    assert!(browser.run("return samples.at(-1).memory_bytes").await.as_u64().unwrap() > 1 << 20);
    assert!(browser.run("return samples.some((sample) => sample.cpu_percent > 0)").await.as_bool().unwrap());
    let labels =
        browser.run("return Array.from(document.querySelectorAll('#memory text'), (text) => text.textContent)").await;
    let labels = labels.as_array().unwrap();
    assert!(labels.contains(&json!("now")) && labels.contains(&json!("0 MiB")), "{labels:?}");
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn a_value_is_shown_under_the_pointer_and_for_the_keyboard() {
    let dashboard = Dashboard::start(Duration::from_millis(200)).unwrap();
    let browser = open(&dashboard).await;
    browser.until(&format!("{POINTS} >= 5")).await;
    browser
        .run(
            "const plot = document.getElementById('memory'), box = plot.getBoundingClientRect();\
             plot.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + box.width / 2, clientY: box.top + 20 }))",
        )
        .await;
    // In all plots, at the same moment.
    browser.until("document.querySelectorAll('.bubble').length === 4").await;
    let value = browser.run("return document.querySelector('#memory .value').textContent").await;
    assert!(value.as_str().unwrap().ends_with(" MiB"), "{value}");
    browser.run("document.getElementById('memory').dispatchEvent(new PointerEvent('pointerleave'))").await;
    browser.until("document.querySelectorAll('.bubble').length === 0").await;
    browser
        .run("document.getElementById('cpu').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true }))")
        .await;
    browser.until("document.querySelectorAll('.bubble').length === 4").await;
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn a_note_marks_all_plots_and_is_text() {
    let dashboard = Dashboard::start(Duration::from_millis(200)).unwrap();
    let browser = open(&dashboard).await;
    browser.until(&format!("{POINTS} >= 2")).await;
    let hostile = "<img src=x onerror='window.ran = 1'>";
    browser.fill("#text", &format!("{hostile}\u{e007}")).await;
    browser.until("document.querySelector('#notes b') && document.querySelectorAll('main .note').length === 4").await;
    assert_eq!(browser.run("return document.querySelector('#notes b').textContent").await, hostile);
    assert_eq!(browser.run("return window.ran").await, json!(null));
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn a_lost_connection_and_a_gap_are_shown() {
    let dashboard = Dashboard::start(Duration::from_millis(200)).unwrap();
    let browser = open(&dashboard).await;
    browser.until(&format!("{POINTS} >= 2")).await;
    // As after a night without a network: the samples of five minutes are kept, and this id is of before them.
    browser.run("source.dispatchEvent(new MessageEvent('fanfare-gap', { data: '{\"reason\":\"expired\"}' }))").await;
    browser.until("document.getElementById('gap').textContent === 'Some samples are lost: it is too old'").await;
    browser.until(&format!("document.querySelectorAll('#cpu .lost').length === 1 && {POINTS} >= 4")).await;

    // The program stops, and does not come back.
    dashboard.channel.shutdown(Duration::ZERO).await;
    browser.until("document.getElementById('state').textContent.startsWith('reconnecting for')").await;
    browser.until("document.querySelectorAll('#cpu .lost').length === 2").await;
}
