//! Nothing that an application puts into an event can become another field or another event.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fanfare_server::{Event, EventId, EventStream, EventType};
use fanfare_wire::{Decoded, Decoder};
use futures_util::stream;
use http_body_util::BodyExt;
use proptest::prelude::*;

/// What a client hears: types, ids and data, reconnection times.
fn decode(bytes: &[u8]) -> (Vec<(String, String, String)>, usize) {
    let (mut rest, mut decoder) = (bytes, Decoder::new().with_comments());
    let (mut events, mut others) = (Vec::new(), 0);
    while let Some(decoded) = decoder.decode(&mut rest) {
        match decoded {
            Decoded::Event(message) => {
                events.push((message.event_type.into(), message.last_event_id.into(), message.data.into()));
            }
            Decoded::Comment(_) => {}
            _ => others += 1,
        }
    }
    (events, others)
}

fn sent(events: Vec<Event>) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = EventStream::new(stream::iter(events)).response().into_body();
    runtime.block_on(body.collect()).unwrap().to_bytes().to_vec()
}

/// As a client hears it: every line end is a line feed (S2).
fn heard(data: &str) -> String {
    data.replace("\r\n", "\n").replace('\r', "\n")
}

const BREAKS: [&str; 3] = ["\n", "\r", "\r\n"];

#[test]
fn data_with_any_line_break_is_one_event() {
    for line_break in BREAKS {
        for attack in ["data: x", "id: 7", "event: admin", "retry: 1", ": c", "", "data: x\n\ndata: y"] {
            for data in
                [format!("a{line_break}{attack}"), format!("{line_break}{attack}"), format!("{attack}{line_break}")]
            {
                let (events, others) = decode(&sent(vec![Event::data(&data), Event::data("next")]));
                let expected = [heard(&data), "next".into()].map(|data| ("message".into(), String::new(), data));
                assert_eq!((events, others), (expected.to_vec(), 0), "{data:?}");
            }
        }
    }
}

#[test]
fn an_id_or_a_type_with_a_line_break_can_not_be_made() {
    for line_break in BREAKS.into_iter().chain(["\0"]) {
        let text = format!("a{line_break}data: x");
        assert!(EventId::new(text.as_str()).is_err() && EventType::new(text.as_str()).is_err(), "{text:?}");
    }
}

#[test]
fn an_event_with_empty_data_and_one_with_outer_spaces_are_themselves() {
    let (events, _) = decode(&sent(["", " ", "  a ", "\t"].map(Event::data).to_vec()));
    assert_eq!(events.into_iter().map(|event| event.2).collect::<Vec<_>>(), ["", " ", "  a ", "\t"]);
}

#[test]
fn a_comment_with_any_line_break_is_only_a_comment() {
    for line_break in BREAKS {
        let mut bytes = Vec::new();
        fanfare_wire::encode_comment(&format!("a{line_break}data: x{line_break}{line_break}id: 1"), &mut bytes);
        bytes.extend_from_slice(b"\n");
        assert_eq!(decode(&bytes), (Vec::new(), 0));
    }
}

/// Text in which everything that means something to the format is likely.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\r\n".to_owned()),
        Just("\0".to_owned()),
        Just("data:".to_owned()),
        Just("id: 1".to_owned()),
        Just("event:x".to_owned()),
        Just("retry: 1".to_owned()),
        Just(":".to_owned()),
        Just(" ".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("\u{2028}".to_owned()),
        ".{0,4}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_sent_is_what_is_heard(events in proptest::collection::vec((hostile(), hostile(), hostile()), 1..5)) {
        let (mut expected, mut id_now) = (Vec::new(), String::new());
        let made = events.into_iter().map(|(data, id, event_type)| {
            let mut event = Event::data(&data);
            if let Ok(id) = EventId::new(id) {
                id_now = id.as_str().to_owned();
                event = event.with_id(id);
            }
            let mut name = "message".to_owned();
            if let Ok(event_type) = EventType::new(event_type) {
                name = event_type.as_str().to_owned();
                event = event.with_type(event_type);
            }
            expected.push((name, id_now.clone(), heard(&data)));
            event
        }).collect();
        prop_assert_eq!(decode(&sent(made)), (expected, 0));
    }
}
