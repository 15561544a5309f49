//! Nanoseconds to encode an event.

use std::hint::black_box;
use std::time::Instant;

use axum::response::sse;
use fanfare_wire::Event;

use crate::median;

/// What an event is made of.
struct Parts {
    id: Option<String>,
    event_type: Option<&'static str>,
    data: String,
}

/// Events encoded in turn, so that no branch learns a single one by heart.
const EVENTS: usize = 64;

/// How often all of them are encoded in a round.
const TIMES: usize = 400;

/// Prints a table: nanoseconds an event, and the ratio to axum's `Event`, built and dropped.
pub fn report(rounds: usize) {
    println!(
        "| workload | axum `Event` | reused buffer | ratio | built from text, reused buffer | ratio | a buffer each | ratio |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let delta = |n: usize| {
        format!(
            "{{\"id\":\"chatcmpl-{n:012}\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word\"}},\"finish_reason\":null}}],\"model\":\"model-4\",\"created\":1763500000}}"
        )
    };
    let html = |n: usize| {
        (0..30)
            .map(|k| format!("    <li id=\"item-{:06}\" class=\"row\">text text</li>", n * 30 + k))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let plain = |data: String| Parts { id: None, event_type: None, data };
    row("tokens", (0..EVENTS).map(|n| plain(delta(n))).collect(), rounds);
    let notification = |n: usize| Parts {
        id: Some(format!("e19a9c3b5d40-{n}")),
        event_type: Some("notification"),
        data: format!("{{\"n\":{n:010},\"text\":\"{}\"}}", "abcdefghijklmnopqrstuvwxyz 0123456789 ".repeat(27)),
    };
    row("notifications", (0..EVENTS).map(notification).collect(), rounds);
    row("HTML of 30 lines", (0..EVENTS).map(|n| plain(html(n))).collect(), rounds);
}

fn row(name: &str, parts: Vec<Parts>, rounds: usize) {
    let events: Vec<Event> = parts.iter().map(event).collect();
    let mut buffer = Vec::with_capacity(1 << 16);
    let mut times = [(); 4].map(|()| Vec::new());
    for _ in 0..rounds {
        times[0].push(time(|n| drop(black_box(axum_event(&parts[n])))));
        times[1].push(time(|n| {
            buffer.clear();
            events[n].encode(&mut buffer);
            black_box(&buffer);
        }));
        times[2].push(time(|n| {
            buffer.clear();
            event(&parts[n]).encode(&mut buffer);
            black_box(&buffer);
        }));
        times[3].push(time(|n| {
            let mut buffer = Vec::new();
            events[n].encode(&mut buffer);
            drop(black_box(bytes::Bytes::from(buffer)));
        }));
    }
    let ratio =
        |column: usize| median(times[column].iter().zip(&times[0]).map(|(ours, theirs)| ours / theirs).collect());
    let ratios = [1, 2, 3].map(ratio);
    let [theirs, reused, built, each] = times.map(median);
    println!(
        "| {name} | {theirs:.1} | {reused:.1} | {:.2} | {built:.1} | {:.2} | {each:.1} | {:.2} |",
        ratios[0], ratios[1], ratios[2]
    );
}

/// Nanoseconds of each call, on average.
fn time(mut encode: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    for _ in 0..TIMES {
        (0..EVENTS).for_each(&mut encode);
    }
    start.elapsed().as_secs_f64() * 1e9 / (TIMES * EVENTS) as f64
}

fn event(parts: &Parts) -> Event {
    let mut event = Event::data(parts.data.as_str());
    if let Some(id) = &parts.id {
        event = event.with_id(id.as_str().try_into().expect("an id"));
    }
    if let Some(event_type) = parts.event_type {
        event = event.with_type(event_type.try_into().expect("a type"));
    }
    event
}

fn axum_event(parts: &Parts) -> sse::Event {
    let mut event = sse::Event::default();
    if let Some(id) = &parts.id {
        event = event.id(id);
    }
    if let Some(event_type) = parts.event_type {
        event = event.event(event_type);
    }
    event.data(&parts.data)
}
