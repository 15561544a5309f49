//! Tables for each clause of the parser. Every table is decoded whole and in every pair of chunks.

use super::*;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

/// What [`decode_all`] writes down for each thing found: `type|data|last id`, `:comment`, `retry N`, `skipped …`.
fn show(decoded: &Decoded<'_>) -> String {
    match decoded {
        Decoded::Event(m) => format!("{}|{}|{}", m.event_type, m.data, m.last_event_id),
        Decoded::Comment(text) => format!(":{text}"),
        Decoded::Retry(milliseconds) => format!("retry {milliseconds}"),
        Decoded::Skipped(s) => format!("skipped {:?} {}|{}", s.reason, s.bytes, s.last_event_id),
    }
}

fn decode_all(decoder: &mut Decoder, chunks: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    for mut chunk in chunks.iter().copied() {
        while let Some(decoded) = decoder.decode(&mut chunk) {
            found.push(show(&decoded));
        }
    }
    found
}

fn check_with(limits: Limits, stream: &[u8], expected: &[&str]) {
    assert_eq!(
        decode_all(&mut Decoder::with_limits(limits).with_comments(), &[stream]),
        expected,
        "whole: {:?}",
        stream.escape_ascii().to_string()
    );
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(
        decode_all(&mut Decoder::with_limits(limits).with_comments(), &bytes),
        expected,
        "bytewise: {:?}",
        stream.escape_ascii().to_string()
    );
    for at in 0..=stream.len() {
        let (a, b) = stream.split_at(at);
        assert_eq!(
            decode_all(&mut Decoder::with_limits(limits).with_comments(), &[a, b]),
            expected,
            "cut at {at}: {:?}",
            stream.escape_ascii().to_string()
        );
    }
}

fn check(stream: impl AsRef<[u8]>, expected: &[&str]) {
    check_with(Limits::DEFAULT, stream.as_ref(), expected);
}

#[test]
fn p1_one_byte_order_mark_is_stripped_and_only_one() {
    check("\u{feff}data: a\n\n", &["message|a|"]);
    check("\u{feff}\u{feff}data: a\n\n", &[]);
    check("\u{feff}\n\ndata: a\n\n", &["message|a|"]);
    check("\u{feff}:c\ndata: a\n\n", &[":c", "message|a|"]);
    check("data: \u{feff}a\n\n", &["message|\u{feff}a|"]);
    check("data: a\n\n\u{feff}data: b\n\n", &["message|a|"]);
    check(b"\xEF\xBBdata: a\n\ndata: b\n\n", &["message|b|"]);
    check(b"\xEF\n\ndata: b\n\n", &["message|b|"]);
}

#[test]
fn p1_invalid_utf8_becomes_replacement_characters() {
    check(b"data: \xFF\n\n", &["message|\u{fffd}|"]);
    check(b"data: a\xE2\x82b\n\n", &["message|a\u{fffd}b|"]);
    check(b"data: \xF0\x9F\x98\n\n", &["message|\u{fffd}|"]);
    check(b"data: \xED\xA0\x80\n\n", &["message|\u{fffd}\u{fffd}\u{fffd}|"]);
    check(b"event: \xC0\x80\nid: \xFE\ndata: x\n\n", &["\u{fffd}\u{fffd}|x|\u{fffd}"]);
    check("data: \u{1f600}é\n\n", &["message|\u{1f600}é|"]);
}

#[test]
fn p2_three_line_ends_and_no_others() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = format!("data: a{end}data: b{end}{end}data: c{end}{end}");
        check(&stream, &["message|a\nb|", "message|c|"]);
    }
    check("data: a\r\n\rdata: b\n\r\n", &["message|a|", "message|b|"]);
    check("data: a\u{85}b\u{2028}c\u{b}d\u{c}e\n\n", &["message|a\u{85}b\u{2028}c\u{b}d\u{c}e|"]);
}

#[test]
fn p2_a_final_cr_dispatches_at_once() {
    let mut decoder = Decoder::new();
    assert_eq!(decode_all(&mut decoder, &[b"data: a\r\r"]), ["message|a|"]);
    assert_eq!(decode_all(&mut decoder, &[b"\ndata: b\r", b"\r"]), ["message|b|"]);
    assert_eq!(decode_all(&mut decoder, &[b"\n\r\n"]), [""; 0]);
}

#[test]
fn p3_comments_one_space_and_lines_without_a_colon() {
    check(":\n: a\n:a:b\n", &[":", ": a", ":a:b"]);
    check("data:a\n\n", &["message|a|"]);
    check("data:  a\n\n", &["message| a|"]);
    check("data:\ta\n\n", &["message|\ta|"]);
    check("data:a:b\n\n", &["message|a:b|"]);
    check("data\n\n", &["message||"]);
    check("event\nid\ndata\n\n", &["message||"]);
}

