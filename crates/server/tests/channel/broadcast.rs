//! What a subscriber gets, from where it starts.

use std::sync::Arc;
use std::time::Duration;

use fanfare_server::{Channel, Event, EventId, LastEventId, PublishError};
use http_body_util::BodyExt;

use crate::reading::{Reader, read};

fn after(id: &str) -> LastEventId {
    LastEventId(Some(EventId::new(id).unwrap()))
}

#[tokio::test]
async fn a_subscriber_gets_what_comes_on_its_topics_and_not_what_was_before() {
    let channel = Channel::new();
    channel.publish("a", Event::data("before")).unwrap();
    let mut a = read(channel.subscribe(["a"]));
    let mut both = read(channel.subscribe(["a", "b"]));
    let mut all = read(channel.subscribe_to_all());
    channel.publish("a", Event::data("1")).unwrap();
    channel.publish("b", Event::data("2")).unwrap();
    channel.publish("c", Event::data("3")).unwrap();
    channel.publish_on(["a", "b"], Event::data("4")).unwrap();
    channel.finish();
    assert_eq!(a.rest().await, ["1", "4"]);
    assert_eq!(both.rest().await, ["1", "2", "4"]);
    assert_eq!(all.rest().await, ["1", "2", "3", "4"]);
    assert_eq!(channel.subscribers(), 0);
    assert!(matches!(channel.publish("a", Event::data("5")), Err(PublishError::Closed)));
}

#[tokio::test]
async fn a_client_goes_on_after_the_id_that_it_has_whoever_chose_it() {
    let channel = Channel::new();
    let first = channel.publish("a", Event::data("1")).unwrap();
    let mine = Event::data("2").with_id("mine".try_into().unwrap());
    assert_eq!(channel.publish("a", mine).unwrap().as_str(), "mine");
    let third = channel.publish("a", Event::data("3")).unwrap();
    let from = |id: LastEventId| read(channel.subscribe(["a"]).after(id));
    let mut readers = [from(LastEventId(Some(first))), from(after("mine")), from(LastEventId(Some(third)))];
    let mut from_start = read(channel.subscribe(["a"]).from_start());
    let mut earliest = from(after("earliest"));
    channel.publish("a", Event::data("4")).unwrap();
    channel.finish();
    assert_eq!(readers[0].rest().await, ["2", "3", "4"]);
    assert_eq!(readers[1].rest().await, ["3", "4"]);
    assert_eq!(readers[2].rest().await, ["4"]);
    assert_eq!(from_start.rest().await, ["1", "2", "3", "4"]);
    assert_eq!(earliest.rest().await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_client_that_loses_its_first_connection_before_an_event_misses_nothing() {
    let channel = Channel::new();
    let mut first = read(channel.subscribe(["a"]));
    channel.publish("b", Event::data("for others")).unwrap();
    // Its body is read up to the greeting alone.
    assert!(tokio::time::timeout(Duration::from_millis(1), first.next()).await.is_err());
    let id = first.last_event_id();
    drop(first);
    channel.publish("a", Event::data("meanwhile")).unwrap();
    let mut second = read(channel.subscribe(["a"]).after(after(&id)));
    assert_eq!(second.next().await.unwrap().data, "meanwhile");
}

#[tokio::test]
async fn what_is_not_known_any_more_is_told_first_in_the_words_of_the_hub() {
    let channel = Channel::builder().retain_count(0).build();
    let first = channel.publish("a", Event::data("0")).unwrap();
    for n in 1..100 {
        channel.publish("a", Event::data(n.to_string())).unwrap();
    }
    for (id, reason) in
        [(first.as_str(), "expired"), ("nobody's \"id\"", "unknown"), ("e1-1", "unknown"), ("a\u{1}", "unknown")]
    {
        let mut reader = read(channel.subscribe(["a"]).after(after(id)));
        let gap = reader.next().await.unwrap();
        let oldest = reader.next().await.unwrap();
        assert_eq!(gap.event_type, "fanfare-gap");
        let told: serde_json::Value = serde_json::from_str(&gap.data).unwrap();
        let requested = id.trim_matches('\u{1}');
        assert_eq!(told, serde_json::json!({ "requested": requested, "oldest": oldest.id, "reason": reason }));
        // Whoever comes back right after the gap event goes on without another one.
        let mut again = read(channel.subscribe(["a"]).after(after(&gap.id)));
        assert_eq!(again.next().await.unwrap(), oldest);
    }
}

#[tokio::test]
async fn a_live_subscriber_whom_history_passes_by_is_told() {
    let channel = Channel::builder().retain_count(0).build();
    let mut reader = read(channel.subscribe(["a"]));
    channel.publish("a", Event::data("0")).unwrap();
    assert_eq!(reader.take(1).await, ["0"]);
    for n in 1..=1000 {
        channel.publish("a", Event::data(n.to_string())).unwrap();
        if n % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
    channel.finish();
    let gap = reader.next().await.unwrap();
    assert_eq!(gap.event_type, "fanfare-gap");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&gap.data).unwrap()["reason"], "lagged");
    let rest = reader.rest().await;
    let expected: Vec<String> = (1001 - rest.len()..=1000).map(|n| n.to_string()).collect();
    assert_eq!(rest, expected);
    assert!(rest.len() >= 64);
}

#[tokio::test]
async fn events_of_age_leave_also_while_nothing_happens() {
    tokio::time::pause();
    let channel = Channel::builder().retain_age(Duration::from_secs(60)).build();
    channel.publish("a", Event::data("old")).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(channel.retained(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(channel.retained(), 0);
}

#[tokio::test]
async fn an_event_is_encoded_once_for_all() {
    let channel = Channel::new();
    let mut bodies: Vec<_> = (0..3).map(|_| channel.subscribe(["a"]).body()).collect();
    for body in &mut bodies {
        body.frame().await.unwrap().unwrap();
    }
    channel.publish("a", Event::data("1")).unwrap();
    channel.publish("a", Event::data("2")).unwrap();
    let mut places = Vec::new();
    for body in &mut bodies {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        places.push((data.as_ptr(), data.len()));
    }
    assert_eq!(places[0], places[1]);
    assert_eq!(places[0], places[2]);
}

#[tokio::test(start_paused = true)]
async fn a_comment_comes_after_a_while_without_events_and_traffic_puts_it_off() {
    let channel = Channel::builder().keep_alive(Duration::from_secs(8)).build();
    let mut body = channel.subscribe(["a"]).body();
    let start = tokio::time::Instant::now();
    let publisher = channel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        publisher.publish("a", Event::data("x")).unwrap();
    });
    body.frame().await.unwrap().unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        seen.push((start.elapsed().as_secs(), data.len() == 2));
    }
    assert_eq!(seen, [(5, false), (13, true), (21, true)]);
}

