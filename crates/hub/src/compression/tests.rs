//! Streams of one group, in every coding, against what was put in.

use std::io::Read;
use std::sync::Arc;

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use fanfare_log::{Draft, Epoch, Frame, Id, Position, Record, Timestamp, Visibility};
use flate2::{Decompress, FlushDecompress};
use proptest::prelude::*;
use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer};

use crate::compression::{CodedStream, Coding, Contexts};
use crate::limits::{CONTEXT_SPAN, CONTEXTS_MAX};
use crate::selector::{Selector, Selectors};

/// A client's side, which gives what can be read of the bytes so far.
enum Reader {
    Zstd(DCtx<'static>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Gzip { head: usize, inflate: Decompress },
}

impl Reader {
    fn new(coding: Coding) -> Self {
        match coding {
            Coding::Zstd => Self::Zstd(DCtx::create()),
            Coding::Brotli => {
                let [one, two, three] = [(); 3].map(|()| StandardAlloc::default());
                Self::Brotli(Box::new(BrotliState::new(one, two, three)))
            }
            Coding::Gzip => Self::Gzip { head: 10, inflate: Decompress::new(false) },
        }
    }

    fn read(&mut self, mut bytes: &[u8], text: &mut Vec<u8>) {
        match self {
            Self::Zstd(context) => {
                let mut input = InBuffer::around(bytes);
                loop {
                    text.reserve(1 << 17);
                    let filled = text.len();
                    let mut output = OutBuffer::around_pos(text, filled);
                    context.decompress_stream(&mut output, &mut input).unwrap();
                    if input.pos() == bytes.len() && text.len() == filled {
                        return;
                    }
                }
            }
            Self::Brotli(state) => {
                let (mut left, mut read, mut total) = (bytes.len(), 0, 0);
                loop {
                    let (mut out, mut room, mut filled) = (vec![0; 1 << 17], 1 << 17, 0);
                    let result = BrotliDecompressStream(
                        &mut left,
                        &mut read,
                        bytes,
                        &mut room,
                        &mut filled,
                        &mut out,
                        &mut total,
                        state,
                    );
                    text.extend_from_slice(&out[..filled]);
                    match result {
                        BrotliResult::NeedsMoreOutput => {}
                        BrotliResult::NeedsMoreInput | BrotliResult::ResultSuccess => return,
                        BrotliResult::ResultFailure => panic!("this is no Brotli"),
                    }
                }
            }
            Self::Gzip { head, inflate } => {
                let skipped = bytes.len().min(*head);
                *head -= skipped;
                bytes = &bytes[skipped..];
                loop {
                    text.reserve(1 << 17);
                    let (read, filled) = (inflate.total_in(), text.len());
                    inflate.decompress_vec(bytes, text, FlushDecompress::Sync).unwrap();
                    bytes = &bytes[(inflate.total_in() - read) as usize..];
                    if bytes.is_empty() && text.len() == filled || inflate.total_in() == read {
                        return;
                    }
                }
            }
        }
    }
}

/// The whole of a stream that has ended, for a reader that checks all there is to check.
fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read> = match coding {
        Coding::Zstd => Box::new(zstd::Decoder::new(bytes).unwrap()),
        Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 1 << 12)),
        Coding::Gzip => Box::new(flate2::bufread::GzDecoder::new(bytes)),
    };
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    text
}

struct Subscriber {
    stream: CodedStream,
    coding: Coding,
    reader: Reader,
    bytes: Vec<u8>,
    text: Vec<u8>,
    expected: Vec<u8>,
    /// How many of the records it was given.
    given: usize,
}

impl Subscriber {
    fn new(coding: Coding, now: Option<u64>, given: usize) -> Self {
        let stream = CodedStream::new(coding, now.map(Timestamp));
        let (bytes, text, expected) = Default::default();
        Self { stream, coding, reader: Reader::new(coding), bytes, text, expected, given }
    }

    fn take(&mut self, bytes: &[u8], expected: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.expected.extend_from_slice(expected);
        // Nothing of it is held back, and nothing depends on how it is cut.
        bytes.chunks(61).for_each(|piece| self.reader.read(piece, &mut self.text));
        assert!(self.text == self.expected, "{:?}", self.coding);
    }

    fn text(&mut self, text: &[u8]) {
        let bytes = self.stream.text(text);
        self.take(&bytes, text);
    }

