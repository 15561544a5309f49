//! What a browser's own `EventSource` makes of the hub's stream, without the page.

use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::hub::Hub;
use crate::webdriver::Browser;

/// Opens a source that keeps all it hears as `[type, data, lastEventId]`.
async fn listen(browser: &Browser, url: &str) {
    let script = "const mine = window.heard = []; window.opened = 0; window.source = new EventSource('URL');\
        source.onopen = () => { opened += 1; };\
        for (const type of ['message', 'order', 'fanfare-gap']) {\
          source.addEventListener(type, (event) => mine.push([event.type, event.data, event.lastEventId]));\
        }";
    browser.run(&script.replace("URL", url)).await;
    browser.until("opened === 1 && source.readyState === EventSource.OPEN").await;
}

/// A page of the hub's origin that opens no stream of its own.
async fn blank(hub: &Hub) -> Browser {
    let browser = Browser::open().await;
    browser.go(&hub.url("/health/live")).await;
    browser
}

#[tokio::test]
async fn types_ids_and_lines_arrive_as_they_were_published() {
    let hub = Hub::serve();
    let browser = blank(&hub).await;
    listen(&browser, "/events/t").await;
    let first = hub.publish("/events/t", "plain").await;
    hub.publish("/events/t?type=unasked", "nobody listens to it, and onmessage does not hear it").await;
    let second = hub.publish("/events/t?type=order", "one\r\ntwo\n\n three\n").await;
    let third = hub.publish("/events/t?id=my-own-%C3%A9", "").await;
    assert_eq!(third, "my-own-é");
    let heard = browser.until("heard.length === 3 && heard").await;
    assert_eq!(
        heard,
        json!([["message", "plain", first], ["order", "one\ntwo\n\n three\n", second], ["message", "", "my-own-é"]])
    );
    browser.expect_clean_console().await;
}

#[tokio::test]
async fn after_a_restart_the_last_id_is_asked_for_and_the_gap_is_told() {
    let mut hub = Hub::serve();
    let browser = blank(&hub).await;
    listen(&browser, "/events/t").await;
    hub.publish("/events/t", "first").await;
    let last = hub.publish("/events/t?retry=100", "last").await;
    browser.until("heard.length === 2").await;
    hub.restart();
    let gap = browser.until("heard.length === 3 && heard[2]").await;
    assert_eq!(gap[0], "fanfare-gap");
    let told: Value = serde_json::from_str(gap[1].as_str().unwrap()).unwrap();
    assert_eq!(told, json!({ "requested": last, "oldest": null, "reason": "unknown" }));

    // The gap's own id is a good cursor of the new history: the next reconnect has no gap.
    assert!(gap[2].as_str().is_some_and(|id| !id.is_empty() && id != last), "{gap}");
    let id = hub.publish("/events/t", "anew").await;
    assert_eq!(browser.until("heard.length === 4 && heard[3]").await, json!(["message", "anew", id]));
    assert_eq!(browser.run("return opened").await, 2);
    browser.expect_only_network_errors().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_loses_and_repeats_nothing() {
    let hub = Hub::serve();
    let relay = Relay::new(&hub.address).await;
    let browser = Browser::open().await;
    browser.go(&format!("http://{}/health/live", relay.address)).await;
    listen(&browser, "/events?topic=t").await;
    hub.publish("/events/t?retry=100", "0").await;
    // Without an id it would have nothing to come back with.
    browser.until("heard.length === 1").await;
    let mut expected = vec!["0".to_owned()];
    for round in 1..=3 {
        for n in 0..8 {
            // What was published just before may be read or not: the browser's cursor decides what comes again.
            if n == 4 {
                relay.cut();
            }
            expected.push((round * 10 + n).to_string());
            hub.publish("/events/t", &expected[expected.len() - 1]).await;
            hub.publish("/events/another", "not asked for").await;
        }
        browser.until(&format!("opened > {round} && heard.length >= {}", expected.len())).await;
    }
    assert_eq!(browser.run("return heard.map(([type, data]) => data)").await, json!(expected));
    browser.expect_only_network_errors().await;
}

#[tokio::test]
async fn a_closed_source_stays_closed() {
    let hub = Hub::serve();
    let browser = blank(&hub).await;
    listen(&browser, "/events/t").await;
    browser.run("source.close(); window.closed_source = source; window.closed_heard = heard;").await;
    // The second source hears of an event that the first would have heard too.
    listen(&browser, "/events/t").await;
    hub.publish("/events/t", "after").await;
    browser.until("heard.length === 1").await;
    let state = browser.run("return [closed_source.readyState, closed_heard.length]").await;
    assert_eq!(state, json!([2, 0]));
    browser.expect_clean_console().await;
}

/// A way to the hub that can be cut, as a phone's is when it leaves the house.
struct Relay {
    address: String,
    cuts: watch::Sender<()>,
}

impl Relay {
    async fn new(hub: &str) -> Self {
        let (listener, hub) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), hub.to_owned());
        let address = listener.local_addr().unwrap().to_string();
        let cuts = watch::Sender::new(());
        let receiver = cuts.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (hub, mut cut) = (hub.clone(), receiver.clone());
                // Cuts of before it came are not its own.
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(hub).await else { return };
                    // Either way both connections are dropped.
                    tokio::select! { _ = copy_bidirectional(&mut near, &mut far) => {}, _ = cut.changed() => {} }
                });
            }
        });
        Self { address, cuts }
    }

    /// Ends every connection that is open.
    fn cut(&self) {
        self.cuts.send_replace(());
    }
}
