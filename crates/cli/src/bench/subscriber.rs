//! One subscriber: from the bytes of its connection to counted events, without input or output.

use fanfare_wire::{CONTENT_TYPE, Decoded, Decoder, Limits};

use super::coding::{Chunked, Coding};
use super::limits::{HEAD_BYTES_MAX, HEADERS_MAX};
use super::order::Order;
use super::plan::Plan;
use super::stamp::Stamp;
use super::tally::Tally;

/// The type of the event by which a hub says that some are missing.
const GAP_EVENT: &str = "fanfare-gap";

/// Some 500 bytes with its decoder, so that 19,000 of them are 10 MB. No buffer belongs to it but what is cut off at the
/// end of a read.
#[derive(Debug)]
pub(super) struct Subscriber {
    topic: usize,
    order: Order,
    state: State,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of them are streams, which a box would cost another miss of the cache"
)]
enum State {
    /// The answer's head, as far as it has come.
    Head(Vec<u8>),
    Stream {
        coding: Coding,
        decoder: Decoder,
    },
    Ended,
}

/// What reading has led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing but more of the same.
    Same,
    /// It is subscribed now.
    Open,
    /// The stream is over.
    Ended,
    /// The answer is no event stream, for this reason.
    Refused(String),
}

impl Subscriber {
    pub(super) fn new(topic: usize) -> Self {
        Self { topic, order: Order::default(), state: State::Head(Vec::new()) }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Stream { .. })
    }

    pub(super) fn end(&mut self) {
        self.state = State::Ended;
    }

    /// How many of the events that the run has published are missing here.
    pub(super) fn missing(&self, plan: &Plan, published: u64) -> u64 {
        self.order.missing(plan.published_on(self.topic, published))
    }

    /// Takes what was read at `now_ns` since the run began.
    pub(super) fn take(&mut self, bytes: &[u8], now_ns: u64, plan: &Plan, tally: &mut Tally) -> Progress {
        match &mut self.state {
            State::Ended => Progress::Ended,
            State::Stream { .. } => self.stream(bytes, now_ns, plan, tally),
            State::Head(head) => {
                head.extend_from_slice(bytes);
                match parse_head(head) {
                    Head::Partial => Progress::Same,
                    Head::Refused(reason) => Progress::Refused(reason),
                    Head::Open { coding, length } => {
                        let rest = head.split_off(length);
                        let limits = Limits::for_event_bytes(plan.size.max(1024));
                        self.state = State::Stream { coding, decoder: Decoder::with_limits(limits) };
                        match self.stream(&rest, now_ns, plan, tally) {
                            Progress::Same => Progress::Open,
                            other => other,
                        }
                    }
                }
            }
        }
    }

    fn stream(&mut self, mut bytes: &[u8], now_ns: u64, plan: &Plan, tally: &mut Tally) -> Progress {
        let State::Stream { coding, decoder } = &mut self.state else { return Progress::Ended };
        loop {
            let Ok(piece) = coding.next(&mut bytes) else { return Progress::Ended };
            let Some(mut piece) = piece else { break };
            while let Some(decoded) = decoder.decode(&mut piece) {
                match decoded {
                    Decoded::Event(event) if event.event_type == GAP_EVENT => tally.gaps += 1,
                    Decoded::Event(event) => match Stamp::read(event.data, plan.size) {
                        Some(stamp) if stamp.run == plan.run => {
                            let topics = plan.topics as u64;
                            if stamp.sequence % topics == self.topic as u64 {
                                let arrival = self.order.arrive(stamp.sequence / topics);
                                tally.count(stamp.sequence, arrival, stamp.due_ns, now_ns);
                            } else {
                                tally.misdirected += 1;
                            }
                        }
                        _ => tally.foreign += 1,
                    },
                    Decoded::Skipped(_) => tally.foreign += 1,
                    _ => {}
                }
            }
        }
        if coding.is_finished() { Progress::Ended } else { Progress::Same }
    }
}