#[test]
fn p4_unknown_fields_are_ignored() {
    for name in ["Data", " data", "data\0", "da-ta", "DATA", "\u{feff}data", "dat", "dataa", "data "] {
        check(format!("x: 1\n{name}: 2\n\n"), &[]);
    }
}

#[test]
fn p5_the_last_type_counts_and_the_empty_one_is_message() {
    check("event: a\nevent: b\ndata: x\n\ndata: y\n\n", &["b|x|", "message|y|"]);
    check("event: a\nevent:\ndata: x\n\n", &["message|x|"]);
    check("event: a\n\ndata: x\n\n", &["message|x|"]);
}

#[test]
fn p6_and_p10_data_lines_are_joined_and_empty_data_is_an_event() {
    check("data\n\n", &["message||"]);
    check("data:\n\n", &["message||"]);
    check("data\ndata\n\n", &["message|\n|"]);
    check("data: a\ndata\ndata: b\n\n", &["message|a\n\nb|"]);
}

#[test]
fn p7_ids_persist_reset_and_hold_no_nul() {
    check("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", &["message|a|1", "message|b|1", "message|c|"]);
    check("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", &["message|a|1", "message|b|1"]);
    check("id: 1\nid: 2\ndata: a\n\n", &["message|a|2"]);
}

#[test]
fn p8_retry_is_digits_and_counts_from_its_line_on() {
    check("retry: 1000\n", &["retry 1000"]);
    check("retry:03000\n", &["retry 3000"]);
    check("retry: 99999999999999999999999\n", &["retry 18446744073709551615"]);
    for ignored in ["1000x", "+5", "  5", "", "-1", "1.5", "٣"] {
        check(format!("retry: {ignored}\ndata: a\n\n"), &["message|a|"]);
    }
}

#[test]
fn p8_a_retry_that_is_not_held_whole_is_ignored() {
    let limits = Limits { line_bytes: 99, event_bytes: 99, name_bytes: 4 };
    check_with(
        limits,
        b"retry: 1234\nretry: 12345\nretry: 123456\nretry: 12345x\ndata: a\n\n",
        &["retry 1234", "message|a|"],
    );
    check(format!("retry: {}x\n", "1".repeat(1 << 14)), &[]);
}

#[test]
fn p9_an_id_counts_without_data_and_the_type_does_not_stay() {
    check("id: 1\n\ndata: a\n\n", &["message|a|1"]);
    check("event: t\nid: 1\n\ndata: a\n\n", &["message|a|1"]);
    let mut decoder = Decoder::new();
    assert_eq!(decode_all(&mut decoder, &[b"id: 9\n\n"]), [""; 0]);
    assert_eq!(decoder.last_event_id(), "9");
}

#[test]
fn p11_and_p12_an_unfinished_block_is_dropped_with_its_id() {
    let mut decoder = Decoder::new();
    assert_eq!(decode_all(&mut decoder, &[b"id: 1\ndata: a\n\nid: 2\nevent: t\ndata: lost\ndat"]), ["message|a|1"]);
    decoder.reconnect();
    assert_eq!(decoder.last_event_id(), "1");
    assert_eq!(decode_all(&mut decoder, &["\u{feff}data: b\n\n".as_bytes()]), ["message|b|1"]);
    decoder.reconnect();
    assert_eq!(decode_all(&mut decoder, &[b"\r"]), [""; 0]);
    decoder.reconnect();
    assert_eq!(decode_all(&mut decoder, &[b"\ndata: c\n\n"]), ["message|c|1"]);
}

#[test]
fn p12_the_id_is_seeded() {
    let mut decoder = Decoder::new();
    decoder.set_last_event_id(&"seed".try_into().unwrap());
    assert_eq!(decode_all(&mut decoder, &[b"data: a\n\n"]), ["message|a|seed"]);
}

#[test]
fn p14_nul_is_data() {
    check("data: a\0b\n\n: \0\n", &["message|a\0b|", ": \0"]);
}

#[test]
fn an_event_over_the_limit_is_skipped_and_the_stream_goes_on() {
    let limits = Limits { line_bytes: 12, event_bytes: 8, name_bytes: 4 };
    check_with(limits, b"data: 12345678\n\n", &["skipped Line 15|"]);
    check_with(limits, b"data:1234\ndata:123\n\ndata:b\n\n", &["message|1234\n123|", "message|b|"]);
    check_with(limits, b"data:1234\ndata:1234\n\ndata:b\n\n", &["skipped Event 20|", "message|b|"]);
    check_with(limits, b"data:12345678\ndata:b\n\ndata:c\n\n", &["skipped Line 21|", "message|c|"]);
    check_with(limits, b"event:12345\ndata:a\n\nevent:1234\ndata:b\n\n", &["skipped Name 19|", "1234|b|"]);
}

