//! Bytes as a stream.

use fanfare_wire::{Decoder, Limits};

use crate::numbers;
use crate::reading::{cut, decode, decode_with, oracle};

/// Pieces of streams that are full of traps.
pub const WORDS: &[&[u8]] = &[
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\r\r",
    b"data",
    b"data:",
    b"data: ",
    b"event: ",
    b"id: ",
    b"id",
    b"retry: ",
    b":",
    b" ",
    b"0",
    b"12",
    b"\0",
    b"\x1E",
    b"\xEF\xBB\xBF",
    b"\xEF",
    b"\xBB",
    b"\xE2\x82",
    b"\xFF",
    b"\xC3\xA9",
    b"\xF0\x9F\x98\x80",
    b":\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n",
];

/// Decodes `stream` whole, cut at random and byte by byte: each must say what a plain reading of the standard says. Under
/// small limits, and with comments passed over, all must say the same.
pub fn check(stream: &[u8]) {
    let mut numbers = numbers(stream);
    let cuts: Vec<usize> = (0..numbers.usize(..8)).map(|_| numbers.usize(..=stream.len())).collect();
    let (whole, cut, bytes) = ([stream], cut(stream, &cuts), stream.chunks(1).collect::<Vec<_>>());
    let expected = oracle(stream);
    for chunks in [&whole[..], &cut, &bytes] {
        assert_eq!(decode(chunks), expected, "in chunks {chunks:?}");
    }
    let mut limits = Limits::DEFAULT;
    (limits.event_bytes, limits.line_bytes, limits.name_bytes) =
        (numbers.usize(..64), numbers.usize(..64), numbers.usize(..16));
    for limits in [Limits::DEFAULT, limits] {
        let decoder = || Decoder::with_limits(limits);
        let expected = decode_with(decoder(), &whole);
        for chunks in [&cut, &bytes] {
            assert_eq!(decode_with(decoder(), chunks), expected, "under {limits:?} in chunks {chunks:?}");
        }
    }
}