#[tokio::test]
async fn the_leaving_of_the_last_subscriber_of_a_topic_is_seen() {
    let channel = Channel::new();
    let (first, second) = (channel.subscribe(["a"]).body(), channel.subscribe(["a", "b"]).body());
    assert_eq!((channel.subscribers(), channel.subscribers_of("a"), channel.subscribers_of("c")), (2, 2, 0));
    let watcher = channel.clone();
    let gone = tokio::spawn(async move { watcher.unwatched("a").await });
    drop(first);
    tokio::task::yield_now().await;
    assert!(!gone.is_finished());
    drop(second);
    gone.await.unwrap();
    assert_eq!(channel.subscribers(), 0);
    let watcher = channel.clone();
    let come = tokio::spawn(async move { watcher.watched("b").await });
    tokio::task::yield_now().await;
    let body = channel.subscribe(["b"]).body();
    come.await.unwrap();
    drop(body);
}

#[tokio::test]
async fn a_guard_is_dropped_with_its_stream() {
    let channel = Channel::new();
    let counted = Arc::new(());
    let body = channel.subscribe(["a"]).holding(Arc::clone(&counted)).body();
    let ended = channel.subscribe(["a"]).holding(Arc::clone(&counted)).body();
    assert_eq!(Arc::strong_count(&counted), 3);
    drop(body);
    assert_eq!(Arc::strong_count(&counted), 2);
    channel.finish();
    Reader::new(ended).rest().await;
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[tokio::test]
async fn an_id_that_no_client_could_send_back_is_refused() {
    let channel = Channel::new();
    for id in ["", "earliest", "e1-2", " a", "a\u{7f}", &"x".repeat(4097)] {
        let event = Event::data("x").with_id(id.try_into().unwrap());
        assert!(matches!(channel.publish("a", event), Err(PublishError::Id(_))), "{id:?}");
    }
    assert!(matches!(channel.publish_on(Vec::<&str>::new(), Event::data("x")), Err(PublishError::NoTopic)));
    assert_eq!(channel.retained(), 0);
}

#[cfg(feature = "json")]
#[tokio::test]
async fn a_value_is_published_as_json() {
    let channel = Channel::new();
    let mut reader = read(channel.subscribe(["a"]));
    channel.publish_json("a", &("line\nbreak", 1)).unwrap();
    assert_eq!(reader.take(1).await, ["[\"line\\nbreak\",1]"]);
}
