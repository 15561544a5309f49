//! From fields to bytes. What can hold a line break is split or was refused before it came here.

use alloc::vec::Vec;
use core::time::Duration;

use memchr::memchr2;

use crate::EventId;

/// Appends a comment, one line of it for each line of `text` and no dispatch.
///
/// Comments keep a connection open and speak to people who read the stream; parsers ignore them (P3). A line break in
/// `text` starts a new comment line, so that nothing in it can become a field.
///
/// ```
/// let mut out = Vec::new();
/// fanfare_wire::encode_comment("going away\ndata: not a field", &mut out);
/// assert_eq!(out, b": going away\n: data: not a field\n");
/// ```
pub fn encode_comment(text: &str, out: &mut Vec<u8>) {
    if text.is_empty() {
        out.extend_from_slice(b":\n");
        return;
    }
    lines(b": ", text, out);
}

/// Appends a block that sets the client's reconnection time and dispatches no event.
///
/// ```
/// let mut out = Vec::new();
/// fanfare_wire::encode_retry(std::time::Duration::from_secs(1), &mut out);
/// assert_eq!(out, b"retry: 1000\n\n");
/// ```
pub fn encode_retry(delay: Duration, out: &mut Vec<u8>) {
    retry(delay, out);
    dispatch(out);
}

/// Appends a `retry` field without the empty line that would end a block: for the end of a stream, where a client takes
/// the field and drops the block (P8). `@microsoft/fetch-event-source` makes an empty message of each block without data.
///
/// ```
/// let mut out = Vec::new();
/// fanfare_wire::encode_last_retry(std::time::Duration::from_secs(1), &mut out);
/// assert_eq!(out, b"retry: 1000\n");
/// ```
pub fn encode_last_retry(delay: Duration, out: &mut Vec<u8>) {
    retry(delay, out);
}

/// Appends a block that sets the client's last event id and dispatches no event (P9).
///
/// ```
/// let mut out = Vec::new();
/// fanfare_wire::encode_id(&"42".try_into()?, &mut out);
/// assert_eq!(out, b"id: 42\n\n");
/// # Ok::<(), fanfare_wire::InvalidField>(())
/// ```
pub fn encode_id(value: &EventId, out: &mut Vec<u8>) {
    id(value.as_str(), out);
    dispatch(out);
}

/// What a line of each field takes beside its value, and the empty line.
pub(crate) const ID_BYTES: usize = b"id: \n".len();
pub(crate) const EVENT_BYTES: usize = b"event: \n".len();
pub(crate) const DATA_BYTES: usize = b"data: \n".len();
pub(crate) const DISPATCH_BYTES: usize = b"\n".len();

pub(crate) fn id(value: &str, out: &mut Vec<u8>) {
    field(b"id: ", value, out);
}

/// Writes an id field without a value and returns where the value goes.
pub(crate) fn id_with_slot(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(b"id: ");
    let slot = out.len();
    out.push(b'\n');
    slot
}

pub(crate) fn event_type(value: &str, out: &mut Vec<u8>) {
    field(b"event: ", value, out);
}

/// Whole milliseconds, at most `u64::MAX` of them: the format has no upper limit, but decoders do (P8).
pub(crate) fn retry(delay: Duration, out: &mut Vec<u8>) {
    let mut milliseconds = milliseconds(delay);
    let mut digits = [0_u8; 20];
    let first = digits.len() - digits_of(milliseconds);
    for digit in digits.iter_mut().skip(first).rev() {
        *digit = b'0' + (milliseconds % 10) as u8;
        milliseconds /= 10;
    }
    out.extend_from_slice(b"retry: ");
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
    out.push(b'\n');
}

/// The size of the line that [`retry`] writes.
pub(crate) fn retry_bytes(delay: Duration) -> usize {
    b"retry: \n".len() + digits_of(milliseconds(delay))
}

fn milliseconds(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

fn digits_of(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |power| power as usize + 1)
}

/// A line for each line of `value`, so also one for the empty value: without it there would be no event (S4, P10).
pub(crate) fn data(value: &str, out: &mut Vec<u8>) {
    lines(b"data: ", value, out);
}

/// The empty line that ends a block (P3).
pub(crate) fn dispatch(out: &mut Vec<u8>) {
    out.push(b'\n');
}

/// The two line ends of a chunk.
pub(crate) const CHUNK_OVERHEAD_BYTES: usize = 4;

/// How many hexadecimal digits the size of a chunk may need, if every byte of the event were a line end: those become
/// seven bytes each.
pub(crate) fn chunk_size_digits(event_bytes: usize) -> usize {
    const BYTES_PER_LINE: usize = b"data: \n".len();
    if event_bytes < (1 << 16) / BYTES_PER_LINE { 4 } else { 16 }
}

