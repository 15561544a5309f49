use std::time::Duration;

use super::*;
use crate::doctor::report::Verdict;
use crate::doctor::stream::{End, Event, Piece};

/// What was seen of pieces `(ms, bytes, whether it ends within a line)`, with an event in each.
fn seen(pieces: &[(u64, usize, bool)], end_ms: Option<u64>) -> Seen {
    let started = Instant::now();
    let at = |ms| started + Duration::from_millis(ms);
    let mut seen = Seen::new(started);
    for &(ms, bytes, cuts_a_line) in pieces {
        seen.pieces.push(Piece { at: at(ms), bytes, cuts_a_line });
        seen.bytes += bytes;
        let (event_type, data) = ("message".to_owned(), String::new());
        seen.events.push(Event { at: at(ms), event_type, data, id: ms.to_string() });
    }
    seen.end = end_ms.map(|ms| End { at: at(ms), cut: None });
    seen
}

#[test]
fn the_shape_of_a_watched_stream_tells_of_a_buffer() {
    for (pieces, end_ms, expected) in [
        (&[][..], None, Verdict::Unknown),
        (&[(5, 40, false)], None, Verdict::Unknown),
        // An event a second.
        (&[(5, 40, false), (1_005, 40, false), (2_005, 40, false)], None, Verdict::Ok),
        // A buffer of 4 KiB.
        (&[(3_000, 4_096, true), (6_000, 4_096, true), (9_000, 4_096, true)], None, Verdict::Problem),
        // The same in the pieces of a network.
        (&[(3_000, 1_448, true), (3_001, 2_648, true), (6_000, 4_096, true)], None, Verdict::Problem),
        // Large events that came in several pieces.
        (&[(5, 1_448, true), (6, 500, false), (1_005, 1_448, true), (1_006, 500, false)], None, Verdict::Ok),
        // All with the end, late; and the same at once, which a fast server does.
        (&[(4_000, 100, false), (4_001, 100, false)], Some(4_002), Verdict::Problem),
        (&[(10, 100, false), (11, 100, false)], Some(12), Verdict::Unknown),
    ] {
        let check = of_watched(&seen(pieces, end_ms), false, false);
        assert_eq!(check.verdict, expected, "{pieces:?} {check:?}");
    }
}

#[test]
fn the_first_comment_of_a_hub_tells_enough() {
    let seen = seen(&[(1, 3, false)], None);
    assert_eq!(of_watched(&seen, true, false).verdict, Verdict::Ok);
    assert_eq!(of_watched(&seen, true, true).verdict, Verdict::Unknown);
}
