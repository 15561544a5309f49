//! What is allocated, counted: the encoder's promise of one reservation, and the decoder's of bounded memory.
//!
//! One test, because the counters are the whole process's.

use fanfare_wire::{Decoded, Decoder, Event, Limits};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[test]
fn memory_is_what_was_promised() {
    let _profiler = dhat::Profiler::builder().testing().build();
    encoding_into_room_allocates_nothing();
    encoding_into_a_new_buffer_allocates_once();
    decoding_whole_events_allocates_nothing_for_each();
    no_line_takes_more_than_the_limit();
    no_event_takes_more_than_the_limit();
    invalid_text_takes_four_times_the_limit_at_most();
}

fn events() -> Vec<Event> {
    let one_line = Event::data("x".repeat(200));
    let many_lines = Event::data("a line of text\n".repeat(30));
    let event =
        |event: Event| event.with_id("42".try_into().expect("an id")).with_type("t".try_into().expect("a type"));
    vec![one_line.clone(), many_lines.clone(), event(one_line), event(many_lines), Event::data("")]
}

fn encoding_into_room_allocates_nothing() {
    let events = events();
    let mut out = Vec::with_capacity(16 << 10);
    let blocks = blocks(|| {
        for event in &events {
            out.clear();
            event.encode(&mut out);
            event.encode_chunk(&mut out);
            fanfare_wire::encode_comment(event.text(), &mut out);
            fanfare_wire::encode_retry(std::time::Duration::MAX, &mut out);
        }
    });
    assert_eq!(blocks, 0);
}

fn encoding_into_a_new_buffer_allocates_once() {
    for event in events().iter().filter(|event| !event.text().contains('\n')) {
        assert_eq!(blocks(|| event.encode(&mut Vec::new())), 1, "{event:?}");
        assert_eq!(blocks(|| event.encode_chunk(&mut Vec::new())), 1, "{event:?}");
        assert_eq!(blocks(|| drop(event.encode_with_id_slot())), 1, "{event:?}");
    }
}

fn decoding_whole_events_allocates_nothing_for_each() {
    let mut stream = Vec::new();
    events().iter().for_each(|event| event.encode(&mut stream));
    let mut decoder = Decoder::new();
    let mut decode_all = || {
        let mut chunk = &stream[..];
        let mut count = 0;
        while decoder.decode(&mut chunk).is_some() {
            count += 1;
        }
        assert_eq!(count, 5);
    };
    decode_all();
    assert_eq!(blocks(|| (0..100).for_each(|_| decode_all())), 0, "buffers are kept from event to event");
}

/// A line that never ends, of each kind, in chunks of each kind.
fn no_line_takes_more_than_the_limit() {
    for start in ["data: ", "data: a\ndata: ", "event: ", "id: ", "retry: ", ": ", "x", "x: "] {
        for chunk_bytes in [1, 16, 50, 1000, 70_000] {
            let mut decoder = Decoder::with_limits(limits()).with_comments();
            let peak = peak(|| {
                feed(&mut decoder, start.as_bytes());
                let chunk = vec![b'1'; chunk_bytes];
                for _ in 0..(3 * LIMIT_BYTES / chunk_bytes) {
                    feed(&mut decoder, &chunk);
                }
            });
            assert!(peak <= LIMIT_BYTES + chunk_bytes + ROOM_BYTES, "{start:?} by {chunk_bytes} takes {peak}");
        }
    }
}

/// Lines without end of an event that never comes.
fn no_event_takes_more_than_the_limit() {
    for line in ["data: 0123456789\n", "data\n", "data:\r", "id: 0123456789\ndata: 0\n", "event: 0123456789\n"] {
        for lines in [1, 5, 300] {
            let mut decoder = Decoder::with_limits(limits());
            let chunk_bytes = line.len() * lines;
            let peak = peak(|| {
                let chunk = line.repeat(lines);
                for _ in 0..(3 * LIMIT_BYTES / chunk_bytes) {
                    feed(&mut decoder, chunk.as_bytes());
                }
            });
            assert!(peak <= LIMIT_BYTES + chunk_bytes + ROOM_BYTES, "{line:?} by {lines} takes {peak}");
        }
    }
}

/// Each byte becomes U+FFFD, three bytes, beside the data that they stand for.
fn invalid_text_takes_four_times_the_limit_at_most() {
    let mut stream = b"data: ".to_vec();
    stream.resize(LIMIT_BYTES, 0xFF);
    stream.extend(b"\n\n");
    for chunk_bytes in [16, 1000, stream.len()] {
        let mut decoder = Decoder::with_limits(limits());
        let mut events = 0;
        let peak = peak(|| {
            for mut chunk in stream.chunks(chunk_bytes) {
                while let Some(Decoded::Event(message)) = decoder.decode(&mut chunk) {
                    events += 1;
                    assert_eq!(message.data.len(), 3 * (LIMIT_BYTES - "data: ".len()));
                }
            }
        });
        assert_eq!(events, 1);
        assert!(peak <= 4 * LIMIT_BYTES + ROOM_BYTES, "by {chunk_bytes} takes {peak}");
    }
}

const LIMIT_BYTES: usize = 100_000;

/// For ids, types and other small buffers.
const ROOM_BYTES: usize = 1024;

fn limits() -> Limits {
    let mut limits = Limits::DEFAULT;
    (limits.event_bytes, limits.line_bytes, limits.name_bytes) = (LIMIT_BYTES, LIMIT_BYTES, 100);
    limits
}

fn feed(decoder: &mut Decoder, mut chunk: &[u8]) {
    while decoder.decode(&mut chunk).is_some() {}
}

/// How many blocks `work` allocates.
fn blocks(work: impl FnOnce()) -> u64 {
    let before = dhat::HeapStats::get().total_blocks;
    work();
    dhat::HeapStats::get().total_blocks - before
}

/// The most bytes that are allocated at once, beyond what is before.
fn peak(work: impl FnOnce()) -> usize {
    // A new profiler would count from zero, but there can be one a process: what is at its peak now is taken off.
    let before = dhat::HeapStats::get();
    let ballast = vec![0_u8; before.max_bytes - before.curr_bytes];
    work();
    drop(ballast);
    dhat::HeapStats::get().max_bytes - before.max_bytes
}
