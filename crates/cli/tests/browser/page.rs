//! The page at `/`.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cookie;
use crate::hub::Hub;
use crate::webdriver::Browser;

const OPEN: &str = "document.getElementById('state').textContent === 'open'";

/// What the list shows, the newest first: type, id and data of each event.
const ROWS: &str = "Array.from(document.querySelectorAll('#events .event'), (row) => \
                    ['.type', '.id', '.data'].map((part) => row.querySelector(part).textContent))";

async fn open(hub: &Hub) -> Browser {
    let browser = Browser::open().await;
    browser.go(&hub.url("/")).await;
    browser.until(OPEN).await;
    browser
}

async fn rows(browser: &Browser) -> Value {
    browser.run(&format!("return {ROWS}")).await
}

/// Fills in the page's own form and publishes.
async fn publish(browser: &Browser, topic: &str, event_type: &str, data: &str) {
    browser.fill("#topic", topic).await;
    browser.fill("#type", event_type).await;
    browser.fill("#data", data).await;
    browser.click("#publish").await;
}

#[tokio::test]
async fn publishes_and_shows_what_arrives() {
    let hub = Hub::serve();
    let browser = open(&hub).await;

    // A type that was never seen before is heard from its first event on, since the page asks for it before it publishes.
    let data = r#"{"id":12345678901234567890,"lines":[1,{}],"note":"a: [b], \"c\""}"#;
    publish(&browser, "orders/1", "order", data).await;
    let row = browser.until(&format!("{ROWS}[0]")).await;
    let id = browser.until("document.getElementById('published-id').textContent.split('Published as ')[1]").await;
    let pretty = concat!(
        "{\n  \"id\": 12345678901234567890,\n  \"lines\": [\n    1,\n    {}\n  ],\n",
        r#"  "note": "a: [b], \"c\"""#,
        "\n}"
    );
    assert_eq!(row, json!(["order", id, pretty]));

    // Ctrl+Enter publishes too; lines stay lines; without a type it is a message.
    browser.fill("#type", "").await;
    browser.fill("#data", "one\ntwo\u{e009}\u{e007}\u{e000}").await;
    let row = browser.until(&format!("{ROWS}.length === 2 && {ROWS}[0]")).await;
    assert_eq!((&row[0], &row[2]), (&json!("message"), &json!("one\ntwo")));
    browser.expect_clean_console().await;

    // What can't be published is said in the hub's own words.
    browser.run("document.getElementById('topic').value = 'a\\u0001b'").await;
    browser.click("#publish").await;
    browser.until("document.getElementById('published-id').textContent.includes('control characters')").await;
    assert_eq!(hub.published().await, 2);
    browser.expect_only_network_errors().await;
}

