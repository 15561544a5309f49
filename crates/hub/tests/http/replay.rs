//! Going on where one left off, and being told when that is not possible.

use fanfare_log::Retention;

use crate::running::{Got, Running, Subscriber};

fn gap_of(got: &Got) -> serde_json::Value {
    assert_eq!(got.event_type, "fanfare-gap");
    serde_json::from_str(&got.data).unwrap()
}

async fn next_gap(subscriber: &mut Subscriber) -> (String, serde_json::Value) {
    let got = subscriber.next().await.unwrap();
    let gap = gap_of(&got);
    (got.id, gap)
}

/// A browser that loses the connection before its first event goes on from where it was all the same.
#[tokio::test]
async fn a_subscriber_without_an_event_knows_where_it_is() {
    let hub = Running::start().await;
    let before = hub.publish("a", "before").await;
    let mut subscriber = hub.subscribe("/events/a").await;
    while subscriber.last_event_id().is_empty() {
        subscriber.read().await;
    }
    let last_event_id = subscriber.last_event_id().to_owned();
    assert_eq!(last_event_id, before);
    drop(subscriber);
    hub.publish("a", "meanwhile").await;
    assert_eq!(hub.resume("/events/a", &last_event_id).await.data(1).await, ["meanwhile"]);
}

fn short() -> Retention {
    Retention { count: Some(0), ..Retention::default() }
}

#[tokio::test]
async fn a_subscriber_goes_on_after_its_last_event_and_then_lives_on() {
    let hub = Running::start().await;
    let mut ids = Vec::new();
    for data in ["1", "2", "3"] {
        ids.push(hub.publish("a", data).await);
        hub.publish("noise", "x").await;
    }
    let mut by_header = hub.resume("/events/a", &ids[0]).await;
    assert_eq!(by_header.header("last-event-id"), ids[0]);
    let mut by_query = hub.subscribe(&format!("/events/a?lastEventID={}", ids[1])).await;
    let mut header_wins = hub.resume(&format!("/events/a?lastEventID={}", ids[2]), &ids[1]).await;
    let mut earliest = hub.resume("/events/a", "earliest").await;
    assert_eq!(earliest.header("last-event-id"), "earliest");
    hub.publish("a", "4").await;
    assert_eq!(by_header.data(3).await, ["2", "3", "4"]);
    assert_eq!(by_query.data(2).await, ["3", "4"]);
    assert_eq!(header_wins.data(2).await, ["3", "4"]);
    assert_eq!(earliest.data(4).await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_chosen_id_is_a_cursor_and_of_several_the_first() {
    let hub = Running::start().await;
    for (id, data) in [("x", "1"), ("y", "2"), ("x", "3"), ("é", "4")] {
        hub.post(&format!("/events/a?id={id}")).body(data).send().await.unwrap();
    }
    assert_eq!(hub.resume("/events/a", "x").await.data(3).await, ["2", "3", "4"]);
    let by_query = hub.subscribe("/events/a?lastEventID=%C3%A9").await;
    assert_eq!(by_query.header("last-event-id"), "é");
}

#[tokio::test]
async fn an_unknown_cursor_is_told_and_gets_everything() {
    let hub = Running::start().await;
    let first = hub.publish("a", "1").await;
    let start = first.replace("-1", "-0");
    for unknown in ["nobody's", "e1-1", &first.replace("-1", "-999")] {
        let mut subscriber = hub.resume("/events/a", unknown).await;
        assert_eq!(subscriber.header("last-event-id"), "earliest");
        let (id, gap) = next_gap(&mut subscriber).await;
        assert_eq!(gap, serde_json::json!({ "requested": unknown, "oldest": first, "reason": "unknown" }));
        assert_eq!(id, start);
        assert_eq!(subscriber.data(1).await, ["1"]);
        // Whoever loses the connection right after the gap goes on from its id without another one.
        let mut again = hub.resume("/events/a", &id).await;
        assert_eq!(again.header("last-event-id"), id);
        assert_eq!(again.data(1).await, ["1"]);
    }
}

#[tokio::test]
async fn on_an_empty_hub_the_oldest_is_null() {
    let hub = Running::start().await;
    let (_, gap) = next_gap(&mut hub.resume("/events", "x").await).await;
    assert_eq!(gap, serde_json::json!({ "requested": "x", "oldest": null, "reason": "unknown" }));
}

#[tokio::test]
async fn an_expired_cursor_is_told() {
    let hub = Running::with(|_| {}, short()).await;
    let mut ids = Vec::new();
    for n in 0..70 {
        ids.push(hub.publish("a", n.to_string()).await);
    }
    let mut subscriber = hub.resume("/events/a", &ids[0]).await;
    let (id, gap) = next_gap(&mut subscriber).await;
    assert_eq!(gap, serde_json::json!({ "requested": ids[0], "oldest": ids[6], "reason": "expired" }));
    assert_eq!(id, ids[5]);
    assert_eq!(subscriber.data(64).await.first().map(String::as_str), Some("6"));
    let metrics = hub.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("fanfare_gaps_total{reason=\"expired\"} 1"), "{metrics}");
}

#[tokio::test]
async fn without_gap_events_the_header_alone_tells() {
    let hub = Running::with(|settings| settings.gap_event = false, Retention::default()).await;
    hub.publish("a", "1").await;
    let mut subscriber = hub.resume("/events/a", "unknown").await;
    assert_eq!(subscriber.header("last-event-id"), "earliest");
    assert_eq!(subscriber.data(1).await, ["1"]);
}

/// Fills the socket of a subscriber that does not read until the history has passed it.
async fn leave_behind(hub: &Running) -> Subscriber {
    let subscriber = hub.subscribe("/events/a").await;
    for n in 0..60 {
        hub.publish("a", format!("{n} {}", "x".repeat(1 << 20))).await;
        // The server gets to write what fits.
        tokio::task::yield_now().await;
    }
    subscriber
}

fn number(got: &Got) -> u32 {
    got.data.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_falls_behind_is_told_and_goes_on() {
    let retention = Retention { bytes: Some(1 << 20), ..Retention::default() };
    let hub = Running::with(|_| {}, retention).await;
    let mut subscriber = leave_behind(&hub).await;
    let (mut expected, mut gaps) = (0, 0);
    while expected < 60 {
        let got = subscriber.next().await.unwrap();
        if got.event_type == "fanfare-gap" {
            let gap = gap_of(&got);
            assert_eq!(gap["reason"], "lagged");
            let oldest = gap["oldest"].as_str().unwrap();
            // The first event is at offset 1.
            expected = oldest.rsplit('-').next().unwrap().parse::<u32>().unwrap() - 1;
            gaps += 1;
        } else {
            assert_eq!(number(&got), expected, "nothing is passed over in silence");
            expected += 1;
        }
    }
    assert!(gaps > 0, "60 MB can't have fitted into the socket");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_falls_behind_without_gap_events_is_disconnected() {
    let retention = Retention { bytes: Some(1 << 20), ..Retention::default() };
    let hub = Running::with(|settings| settings.gap_event = false, retention).await;
    let mut subscriber = leave_behind(&hub).await;
    let mut seen = 0;
    while let Some(got) = subscriber.next().await {
        assert_eq!(number(&got), seen);
        seen += 1;
    }
    assert!(seen < 60);
    let mut last = hub.resume("/events/a", "earliest").await;
    assert!(number(&last.next().await.unwrap()) > seen);
}