enum Head {
    Partial,
    Refused(String),
    Open { coding: Coding, length: usize },
}

fn parse_head(bytes: &[u8]) -> Head {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Head::Partial,
        Ok(httparse::Status::Partial) => return Head::Refused("a head without end".to_owned()),
        Err(error) => return Head::Refused(format!("no HTTP ({error})")),
    };
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).trim().to_ascii_lowercase()).unwrap_or_default()
    };
    let code = response.code.unwrap_or_default();
    if code != 200 {
        let body = bytes.get(length..).unwrap_or_default();
        return Head::Refused(format!(
            "{code} {}{}",
            response.reason.unwrap_or_default(),
            crate::refusal::detail(body)
        ));
    }
    let content_type = header("content-type");
    if content_type.split(';').next().map(str::trim) != Some(CONTENT_TYPE) {
        return Head::Refused(format!("content of the type {content_type:?}, which is no event stream"));
    }
    let is_chunked = header("transfer-encoding").ends_with("chunked");
    let coding = if is_chunked { Coding::Chunked(Chunked::default()) } else { Coding::Close };
    Head::Open { coding, length }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tally::Window;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n\r\n";

    fn event(sequence: u64) -> String {
        let mut event = format!("id: {sequence}\ndata: ");
        Stamp { run: 1, sequence, due_ns: 1_000 }.write(100, &mut event);
        event + "\n\n"
    }

    /// What a subscriber of topic 1 of 2 makes of a stream, whole and in pieces of every size.
    fn check(stream: &str, expect: impl Fn(&Tally)) {
        let plan = Plan::of(2, 2, 0);
        for piece_bytes in 1..=stream.len() {
            let (mut subscriber, mut tally) = (Subscriber::new(1), Tally::new(&plan));
            tally.measure(Some(Window { first: 4, start_ns: 0 }));
            for piece in stream.as_bytes().chunks(piece_bytes) {
                assert!(!matches!(subscriber.take(piece, 3_000, &plan, &mut tally), Progress::Refused(_)));
            }
            assert!(subscriber.is_open());
            expect(&tally);
        }
    }

    #[test]
    fn events_are_counted_as_what_they_are() {
        let (first, second, third) = (event(1), event(3), event(5));
        let other_topic = event(2);
        let other_run = "data: hello\n\n";
        let gap = "event: fanfare-gap\nid: e1-0\ndata: {}\n\n";
        let stream = format!("{HEAD}:\n\n{first}{third}{second}{gap}{other_run}{second}{other_topic}:\n\n");
        check(&stream, |tally| {
            let counts = (tally.delivered, tally.reordered, tally.duplicated, tally.measured);
            assert_eq!(counts, (3, 1, 1, 1));
            assert_eq!((tally.gaps, tally.foreign, tally.misdirected), (1, 1, 1));
            assert_eq!((tally.latency_us.len(), tally.latency_us.max()), (1, 2));
        });
    }

    #[test]
    fn an_answer_that_is_no_stream_is_refused_with_its_reason() {
        let plan = Plan::of(1, 1, 0);
        for (answer, expected) in [
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"detail\":\"full\"}", "503 Service Unavailable: full"),
            ("HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"),
            ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "content of the type \"text/html\""),
            ("SSH-2.0\r\n", "no HTTP"),
        ] {
            let progress = Subscriber::new(0).take(answer.as_bytes(), 0, &plan, &mut Tally::new(&plan));
            let Progress::Refused(reason) = progress else { panic!("{answer}: {progress:?}") };
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn the_last_chunk_ends_the_stream() {
        let plan = Plan::of(1, 1, 0);
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n";
        let (mut subscriber, mut tally) = (Subscriber::new(0), Tally::new(&plan));
        assert_eq!(subscriber.take(head.as_bytes(), 0, &plan, &mut tally), Progress::Open);
        assert_eq!(subscriber.take(b"0\r\n\r\n", 0, &plan, &mut tally), Progress::Ended);
    }
}
