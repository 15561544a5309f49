//! `fanfare demo`, as a newcomer sees it.

use serde_json::json;

use crate::hub::Hub;
use crate::webdriver::Browser;

#[tokio::test]
async fn a_newcomer_sees_it_move() {
    let hub = Hub::demo();
    let browser = Browser::open().await;
    browser.go(&hub.url("/")).await;
    browser.until("document.getElementById('state').textContent === 'open'").await;

    let data_of = |event_type: &str| {
        format!(
            "Array.from(document.querySelectorAll('#events .event'))\
             .find((row) => row.querySelector('.type').textContent === '{event_type}')\
             .querySelector('.data').textContent"
        )
    };
    let counter = browser.until(&data_of("message")).await;
    assert!(counter.as_str().unwrap().parse::<u64>().is_ok(), "{counter}");
    let metrics = browser.until(&data_of("metrics")).await;
    assert!(metrics.as_str().unwrap().contains("\n  \"subscribers\": "), "{metrics}");
    assert_eq!(browser.until(&data_of("heartbeat")).await, "OK");

    // The plots have lines: pixels of a strong colour, which grids and labels are not, and more of them over time.
    for plot in ["rates", "crowd"] {
        browser.until(&format!("Number(document.getElementById('{plot}').dataset.samples) >= 3")).await;
        let coloured = "const canvas = document.getElementById('PLOT'), pixels = canvas.getContext('2d')\
            .getImageData(0, 0, canvas.width, canvas.height).data; let found = 0;\
            for (let i = 0; i < pixels.length; i += 4) {\
              const colour = pixels.slice(i, i + 3);\
              if (pixels[i + 3] > 200 && Math.max(...colour) - Math.min(...colour) > 60) found += 1;\
            }\
            return found";
        let found = browser.run(&coloured.replace("PLOT", plot)).await;
        assert!(found.as_u64().unwrap() > 20, "{plot} shows {found} coloured pixels");
    }
    let numbers =
        "['subscribers', 'published', 'log-events'].map((id) => Number(document.getElementById(id).textContent) > 0)";
    assert_eq!(browser.run(&format!("return {numbers}")).await, json!([true, true, true]));
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn fits_a_phone() {
    let hub = Hub::demo();
    let browser = Browser::open_with(&["--window-size=500,844"]).await;
    browser.go(&hub.url("/")).await;
    browser.until("document.querySelector('#events .event')").await;
    // Headless Chromium has a least width of its own; a frame can be as narrow as a phone.
    let script = "const page = document.querySelector(':root'); page.style.width = '390px'; document.body.style.width = '390px';\
                  return Math.max(...Array.from(document.querySelectorAll('body *'), (e) => e.getBoundingClientRect().right))";
    let right = browser.run(script).await;
    assert!(right.as_f64().unwrap() <= 390.5, "something ends at {right} of 390 pixels");
    browser.expect_clean_console().await;
}
