//! The decoder against a reading of the standard so plain that it is right at a glance, on random streams in random
//! chunks; and the round trip from events to bytes and back.

mod reading;

use fanfare_wire::{Decoder, Event, Limits};
use proptest::prelude::*;
use reading::{cut, decode, decode_with, oracle};

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