#[tokio::test]
async fn markup_in_data_is_text() {
    let hub = Hub::serve();
    let browser = open(&hub).await;
    let hostile = r#"</pre><img src="x" onerror="window.ran = 1"><script>window.ran = 1</script>"#;
    publish(&browser, "t", "<b>bold</b>", hostile).await;
    let row = browser.until(&format!("{ROWS}[0]")).await;
    assert_eq!((&row[0], &row[2]), (&json!("<b>bold</b>"), &json!(hostile)));
    // An image that fails to load tells so in its own time: this one would have by the end of another event's way.
    publish(&browser, "t", "", "after").await;
    browser.until(&format!("{ROWS}.length === 2")).await;
    let ran = browser.run("return [window.ran, document.querySelectorAll('#events img, #events script').length]").await;
    assert_eq!(ran, json!([null, 0]));
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn filters_by_topic_and_keeps_the_filter() {
    let hub = Hub::serve();
    let browser = open(&hub).await;
    browser.fill("#filter", "books/{id}, orders\u{e007}").await;
    browser.until("location.hash").await;

    let expected = json!(["last", "first"]);
    let data = format!("{ROWS}.map((row) => row[2])");
    for reloaded in [false, true] {
        if reloaded {
            browser.reload().await;
            assert_eq!(browser.run("return document.getElementById('filter').value").await, "books/{id} orders");
        }
        // The page may still be connecting anew: what is published now must not be too early.
        browser.until(OPEN).await;
        hub.publish("/events/books/1", "first").await;
        hub.publish("/events/books/1/2", "other").await;
        hub.publish("/events/orders", "last").await;
        browser.until(&format!("{data}.includes('last')")).await;
        assert_eq!(browser.run(&format!("return {data}")).await, expected);
    }

    browser.fill("#filter", "*\u{e007}").await;
    browser.until(&format!("!location.hash && {OPEN}")).await;
    hub.publish("/events/anything", "everything").await;
    browser.until(&format!("{data}.join() === 'everything'")).await;
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn learns_the_types_that_others_publish() {
    let hub = Hub::serve();
    let browser = open(&hub).await;
    hub.publish("/events/t?type=novel", "before anyone asked for it").await;
    browser.until("document.getElementById('types').textContent.includes('novel')").await;
    hub.publish("/events/t?type=novel", "heard").await;
    let row = browser.until(&format!("{ROWS}[0]")).await;
    assert_eq!((&row[0], &row[2]), (&json!("novel"), &json!("heard")));

    browser.fill("#name", "named").await;
    browser.click("#listening button").await;
    hub.publish("/events/t?type=named", "at once").await;
    browser.until(&format!("{ROWS}[0][0] === 'named'")).await;

    // Those of before are in the history.
    browser.click("#history").await;
    let all = browser.until(&format!("{ROWS}.length === 3 && {ROWS}.map((row) => row[2])")).await;
    assert_eq!(all, json!(["at once", "heard", "before anyone asked for it"]));
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn a_flood_leaves_the_page_small_and_a_pause_holds_it_still() {
    let hub = Hub::serve();
    let browser = open(&hub).await;
    let events: Vec<String> = (0..4096).map(|n| n.to_string()).collect();
    hub.publish_batch("flood", &events).await;
    hub.publish_batch("flood", &events).await;
    browser.until("document.getElementById('received').textContent.startsWith('8\\u202f192 received')").await;
    browser.until(&format!("{ROWS}[0][2] === '4095'")).await;
    assert_eq!(browser.run(&format!("return {ROWS}.length")).await, 200);

    browser.click("#pause").await;
    hub.publish("/events/flood", "unseen").await;
    browser.until("document.getElementById('received').textContent === 'paused, 1 more have come'").await;
    assert_eq!(browser.run(&format!("return {ROWS}[0][2]")).await, "4095");
    browser.click("#pause").await;
    browser.until(&format!("{ROWS}[0][2] === 'unseen'")).await;
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn survives_the_hub_and_tells_of_the_gap() {
    let mut hub = Hub::serve();
    let browser = open(&hub).await;
    // A browser waits 3 s before it comes back, unless the stream says otherwise.
    hub.publish("/events/t?retry=100", "before").await;
    browser.until(&format!("{ROWS}[0][2] === 'before'")).await;
    hub.kill();
    browser.until("document.getElementById('state').textContent === 'connecting'").await;
    hub.restart();
    browser.until(OPEN).await;
    browser.until("document.getElementById('notice-text').textContent.includes('(unknown)')").await;
    let rows = rows(&browser).await;
    assert_eq!((&rows[0][0], &rows[1][2]), (&json!("fanfare-gap"), &json!("before")));
    browser.click("#dismiss").await;
    browser.until("document.getElementById('notice').hidden").await;

    // Closed by hand it stays closed; connected again it shows what it missed.
    browser.click("#connection").await;
    browser.until("document.getElementById('state').textContent === 'closed'").await;
    hub.publish("/events/t", "meanwhile").await;
    browser.click("#connection").await;
    browser.until(&format!("{OPEN} && {ROWS}[0][2] === 'meanwhile'")).await;
    browser.expect_only_network_errors().await;
}

#[tokio::test]
async fn tells_why_a_subscription_is_refused() {
    let hub = Hub::serve();
    let browser = open(&hub).await;
    browser.run("document.getElementById('filter').value = 'x'.repeat(5000)").await;
    browser.click("#subscription button").await;
    browser.until("document.getElementById('reason').textContent.includes('4096 bytes')").await;
    browser.until("document.getElementById('state').textContent === 'closed'").await;
    browser.fill("#filter", "\u{e007}").await;
    browser.until(&format!("{OPEN} && document.getElementById('reason').hidden")).await;
    browser.expect_only_network_errors().await;
}

#[tokio::test]
async fn takes_a_token_where_the_hub_asks_for_one() {
    let hub = Hub::serve_with(&["--publisher-key", cookie::KEY]);
    let token = cookie::token(&json!({ "publish": ["greetings"], "subscribe": ["users/42/{+any}"] }));
    let browser = Browser::open().await;
    browser.go(&hub.url("/")).await;
    browser.until("document.getElementById('reason').textContent.includes('a token is needed')").await;
    browser.fill("#token", "nonsense\u{e007}").await;
    browser.until("document.getElementById('reason').textContent.includes('JSON Web Token')").await;
    browser.fill("#token", &format!("{token}\u{e007}")).await;
    browser.until(OPEN).await;
    publish(&browser, "greetings", "note", "with a token").await;
    browser.until(&format!("{ROWS}[0][2] === 'with a token'")).await;
    browser
        .until("Array.from(document.querySelectorAll('#types li'), (type) => type.textContent).includes('note')")
        .await;
    for user in ["41", "42"] {
        cookie::publish(&hub, &format!("/events/users/{user}/mail?private"), user).await;
    }
    cookie::publish(&hub, "/events/end", "public").await;
    browser.until(&format!("{ROWS}[0][2] === 'public'")).await;
    let data = browser.run(&format!("return {ROWS}.map((row) => row[2])")).await;
    assert_eq!(data, json!(["public", "42", "with a token"]));
    browser.fill("#filter", "users/{id}/mail\u{e007}").await;
    browser.until("location.hash").await;
    browser.until(OPEN).await;
    cookie::publish(&hub, "/events/users/42/mail?private", "filtered").await;
    browser.until(&format!("{ROWS}[0][2] === 'filtered'")).await;
    publish(&browser, "elsewhere", "", "not allowed").await;
    browser.until("document.getElementById('published-id').textContent.includes('does not allow')").await;
    assert!(!browser.run("return location.href").await.as_str().unwrap().contains(&token));
    browser.expect_only_network_errors().await;
}

#[tokio::test]
async fn shows_the_main_figures() {
    let hub = Hub::serve();
    let browser = open(&hub).await;
    let shows = |id: &str, text: &str| format!("document.getElementById('{id}').textContent === '{text}'");
    for (id, text) in [("subscribers", "1"), ("published", "0"), ("delivered", "0"), ("slow", "0"), ("gaps", "0")] {
        browser.until(&shows(id, text)).await;
    }
    hub.publish("/events/t", "one").await;
    hub.publish("/events/t", "two").await;
    for (id, text) in [("published", "2"), ("delivered", "2"), ("log-events", "2")] {
        browser.until(&shows(id, text)).await;
    }
    browser.until("Number(document.getElementById('connections').textContent) > 0").await;
    browser.until("/^[1-9].*B$/.test(document.getElementById('log-bytes').textContent)").await;
    // Somebody else is told of a gap.
    let url = hub.url("/events/t?lastEventID=unknown");
    let other = reqwest::get(url).await.unwrap();
    browser.until(&format!("{} && {}", shows("gaps", "1"), shows("subscribers", "2"))).await;
    browser.until("document.getElementById('gaps').classList.contains('warning')").await;
    drop(other);
    browser.until(&shows("subscribers", "1")).await;
    browser.expect_clean_console().await;
}

/// An application may nest the hub: the page asks for nothing outside its own folder.
#[tokio::test]
async fn works_below_a_prefix() {
    let hub = fanfare_hub::Hub::builder().build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let application = axum::Router::new().nest("/below/here", hub.router()).nest("/there/", hub.router());
    tokio::spawn(axum::serve(listener, application).into_future());
    let browser = Browser::open().await;
    for path in ["/below/here", "/there/"] {
        browser.go(&format!("{origin}{path}")).await;
        browser.until(OPEN).await;
        publish(&browser, "t", "order", path).await;
        let row = browser.until(&format!("{ROWS}[0]")).await;
        assert_eq!((&row[0], &row[2]), (&json!("order"), &json!(path)));
        browser.until("Number(document.getElementById('published').textContent) > 0").await;
        browser.expect_clean_console().await;
    }
}
