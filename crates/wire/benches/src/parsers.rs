//! The candidates. Each counts events and bytes of data, so that what they find can be compared.

use std::convert::Infallible;
use std::hint::black_box;
use std::ops::Deref;

use futures_util::{FutureExt, Stream, StreamExt, stream};

/// Decodes a stream cut into chunks, and gives events and bytes of data.
pub type Parser = fn(&'static [u8], usize) -> (usize, usize);

pub const PARSERS: [(&str, Parser); 6] = [
    ("fanfare-wire", fanfare),
    ("sse-core", sse_core),
    ("sse-stream", sse_stream),
    ("sse-parse", sse_parse),
    ("sseer", sseer),
    ("eventsource-stream", eventsource_stream),
];

/// What no decoder that searches a line's end and then checks UTF-8 can be faster than: each chunk searched for a byte
/// that is not there, and checked.
pub fn read_twice(bytes: &'static [u8], chunk: usize) -> (usize, usize) {
    let is_plain = |chunk: &&[u8]| memchr::memchr2(0, 1, chunk).is_none() && simdutf8::basic::from_utf8(chunk).is_ok();
    (black_box(bytes.chunks(chunk).filter(is_plain).count()), bytes.len())
}

fn fanfare(bytes: &'static [u8], chunk: usize) -> (usize, usize) {
    let mut decoder = fanfare_wire::Decoder::new();
    let (mut events, mut data) = (0, 0);
    for mut chunk in bytes.chunks(chunk) {
        while let Some(decoded) = decoder.decode(&mut chunk) {
            if let fanfare_wire::Decoded::Event(message) = decoded {
                events += 1;
                data += black_box(message.data).len();
            }
        }
    }
    (events, data)
}

fn sse_core(bytes: &'static [u8], chunk: usize) -> (usize, usize) {
    let mut decoder = sse_core::SseDecoder::with_limit(std::num::NonZero::new(16 << 20).expect("not zero"));
    let (mut events, mut data) = (0, 0);
    for mut chunk in bytes.chunks(chunk) {
        while let Some(Ok(event)) = decoder.next(&mut chunk) {
            if let sse_core::SseEvent::Message(message) = event {
                events += 1;
                data += black_box(message.data).len();
            }
        }
    }
    (events, data)
}

fn sse_parse(bytes: &'static [u8], chunk: usize) -> (usize, usize) {
    let mut parser = sse_parse::SseParser::new();
    let (mut events, mut data) = (0, 0);
    for chunk in bytes.chunks(chunk) {
        parser.feed(chunk);
        while let Some(event) = parser.next_event() {
            events += 1;
            data += black_box(event.data).len();
        }
    }
    (events, data)
}

fn sse_stream(bytes: &'static [u8], chunk: usize) -> (usize, usize) {
    let chunks = stream::iter(bytes.chunks(chunk).map(Ok::<_, Infallible>));
    count(sse_stream::SseStream::from_bytes_stream(chunks), |event| event.data)
}

fn sseer(bytes: &'static [u8], chunk: usize) -> (usize, usize) {
    let chunks = bytes.chunks(chunk).map(|chunk| Ok::<_, Infallible>(bytes::Bytes::from_static(chunk)));
    count(sseer::EventStream::new(stream::iter(chunks)), |event| Some(event.data))
}

fn eventsource_stream(bytes: &'static [u8], chunk: usize) -> (usize, usize) {
    let chunks = stream::iter(bytes.chunks(chunk).map(Ok::<_, Infallible>));
    count(eventsource_stream::EventStream::new(chunks), |event| Some(event.data))
}

/// Counts the events that have data, until the end or the first error.
fn count<T, E, D: Deref<Target = str>>(
    events: impl Stream<Item = Result<T, E>>,
    data: impl Fn(T) -> Option<D>,
) -> (usize, usize) {
    let mut events = std::pin::pin!(events);
    let counted = async {
        let (mut count, mut bytes) = (0, 0);
        while let Some(Ok(event)) = events.next().await {
            if let Some(text) = black_box(data(event)) {
                count += 1;
                bytes += text.len();
            }
        }
        (count, bytes)
    };
    counted.now_or_never().expect("the chunks are ready")
}
