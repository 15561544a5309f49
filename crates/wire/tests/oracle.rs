//! The decoder against a reading of the standard so plain that it is right at a glance, on random streams in random
//! chunks; and the round trip from events to bytes and back.

use fanfare_wire::{Decoded, Decoder, Event, Limits};
use proptest::prelude::*;

/// What a stream says, in the standard's own order: whole lines, whole buffers, no chunks, no limits.
fn oracle(stream: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let Some((complete, _unfinished)) = text.rsplit_once('\n') else { return Vec::new() };
    let (mut found, mut data, mut event_type, mut id) = (Vec::new(), String::new(), String::new(), String::new());
    for line in complete.split('\n') {
        if line.is_empty() {
            if let Some(data) = data.strip_suffix('\n') {
                let event_type = if event_type.is_empty() { "message" } else { &event_type };
                found.push(format!("{event_type}|{data}|{id}"));
            }
            data.clear();
            event_type.clear();
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let field = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => found.push(format!(":{value}")),
            "data" => data += &format!("{field}\n"),
            "event" => event_type = field.to_owned(),
            "id" if !field.contains('\0') => id = field.to_owned(),
            "retry" if !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit()) => {
                found.push(format!("retry {}", field.parse().unwrap_or(u64::MAX)));
            }
            _ => {}
        }
    }
    found
}

fn decode(chunks: &[&[u8]]) -> Vec<String> {
    decode_with(Decoder::new().with_comments(), chunks)
}

fn decode_with(mut decoder: Decoder, chunks: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    for mut chunk in chunks.iter().copied() {
        while let Some(decoded) = decoder.decode(&mut chunk) {
            found.push(match decoded {
                Decoded::Event(m) => format!("{}|{}|{}", m.event_type, m.data, m.last_event_id),
                Decoded::Comment(text) => format!(":{text}"),
                Decoded::Retry(milliseconds) => format!("retry {milliseconds}"),
                Decoded::Skipped(s) => format!("skipped {:?} {}|{}", s.reason, s.bytes, s.last_event_id),
                other => panic!("unknown: {other:?}"),
            });
        }
    }
    found
}

/// Cuts `stream` at the given places, taken modulo what is left.
fn cut<'a>(mut stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for cut in cuts {
        let (chunk, rest) = stream.split_at(cut % (stream.len() + 1));
        chunks.push(chunk);
        stream = rest;
    }
    chunks.push(stream);
    chunks
}

/// Pieces from which streams full of traps are put together.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec![
            &b"\n"[..], b"\r", b"\r\n", b"\n\n", b"\r\r", b"data", b"data:", b"data: ", b"event: ", b"id: ", b"id", b"retry: ",
            b":", b" ", b"0", b"12", b"\0", b"\xEF\xBB\xBF", b"\xEF", b"\xBB", b"\xE2\x82", b"\xFF", "é😀".as_bytes(), b"Data: ",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ]
}

/// Text with many line breaks and spaces in it.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![Just('\n'), Just('\r'), Just(' '), Just(':'), any::<char>()], 0..24)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    #[test]
    fn any_chunking_says_what_the_standard_says(
        pieces in prop::collection::vec(piece(), 0..40),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let stream = pieces.concat();
        let expected = oracle(&stream);
        prop_assert_eq!(&decode(&[&stream]), &expected);
        prop_assert_eq!(&decode(&cut(&stream, &cuts)), &expected);
        prop_assert_eq!(&decode(&stream.chunks(1).collect::<Vec<_>>()), &expected);
    }

    /// What is too large, and why, does not depend on the chunks either; nor does anything else if comments are passed
    /// over, which is another way through the decoder.
    #[test]
    fn any_chunking_meets_the_same_limits(
        pieces in prop::collection::vec(piece(), 0..60),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        event_bytes in 0_usize..24,
        line_bytes in 0_usize..24,
        name_bytes in 0_usize..6,
        comments in any::<bool>(),
    ) {
        let stream = pieces.concat();
        let decoder = || {
            let mut limits = Limits::DEFAULT;
            (limits.event_bytes, limits.line_bytes, limits.name_bytes) = (event_bytes, line_bytes, name_bytes);
            let decoder = Decoder::with_limits(limits);
            if comments { decoder.with_comments() } else { decoder }
        };
        let expected = decode_with(decoder(), &[&stream]);
        prop_assert_eq!(&decode_with(decoder(), &cut(&stream, &cuts)), &expected);
        prop_assert_eq!(&decode_with(decoder(), &stream.chunks(1).collect::<Vec<_>>()), &expected);
    }

    #[test]
    fn what_was_encoded_is_decoded_to_the_one_event(
        data in text(),
        id in prop::option::of("[^\r\n\0]{0,12}"),
        event_type in prop::option::of("[^\r\n\0]{1,12}"),
        retry in prop::option::of(any::<u32>()),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let mut event = Event::data(data.clone());
        let mut expected = Vec::new();
        if let Some(id) = &id {
            event = event.with_id(id.as_str().try_into().unwrap());
        }
        if let Some(event_type) = &event_type {
            event = event.with_type(event_type.as_str().try_into().unwrap());
        }
        if let Some(retry) = retry {
            event = event.with_retry(std::time::Duration::from_millis(retry.into()));
            expected.push(format!("retry {retry}"));
        }
        let data = data.replace("\r\n", "\n").replace('\r', "\n");
        expected.push(format!("{}|{data}|{}", event_type.as_deref().unwrap_or("message"), id.unwrap_or_default()));
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        prop_assert_eq!(decode(&cut(&bytes, &cuts)), expected);
    }
}