#[test]
fn a_skipped_events_id_counts_if_it_was_read_whole() {
    let limits = Limits { line_bytes: 12, event_bytes: 8, name_bytes: 4 };
    check_with(limits, b"id:7\ndata:123456789\n\ndata:b\n\n", &["skipped Line 20|7", "message|b|7"]);
    check_with(limits, b"data:123456789\nid:7\n\ndata:b\n\n", &["skipped Line 20|7", "message|b|7"]);
    check_with(limits, b"id:1\ndata:a\n\nid:12345\ndata:b\n\n", &["message|a|1", "skipped Name 16|1"]);
}

#[test]
fn oversized_comments_and_unknown_fields_harm_no_event() {
    let limits = Limits { line_bytes: 12, event_bytes: 8, name_bytes: 4 };
    check_with(limits, b":1234567890123\ndata:a\n\n", &[":123456789012", "message|a|"]);
    check_with(limits, b"unknown: 1234567\ndata:a\n\n", &["message|a|"]);
    check_with(limits, b"nocolonatallanywhere\ndata:a\n\n", &["message|a|"]);
}

#[test]
fn an_endless_line_holds_no_more_than_the_limit() {
    let mut decoder = Decoder::with_limits(Limits::for_event_bytes(1 << 16));
    let chunk = vec![b'x'; 1 << 12];
    assert_eq!(decode_all(&mut decoder, &[b"data: "]), [""; 0]);
    for _ in 0..1 << 10 {
        assert_eq!(decode_all(&mut decoder, &[&chunk]), [""; 0]);
    }
    assert!(decoder.block.data.capacity() <= 1 << 18);
    assert_eq!(decode_all(&mut decoder, &[b"\nid: 3\n\ndata: b\n\n"]), ["skipped Event 4194317|3", "message|b|3"]);
}

#[test]
fn the_limits_are_met_exactly() {
    let limits = Limits::for_event_bytes(10_000);
    let exact = format!("data: {}\n\n", "x".repeat(10_000));
    let over = format!("data: {}\n\n", "x".repeat(10_001));
    let mut decoder = Decoder::with_limits(limits).with_comments();
    assert_eq!(decode_all(&mut decoder, &[exact.as_bytes()]), [format!("message|{}|", "x".repeat(10_000))]);
    assert_eq!(decode_all(&mut decoder, &[over.as_bytes()]), ["skipped Event 10008|"]);
}

/// Work is counted in bytes that were searched, not in time: at most two for each byte that came, however it came.
#[test]
fn the_work_is_linear_in_the_bytes_for_any_chunks() {
    type OfLength = fn(usize) -> Vec<u8>;
    let streams: [(&str, OfLength); 10] = [
        ("a data line without end", |n| [b"data: ".to_vec(), vec![b'x'; n]].concat()),
        ("a comment without end", |n| [b":".to_vec(), vec![b'x'; n]].concat()),
        ("a name without end", |n| vec![b'x'; n]),
        ("an id without end", |n| [b"id: ".to_vec(), vec![b'x'; n]].concat()),
        ("data lines without dispatch", |n| b"data: x\n".repeat(n / 8)),
        ("events", |n| b"id: 1\nevent: t\ndata: some text\n\n".repeat(n / 32)),
        ("events that end with CR", |n| b"id: 1\revent: t\rdata: some text\r\r".repeat(n / 32)),
        ("CR LF", |n| b"data: some text\r\n\r\n".repeat(n / 19)),
        ("keep-alives", |n| b":\n\n".repeat(n / 3)),
        ("empty lines", |n| b"\r\n\n\r".repeat(n / 4)),
    ];
    for (name, stream) in streams {
        for length in [1 << 10, 1 << 14, 1 << 18] {
            let stream = stream(length);
            for chunk in [1, 7, 16, 64, 1448, stream.len()] {
                let mut decoder = Decoder::new();
                decode_all(&mut decoder, &stream.chunks(chunk).collect::<Vec<_>>());
                let bound = 2 * stream.len() as u64;
                assert!(decoder.examined <= bound, "{name} in chunks of {chunk}: {} > {bound}", decoder.examined);
            }
        }
    }
}

#[test]
fn comments_are_passed_over_unless_asked_for() {
    let stream = b": a\n:\n\n:b\ndata: x\n: c\n\n: ping\n\n";
    assert_eq!(decode_all(&mut Decoder::new(), &[stream]), ["message|x|"]);
    for chunk in 1..stream.len() {
        assert_eq!(decode_all(&mut Decoder::new(), &stream.chunks(chunk).collect::<Vec<_>>()), ["message|x|"]);
    }
}

#[test]
fn a_huge_event_does_not_hold_its_memory() {
    let mut decoder = Decoder::new();
    let stream = format!("data: {}\ndata: x\n\ndata: y\n\n", "x".repeat(8 << 20));
    assert_eq!(decode_all(&mut decoder, &[stream.as_bytes()]).len(), 2);
    assert!(decoder.block.data.capacity() <= KEPT_BYTES);
}