/// Writes a chunk's head with room for its size.
pub(crate) fn begin_chunk(digits: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + digits, b'0');
    out.extend_from_slice(b"\r\n");
}

/// Fills in the size of the chunk that began at `start`, and ends it.
pub(crate) fn end_chunk(start: usize, digits: usize, out: &mut Vec<u8>) {
    let mut size = out.len() - start - digits - 2;
    for digit in out.iter_mut().skip(start).take(digits).rev() {
        *digit = *b"0123456789abcdef".get(size & 0xF).unwrap_or(&b'0');
        size >>= 4;
    }
    out.extend_from_slice(b"\r\n");
}

/// The space after the colon is always written: a parser takes one away, and it may be the value's own (S3).
fn field(prefix: &[u8], value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(prefix);
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// Splits `value` at CRLF, CR and LF, the three line ends of the format and no others (S2, P2).
fn lines(prefix: &[u8], value: &str, out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(at) = memchr2(b'\n', b'\r', rest.as_bytes()) {
        let (line, end) = rest.split_at(at);
        field(prefix, line, out);
        rest = end.strip_prefix("\r\n").or_else(|| end.strip_prefix(['\r', '\n'])).unwrap_or_default();
    }
    field(prefix, rest, out);
}

#[cfg(test)]
mod tests {
    use crate::Event;
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::time::Duration;

    fn check(event: &Event, expected: &str) {
        let mut out = Vec::new();
        event.encode(&mut out);
        if expected.matches("data:").count() == 1 {
            assert_eq!(out.capacity(), out.len(), "allocated once, and full");
        }
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn every_field_stands_on_its_line_with_a_space_s3() {
        let event = Event::data(" padded")
            .with_id("7".try_into().unwrap())
            .with_type("note".try_into().unwrap())
            .with_retry(Duration::from_millis(1500));
        check(&event, "id: 7\nevent: note\nretry: 1500\ndata:  padded\n\n");
    }

    #[test]
    fn empty_data_is_still_an_event_s4() {
        check(&Event::data(""), "data: \n\n");
    }

    #[test]
    fn data_is_split_at_every_line_end_s2() {
        check(&Event::data("a\nb\rc\r\nd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
        check(&Event::data("\n"), "data: \ndata: \n\n");
        check(&Event::data("a\r\n"), "data: a\ndata: \n\n");
        check(&Event::data("\u{2028}\u{85}"), "data: \u{2028}\u{85}\n\n");
    }

    #[test]
    fn an_empty_id_resets_the_clients_s11() {
        check(&Event::data("x").with_id("".try_into().unwrap()), "id: \ndata: x\n\n");
    }

    #[test]
    fn retry_is_whole_milliseconds() {
        check(&Event::data("x").with_retry(Duration::ZERO), "retry: 0\ndata: x\n\n");
        check(&Event::data("x").with_retry(Duration::MAX), "retry: 18446744073709551615\ndata: x\n\n");
    }

    #[test]
    fn comments_cannot_become_fields() {
        let mut out = Vec::new();
        super::encode_comment("a\rdata: b\nid: c\r\nretry: 1", &mut out);
        assert_eq!(out, b": a\n: data: b\n: id: c\n: retry: 1\n");
    }

    #[test]
    fn a_chunk_holds_exactly_the_event() {
        for data in ["", "x", &"\n".repeat(9_000), &"\r\n".repeat(4_600), &"x".repeat(100_000)] {
            let event = Event::data(data).with_type("t".try_into().unwrap());
            let (mut plain, mut chunk) = (Vec::new(), b"before".to_vec());
            event.encode(&mut plain);
            event.encode_chunk(&mut chunk);
            let text = String::from_utf8(chunk).unwrap();
            let (size, rest) = text.strip_prefix("before").unwrap().split_once("\r\n").unwrap();
            assert_eq!(usize::from_str_radix(size, 16), Ok(plain.len()));
            assert_eq!(rest, String::from_utf8(plain).unwrap() + "\r\n");
        }
    }

    #[test]
    fn the_id_slot_is_where_the_id_is_read_from() {
        let event = Event::data("x").with_type("t".try_into().unwrap());
        let (mut bytes, slot) = event.encode_with_id_slot();
        bytes.splice(slot..slot, *b"e1-2");
        let mut expected = Vec::new();
        event.with_id("e1-2".try_into().unwrap()).encode(&mut expected);
        assert_eq!(bytes, expected);
    }
}
