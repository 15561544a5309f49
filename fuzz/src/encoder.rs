//! Bytes as an event.

use std::time::Duration;

use fanfare_wire::{Event, EventId, EventType, encode_comment};

use crate::numbers;
use crate::reading::{cut, decode};

pub use crate::decoder::WORDS;

/// Makes an event of four parts of `bytes`, cut at 0x1E (so that line breaks can be in each): type, id, reconnection time
/// and data. What can't be a type or an id must be refused; what was encoded must be decoded to that one event.
pub fn check(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |byte| *byte == 0x1E).map(String::from_utf8_lossy);
    let mut part = || parts.next().unwrap_or_default();
    let (event_type, id, retry, data) = (part(), part(), part(), part());
    let is_one_line = |text: &str| !text.contains(['\r', '\n', '\0']);

    let mut event = Event::data(data.clone());
    let mut expected = Vec::new();
    let mut expected_type = "message";
    match EventType::new(event_type.clone()) {
        Ok(valid) => {
            assert!(is_one_line(&event_type) && !event_type.is_empty(), "{event_type:?} was taken as a type");
            event = event.with_type(valid);
            expected_type = &event_type;
        }
        Err(_) => assert!(!is_one_line(&event_type) || event_type.is_empty(), "{event_type:?} was refused as a type"),
    }
    let mut expected_id = "";
    match EventId::new(id.clone()) {
        Ok(valid) => {
            assert!(is_one_line(&id), "{id:?} was taken as an id");
            event = event.with_id(valid);
            expected_id = &id;
        }
        Err(_) => assert!(!is_one_line(&id), "{id:?} was refused as an id"),
    }
    if let Ok(milliseconds) = retry.parse::<u64>() {
        event = event.with_retry(Duration::from_millis(milliseconds));
        expected.push(format!("retry {milliseconds}"));
    }
    let text = data.replace("\r\n", "\n").replace('\r', "\n");
    expected.push(format!("{expected_type}|{text}|{expected_id}"));

    let mut encoded = Vec::new();
    event.encode(&mut encoded);
    let mut numbers = numbers(bytes);
    let cuts: Vec<usize> = (0..numbers.usize(..4)).map(|_| numbers.usize(..=encoded.len())).collect();
    assert_eq!(decode(&cut(&encoded, &cuts)), expected);
    chunk_holds(&event, &encoded);
    id_goes_into_the_slot(&event, &encoded, expected_id);
    comment_is_nothing_else(&data);
}

/// The chunk of HTTP/1.1 has the event's bytes and says how many.
fn chunk_holds(event: &Event, encoded: &[u8]) {
    let mut chunk = Vec::new();
    event.encode_chunk(&mut chunk);
    let end = chunk.iter().position(|byte| *byte == b'\r').expect("a chunk's size ends with CR");
    let size = std::str::from_utf8(&chunk[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
    assert_eq!(size, Some(encoded.len()));
    assert_eq!(chunk[end..], [b"\r\n", encoded, b"\r\n"].concat());
}

fn id_goes_into_the_slot(event: &Event, encoded: &[u8], id: &str) {
    if event.id().is_some() {
        let (mut bytes, slot) = event.encode_with_id_slot();
        bytes.splice(slot..slot, id.bytes());
        assert_eq!(bytes, encoded);
    }
}

fn comment_is_nothing_else(text: &str) {
    let mut encoded = Vec::new();
    encode_comment(text, &mut encoded);
    let found = decode(&[&encoded]);
    assert!(found.iter().all(|found| found.starts_with(':')), "{text:?} as a comment says {found:?}");
}