    fn records(&mut self, world: &World, upto: usize) -> usize {
        let records = &world.records[self.given..upto.max(self.given)];
        self.given = upto.max(self.given);
        let bytes = self.stream.records(&world.contexts, &world.selectors, records.iter(), Timestamp(world.now));
        let expected: Vec<u8> = records.iter().flat_map(|record| record.frame.iter().copied()).collect();
        self.take(&bytes, &expected);
        bytes.len()
    }

    fn end(mut self) {
        let bytes = self.stream.end();
        self.take(&bytes, &[]);
        assert!(decoded(self.coding, &self.bytes) == self.expected);
    }
}

struct World {
    contexts: Contexts,
    selectors: Arc<Selectors>,
    records: Vec<Arc<Record>>,
    now: u64,
}

impl World {
    fn new() -> Self {
        let selectors = Arc::new([Selector::all()].into_iter().collect());
        Self { contexts: Contexts::default(), selectors, records: Vec::new(), now: 1_000_000 }
    }

    fn publish(&mut self, is_private: bool, text: &str) {
        let number = self.records.len() as u64;
        let draft = Draft {
            topics: vec!["t".into()],
            id: Id::Position,
            visibility: if is_private { Visibility::Private } else { Visibility::Public },
            time: Timestamp(self.now),
            frame: Frame::whole(format!("id: {number}\ndata: {{\"kind\":\"like\",\"text\":\"{text}\"}}\n\n")),
        };
        let position = Position { epoch: Epoch(1), offset: number };
        self.records.push(Arc::new(Record::new(draft, position)));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Come { coding: usize, is_live: bool },
    Publish { is_private: bool, length: usize },
    Read { who: usize, but: usize },
    ReadAll,
    Heartbeat { who: usize },
    Leave { who: usize },
    Pass { milliseconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![40 => 0_usize..60, 5 => 60_usize..3000, 1 => Just(70_000_usize)];
    prop_oneof![
        3 => (0..Coding::ALL.len(), any::<bool>()).prop_map(|(coding, is_live)| Step::Come { coding, is_live }),
        8 => (proptest::bool::weighted(0.1), length).prop_map(|(is_private, length)| Step::Publish { is_private, length }),
        4 => (0_usize..20, 0_usize..4).prop_map(|(who, but)| Step::Read { who, but }),
        4 => Just(Step::ReadAll),
        1 => (0_usize..20).prop_map(|who| Step::Heartbeat { who }),
        1 => (0_usize..20).prop_map(|who| Step::Leave { who }),
        4 => (1_u64..6_000).prop_map(|milliseconds| Step::Pass { milliseconds }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_shared_everybody_reads_what_was_meant_for_it(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut world, mut subscribers) = (World::new(), Vec::<Subscriber>::new());
        for step in steps {
            match step {
                Step::Come { coding, is_live } => {
                    let given = if is_live { world.records.len() } else { 0 };
                    let mut one = Subscriber::new(Coding::ALL[coding], is_live.then_some(world.now), given);
                    one.text(b":\n\n");
                    subscribers.push(one);
                }
                Step::Publish { is_private, length } => world.publish(is_private, &"word ".repeat(length / 5)),
                Step::Read { who, but } => {
                    if let Some(one) = subscribers.get_mut(who) {
                        one.records(&world, world.records.len().saturating_sub(but));
                    }
                }
                Step::ReadAll => {
                    for one in &mut subscribers {
                        one.records(&world, world.records.len());
                    }
                }
                Step::Heartbeat { who } => {
                    if let Some(one) = subscribers.get_mut(who) {
                        one.text(b":\n\n");
                    }
                }
                Step::Leave { who } => {
                    if who < subscribers.len() {
                        subscribers.swap_remove(who).end();
                    }
                }
                Step::Pass { milliseconds } => world.now += milliseconds,
            }
        }
        for mut one in subscribers {
            one.records(&world, world.records.len());
            one.end();
        }
    }
}

/// Those who have been there get the same, and one compressor makes it; whoever comes is among them after the next beginning.
#[test]
fn a_group_shares_a_compressor_and_a_newcomer_joins_at_the_next_beginning() {
    for coding in Coding::ALL {
        let mut world = World::new();
        let mut group: Vec<_> = (0..3).map(|_| Subscriber::new(coding, None, 0)).collect();
        let mut sizes = Vec::new();
        for n in 0..20 {
            world.publish(false, &format!("event {n}"));
            let upto = world.records.len();
            if n == 10 {
                group.push(Subscriber::new(coding, Some(world.now), upto - 1));
            }
            sizes = group.iter_mut().map(|one| one.records(&world, upto)).collect();
            assert_eq!(world.contexts.len(), 1);
            if n > 10 {
                assert!(sizes[0] == sizes[1] && sizes[1] == sizes[2] && sizes[3] > sizes[0] * 3 / 2, "{sizes:?}");
            }
            world.now += 400;
        }
        assert_eq!(sizes.len(), 4);
        world.now += CONTEXT_SPAN.as_millis() as u64;
        for n in 0..5 {
            world.publish(false, &format!("event {n}"));
            let upto = world.records.len();
            sizes = group.iter_mut().map(|one| one.records(&world, upto)).collect();
            assert_eq!(world.contexts.len(), 1);
        }
        assert_eq!(sizes, vec![sizes[0]; 4], "everybody has the same");
        assert!(sizes[0] * 2 < world.records[0].frame.len(), "{sizes:?}");
        group.into_iter().for_each(Subscriber::end);
    }
}

#[test]
fn a_private_update_is_sent_as_it_is_and_what_follows_does_not_refer_to_it() {
    for coding in Coding::ALL {
        let mut world = World::new();
        let mut one = Subscriber::new(coding, None, 0);
        let secret = "a token of forty or so bytes that is nobody's business";
        for (is_private, text) in [(false, &*"first ".repeat(20)), (true, secret), (false, secret)] {
            world.publish(is_private, text);
            let before = one.bytes.len();
            one.records(&world, world.records.len());
            let frame = &world.records.last().unwrap().frame;
            let is_plain = one.bytes[before..].windows(frame.len()).any(|window| window == *frame);
            assert_eq!(is_plain, text == secret, "{coding:?}: {text}");
        }
        one.end();
    }
}

/// Whoever finds no room for a compressor is sent its events as they are.
#[test]
fn compressors_are_bounded_and_those_of_the_past_make_room() {
    let mut world = World::new();
    let groups: Vec<Arc<Selectors>> = (0..CONTEXTS_MAX + 20)
        .map(|n| Arc::new([Selector::parse(&n.to_string()).unwrap()].into_iter().collect()))
        .collect();
    let mut subscribers: Vec<_> = groups.iter().map(|_| Subscriber::new(Coding::Gzip, None, 0)).collect();
    for _ in 0..3 {
        for n in 0..3 {
            world.publish(false, &format!("event {n} and some words that are the same again"));
        }
        let upto = world.records.len();
        let mut compressed = 0;
        for (one, selectors) in subscribers.iter_mut().zip(&groups) {
            world.selectors = selectors.clone();
            let plain: usize = world.records[one.given..upto].iter().map(|record| record.frame.len()).sum();
            compressed += usize::from(one.records(&world, upto) < plain);
            assert!(world.contexts.len() <= CONTEXTS_MAX);
        }
        assert_eq!(compressed, CONTEXTS_MAX);
        world.now += CONTEXT_SPAN.as_millis() as u64;
    }
    world.now += CONTEXT_SPAN.as_millis() as u64;
    world.publish(false, "much later");
    let upto = world.records.len();
    subscribers[0].records(&world, upto);
    assert_eq!(world.contexts.len(), 1, "nobody follows the others any more");
}

/// A clock that was far ahead for a moment leaves nobody without a compressor.
#[test]
fn compressors_come_and_go_after_the_clock_went_back() {
    let mut world = World::new();
    let start = world.now;
    world.now = u64::MAX;
    world.publish(false, "far ahead");
    Subscriber::new(Coding::Gzip, None, 0).records(&world, 1);
    for hour in 1..4 {
        world.now = start + hour * 3_600_000;
        world.publish(false, "an event and some words that are the same, words that are the same again");
        let upto = world.records.len();
        for n in 0..CONTEXTS_MAX {
            world.selectors = Arc::new([Selector::parse(&n.to_string()).unwrap()].into_iter().collect());
            let plain = world.records[upto - 1].frame.len();
            let mut one = Subscriber::new(Coding::Zstd, None, upto - 1);
            assert!(one.records(&world, upto) < plain + 16, "hour {hour}, {n}");
        }
        assert!(world.contexts.len() <= CONTEXTS_MAX);
    }
    world.now += 3_600_000;
    world.publish(false, "the last");
    Subscriber::new(Coding::Gzip, None, world.records.len() - 1).records(&world, world.records.len());
    assert_eq!(world.contexts.len(), 1, "nobody follows the others any more");
}
