//! `fanfare demo`: three sources that a newcomer sees.

use crate::running::{Curl, Hub, curl};

#[test]
fn the_three_sources_publish() {
    let hub = Hub::start(&["demo"]);
    let mut all = Curl::follow(&hub.url("/events"), &[]);
    let seen = all.until(|line| line == "data: OK");
    assert!(seen.iter().any(|line| line == "event: heartbeat"), "{seen:?}");
    let counts: Vec<u64> = seen.iter().filter_map(|line| line.strip_prefix("data: ")?.parse().ok()).collect();
    assert!(counts.len() >= 3 && counts.is_sorted(), "{seen:?}");
    let metrics = seen.iter().find_map(|line| line.strip_prefix("data: {")).unwrap();
    let figures: serde_json::Value = serde_json::from_str(&format!("{{{metrics}")).unwrap();
    assert_eq!(figures["subscribers"], 1, "{figures}");
    let mut one = Curl::follow(&hub.url("/events/counter"), &["-H", "Last-Event-ID: earliest"]);
    one.until(|line| line == "data: 2");
}

#[test]
fn any_page_may_listen_as_in_the_tutorial() {
    let hub = Hub::start(&["demo"]);
    let head = curl(&["-I", &hub.url("/events")]);
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
}
