//! A shard's state machine against a naive oracle: a list of everything that was published.

mod slow;

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use fanfare_log::Retention;
use futures_util::FutureExt;
use proptest::prelude::*;

use crate::figures::StreamEnd;
use crate::http::Accepted;
use crate::limits::{GROUP_BUFFERS_BYTES_MAX, SLICE_SENDS_MAX};
use crate::oracle::{Expected, Oracle, Since};
use crate::run::Open;
use crate::shard::fanout::Fanout;
use crate::shard::socket::Socket;
use crate::shard::subscriber::State;
use crate::{Hub, Settings, SlowPolicy};

/// A socket that takes as many bytes as the test allows.
#[derive(Debug, Clone, Default)]
struct Script(Rc<RefCell<Wire>>);

#[derive(Debug, Default)]
struct Wire {
    received: Vec<u8>,
    room: usize,
    is_broken: bool,
    /// A send found less room than it wanted, so the end of that will be told.
    wants_room: bool,
    was_reset: bool,
}

impl Socket for Script {
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send_vectored(&[IoSlice::new(bytes)])
    }

    fn send_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.is_broken {
            return Err(ErrorKind::ConnectionReset.into());
        }
        assert!(!wire.wants_room, "a socket without room was tried again before it was told to have some");
        let mut sent = 0;
        for piece in pieces {
            let length = piece.len().min(wire.room);
            wire.received.extend_from_slice(&piece[..length]);
            wire.room -= length;
            sent += length;
            if length < piece.len() {
                wire.wants_room = true;
                break;
            }
        }
        Ok(sent)
    }

    fn reset(&mut self) {
        self.0.borrow_mut().was_reset = true;
    }
}

#[derive(Debug, Clone)]
enum Step {
    Accept { selectors: usize, grant: usize, from: Since, room: usize, left: Option<u32> },
    Publish { topics: Vec<usize>, is_private: bool, size: usize, count: usize },
    Room { who: usize, bytes: usize },
    Close { who: usize },
    Break { who: usize },
    Follow,
    Slice { sends: usize },
    Tick { count: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let room = prop_oneof![4 => Just(usize::MAX / 2), 2 => 0_usize..400, 1 => 400_usize..5000];
    let from = prop_oneof![Just(Since::Tail), Just(Since::Earliest), (0_usize..200).prop_map(Since::After)];
    let size = prop_oneof![12 => 0_usize..60, 3 => 60_usize..3000, 1 => Just(400_000_usize)];
    let count = prop_oneof![4 => Just(1_usize), 2 => 2_usize..6, 1 => 30_usize..70];
    prop_oneof![
        5 => (0_usize..6, 0_usize..4, from, room, proptest::option::weighted(0.3, 2_u32..40))
            .prop_map(|(selectors, grant, from, room, left)| Step::Accept { selectors, grant, from, room, left }),
        5 => (proptest::collection::vec(0_usize..4, 1..3), proptest::bool::weighted(0.3), size, count)
            .prop_map(|(topics, is_private, size, count)| Step::Publish {
                topics,
                is_private,
                size,
                // Large ones are few.
                count: if size > 3000 { 1 } else { count },
            }),
        4 => (0_usize..25, 1_usize..3000).prop_map(|(who, bytes)| Step::Room { who, bytes }),
        2 => (0_usize..25).prop_map(|who| Step::Close { who }),
        1 => (0_usize..25).prop_map(|who| Step::Break { who }),
        4 => Just(Step::Follow),
        6 => prop_oneof![(1_usize..5), Just(SLICE_SENDS_MAX)].prop_map(|sends| Step::Slice { sends }),
        1 => (1_u32..12).prop_map(|count| Step::Tick { count }),
    ]
}

/// A subscriber as the oracle sees it.
struct Seen {
    number: u32,
    wire: Script,
    expected: Expected,
    /// The tick at which its token ends.
    expires: Option<u32>,
    is_open: bool,
}

struct Model {
    hub: Hub,
    fanout: Fanout<Script>,
    oracle: Oracle,
    seen: Vec<Seen>,
    now: u32,
    /// How the next ones are served while they are behind.
    slow: SlowPolicy,
}

impl Model {
    fn new(gap_event: bool) -> Self {
        let heartbeat = Duration::from_secs(8);
        let settings = Settings { heartbeat, gap_event, slow_disconnect_events: 20, ..Settings::default() };
        // The least that a history can be held to: 64 events.
        let retention = Retention { count: Some(0), ..Retention::default() };
        let hub = Hub::builder().settings(settings).memory(retention).seed(1).build();
        let hub = hub.now_or_never().unwrap().unwrap();
        let fanout = Fanout::new(hub.shared.clone(), Duration::from_secs(1), 1);
        Self { hub, fanout, oracle: Oracle::default(), seen: Vec::new(), now: 0, slow: SlowPolicy::CatchUp }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Accept { selectors, grant, from, room, left } => {
                self.accept_for(*selectors, *grant, *from, *room, *left);
            }
            Step::Publish { topics, is_private, size, count } => {
                (0..*count).for_each(|_| self.publish(topics, *is_private, *size));
            }
            Step::Room { who, bytes } => self.give_room(*who, *bytes),
            Step::Close { who } => self.close(*who),
            Step::Break { who } => {
                if let Some(one) = self.seen.get(*who) {
                    one.wire.0.borrow_mut().is_broken = true;
                }
            }
            Step::Follow => drop(self.fanout.follow()),
            Step::Slice { sends } => self.fanout.slice(*sends),
            Step::Tick { count } => self.tick(*count),
        }
        self.notice_ends();
    }

    fn accept(&mut self, picked: usize, grant: usize, from: Since, room: usize) {
        self.accept_for(picked, grant, from, room, None);
    }

    /// Lets somebody in whose token ends in so many seconds, which are ticks here.
    fn accept_for(&mut self, picked: usize, grant: usize, from: Since, room: usize, left: Option<u32>) {
        let start = from.locate(&self.hub);
        let wire = Script::default();
        wire.0.borrow_mut().room = room;
        let expected = Expected::new(picked, grant, &start);
        let subscription = expected.subscription().for_at_most(left.map(|left| Duration::from_secs(left.into())));
        let subscription = subscription.when_slow(self.slow);
        let (open, _) = Open::new(&self.hub.shared).unwrap();
        let accepted = Accepted { subscription, start, news: None, coding: None };
        let number = self.fanout.subscribe(wire.clone(), open, HEAD, accepted);
        self.seen.push(Seen {
            number: number.unwrap_or(u32::MAX),
            wire,
            expected,
            expires: left.map(|left| self.now + left),
            is_open: number.is_some(),
        });
    }

    fn publish(&mut self, topics: &[usize], is_private: bool, size: usize) {
        self.oracle.publish(&self.hub, topics, is_private, size);
        self.fanout.advance.note(std::time::Instant::now());
    }

    fn give_room(&mut self, who: usize, bytes: usize) {
        let Some(one) = self.seen.get(who).filter(|one| one.is_open) else { return };
        let told = {
            let mut wire = one.wire.0.borrow_mut();
            wire.room = wire.room.saturating_add(bytes);
            std::mem::take(&mut wire.wants_room)
        };
        if told {
            self.fanout.writable(one.number);
        }
    }

    fn close(&mut self, who: usize) {
        if let Some(one) = self.seen.get_mut(who).filter(|one| one.is_open) {
            one.is_open = false;
            self.fanout.close(one.number, StreamEnd::Client);
        }
    }

    fn tick(&mut self, count: u32) {
        self.now += count;
        let Fanout { wheel, due, .. } = &mut self.fanout;
        wheel.advance(self.now, due);
    }

    /// The shard may have closed connections by itself.
    fn notice_ends(&mut self) {
        for one in &mut self.seen {
            let number = one.number as usize;
            // Its number may be another's by now, but its socket is not.
            let is_held =
                self.fanout.subscribers.get(number).is_some_and(|held| Rc::ptr_eq(&held.socket.0, &one.wire.0));
            if one.is_open && !is_held {
                let wire = one.wire.0.borrow();
                let has_ended = wire.received.ends_with(b"\r\n0\r\n\r\n");
                assert!(wire.is_broken || has_ended || wire.was_reset, "closed without a cause");
                one.is_open = false;
            }
        }
    }

    fn run_until_idle(&mut self) {
        for _ in 0..10_000 {
            let has_more = self.fanout.follow();
            self.fanout.slice(SLICE_SENDS_MAX);
            if !has_more && self.fanout.is_idle() {
                return self.notice_ends();
            }
        }
        panic!("the shard never comes to rest");
    }

    /// Gives everybody room for everything, and has the shard come to rest.
    fn settle(&mut self) {
        self.run_until_idle();
        for _ in 0..2 {
            (0..self.seen.len()).for_each(|who| self.give_room(who, 1 << 40));
            self.run_until_idle();
        }
        for (_, one) in &self.fanout.subscribers {
            assert!(matches!(one.state, State::Live { .. }), "somebody is behind who has room");
        }
        for (_, group) in &self.fanout.groups {
            assert!(group.buffer.is_none(), "what everybody has is let go of");
        }
        let figures = self.hub.figures();
        assert_eq!((figures.subscribers, figures.slow), (self.fanout.subscribers.len() as u64, 0));
        assert!(!self.fanout.is_measuring(), "a measurement never ends");
        for one in self.seen.iter().filter(|one| one.expires.is_some_and(|expires| expires <= self.now)) {
            assert!(!one.is_open, "a stream outlasts its token");
        }
    }

    /// Checks what everybody received, and that it is all there is if everybody had room for it.
    fn check(&self, is_complete: bool) {
        self.seen.iter().for_each(|one| self.check_one(one, is_complete));
    }

    /// What one subscriber received is what it should have.
    fn check_one(&self, one: &Seen, is_complete: bool) {
        let received = &one.wire.0.borrow().received;
        let Some(chunks) = received.strip_prefix(HEAD) else {
            assert!(HEAD.starts_with(received));
            return;
        };
        let (body, has_ended) = unchunk(chunks);
        let is_complete = is_complete && one.is_open && !has_ended;
        match self.slow {
            SlowPolicy::Conflate => self.oracle.check_conflated(&one.expected, &body, is_complete),
            _ => self.oracle.check(&one.expected, &body, is_complete),
        }
    }
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n";

/// The data of the chunks, the last of which may be cut off, and whether the stream has ended.
fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        bytes = &bytes[end + 2..];
        if size == 0 {
            assert!(b"\r\n".starts_with(bytes), "nothing follows the last chunk");
            return (data, true);
        }
        data.extend_from_slice(&bytes[..size.min(bytes.len())]);
        let Some(rest) = bytes.get(size..) else { break };
        assert!(rest.starts_with(b"\r\n") || b"\r\n".starts_with(rest), "a chunk ends where it says");
        bytes = rest.get(2..).unwrap_or_default();
    }
    (data, false)
}

fn in_a_runtime(test: impl FnOnce()) {
    // The hub's upkeep wants a runtime; nothing here runs on it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    test();
}

proptest! {
    #[test]
    fn whatever_happens_everybody_gets_the_exact_sequence(
        steps in proptest::collection::vec(step(), 1..160),
        gap_event in proptest::bool::weighted(0.8),
        drains in any::<bool>(),
    ) {
        in_a_runtime(|| {
            let mut model = Model::new(gap_event);
            for step in &steps {
                model.run(step);
                assert!(model.fanout.buffered() <= GROUP_BUFFERS_BYTES_MAX + 400_100);
            }
            model.check(false);
            model.settle();
            model.check(true);
            if drains {
                model.fanout.drain(20);
                (0..25).for_each(|_| {
                    model.tick(1);
                    model.run_until_idle();
                });
                assert!(model.fanout.subscribers.is_empty(), "every stream ends");
            }
            model.check(true);
        });
    }
}

fn accept_everybody(model: &mut Model, count: usize) {
    (0..count).for_each(|_| model.accept(1, 0, Since::Tail, usize::MAX / 2));
}

#[test]
fn the_same_subscriber_is_not_always_last() {
    in_a_runtime(|| {
        let mut model = Model::new(true);
        accept_everybody(&mut model, 600);
        let mut last = std::collections::HashSet::new();
        for _ in 0..20 {
            model.publish(&[0], false, 10);
            model.fanout.follow();
            // Three slices are a pass: after two of them some are still without the event.
            model.fanout.slice(SLICE_SENDS_MAX);
            model.fanout.slice(SLICE_SENDS_MAX);
            let length = |one: &Seen| one.wire.0.borrow().received.len();
            let most = model.seen.iter().map(length).max();
            last.insert(model.seen.iter().position(|one| Some(length(one)) != most).unwrap());
            model.run_until_idle();
        }
        assert!(last.len() > 5, "{last:?}");
        model.check(true);
    });
}

/// The figures are of those who are live: neither one who reads nothing nor an event for nobody holds a measurement up.
#[test]
fn a_pass_is_measured_once_however_many_it_reaches() {
    in_a_runtime(|| {
        let mut model = Model::new(true);
        let measured = |model: &Model| -> u64 {
            let text = model.hub.exposition();
            let name = "fanfare_fanout_duration_seconds_count{path=\"shard\"} ";
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
        };
        accept_everybody(&mut model, 300);
        model.accept(1, 0, Since::Tail, 300);
        for events in 1..=5 {
            model.publish(&[0], false, 100);
            model.run_until_idle();
            assert_eq!(measured(&model), events);
        }
        assert_eq!(model.hub.figures().slow, 1);
        model.publish(&[2], false, 100);
        model.run_until_idle();
        let before = measured(&model);
        // Under load, when no pass ends before there is more, it is measured all the same.
        for _ in 0..50 {
            model.publish(&[0], false, 1);
            model.fanout.follow();
            model.fanout.slice(SLICE_SENDS_MAX);
        }
        let during = measured(&model) - before;
        assert!((10..=50).contains(&during), "{during}");
        model.settle();
    });
}

#[test]
fn a_crowd_that_blocks_holds_nothing_and_catches_up() {
    in_a_runtime(|| {
        let mut model = Model::new(true);
        accept_everybody(&mut model, 300);
        model.seen.iter().step_by(3).for_each(|one| one.wire.0.borrow_mut().room = 700);
        for _ in 0..50 {
            model.publish(&[0], false, 1000);
            model.run_until_idle();
        }
        assert_eq!(model.fanout.buffered(), 0);
        model.settle();
        model.check(true);
    });
}

/// The buffer has an event that nobody needs any more, and not the one after it.
#[test]
fn who_joins_after_the_last_member_left_misses_nothing() {
    in_a_runtime(|| {
        let mut model = Model::new(true);
        model.accept(1, 0, Since::Tail, 0);
        model.accept(1, 0, Since::Tail, usize::MAX / 2);
        model.publish(&[0], false, 1);
        model.fanout.follow();
        model.close(1);
        model.publish(&[0], false, 1);
        model.fanout.follow();
        model.fanout.slice(1);
        model.accept(1, 0, Since::After(1), usize::MAX / 2);
        model.settle();
        model.check(true);
    });
}

#[test]
fn nobody_leaves_before_what_was_acknowledged() {
    in_a_runtime(|| {
        let mut model = Model::new(true);
        accept_everybody(&mut model, 5);
        model.fanout.drain(1);
        model.publish(&[0], false, 1);
        model.tick(3);
        // The event is in the log, and the shard has not looked there yet.
        model.fanout.slice(SLICE_SENDS_MAX);
        assert_eq!(model.fanout.subscribers.len(), 5);
        model.run_until_idle();
        model.check(true);
        model.tick(1);
        model.run_until_idle();
        assert!(model.fanout.subscribers.is_empty());
        for one in &model.seen {
            let wire = one.wire.0.borrow();
            let text = String::from_utf8(wire.received.clone()).unwrap();
            let (_, farewell) = text.rsplit_once("\n\n\r\n").unwrap();
            assert!(farewell.contains("\r\nretry: ") && farewell.ends_with("\n\r\n0\r\n\r\n") && !wire.was_reset);
        }
    });
}

/// How a stream ends is all that tells a subscriber whether it has everything.
#[test]
fn a_stream_ends_cleanly_before_its_token_and_is_cut_when_it_can_not() {
    in_a_runtime(|| {
        let mut model = Model::new(true);
        (0..50).for_each(|_| model.accept_for(1, 0, Since::Tail, usize::MAX / 2, Some(100)));
        // Its socket takes the head, and no event.
        model.accept_for(1, 0, Since::Tail, 300, Some(100));
        model.publish(&[0], false, 1000);
        model.run_until_idle();
        let open = |model: &Model| model.seen.iter().filter(|one| one.is_open).count();
        model.tick(89);
        model.run_until_idle();
        assert_eq!(open(&model), 51, "nobody ends before the last tenth");
        let mut left = Vec::new();
        for _ in 90..100 {
            model.tick(1);
            model.run_until_idle();
            left.push(open(&model));
        }
        assert!(left[0] > 1 && left[4] < 45 && left[4] > 5, "they end one by one: {left:?}");
        assert_eq!(left[9], 1, "one tick before the end of the token only who is blocked is there");
        model.tick(1);
        model.run_until_idle();
        assert!(model.fanout.subscribers.is_empty());
        let (blocked, others) = model.seen.split_last().unwrap();
        assert!(blocked.wire.0.borrow().was_reset);
        for one in others {
            let wire = one.wire.0.borrow();
            assert!(wire.received.ends_with(b"\n\r\n0\r\n\r\n") && !wire.was_reset);
        }
        model.check(true);
    });
}

#[test]
fn a_drain_ends_streams_before_their_tokens_and_a_token_before_the_drain() {
    in_a_runtime(|| {
        let mut model = Model::new(true);
        model.accept_for(1, 0, Since::Tail, usize::MAX / 2, Some(1000));
        model.accept_for(1, 0, Since::Tail, usize::MAX / 2, Some(5));
        model.fanout.drain(100);
        for ticks in [5, 96] {
            model.tick(ticks);
            model.run_until_idle();
            assert_eq!(model.fanout.subscribers.len(), usize::from(ticks == 5));
        }
    });
}

#[test]
fn heartbeats_come_when_nothing_else_does() {
    in_a_runtime(|| {
        let mut model = Model::new(true);
        accept_everybody(&mut model, 3);
        model.seen[2].wire.0.borrow_mut().room = 4;
        let heartbeats = |model: &Model, who: usize| {
            let received = model.seen[who].wire.0.borrow().received.clone();
            received.windows(7).filter(|bytes| bytes == b"2\r\n:\n\r\n").count()
        };
        model.tick(7);
        model.run_until_idle();
        assert_eq!(heartbeats(&model, 0), 0);
        model.tick(1);
        model.run_until_idle();
        assert_eq!(heartbeats(&model, 0), 1);
        model.tick(4);
        model.publish(&[0], false, 1);
        model.run_until_idle();
        model.tick(7);
        model.run_until_idle();
        assert_eq!(heartbeats(&model, 0), 1, "an event is a sign of life too");
        model.tick(1);
        model.run_until_idle();
        assert_eq!(heartbeats(&model, 0), 2);
        assert_eq!(heartbeats(&model, 2), 0, "half of one was sent, and the rest waits for room");
        model.settle();
        model.check(true);
    });
}

/// What finds a peer that is gone: both paths have their sockets from the same listener.
#[cfg(target_os = "linux")]
#[test]
fn accepted_sockets_have_a_time_out_a_bounded_buffer_and_no_delay() {
    use crate::limits::{SEND_BUFFER_BYTES, SEND_TIMEOUT};
    use socket2::SockRef;

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    crate::shard::prepare(&listener).unwrap();
    listener.set_nonblocking(false).unwrap();
    let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let socket = SockRef::from(&accepted);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(SEND_TIMEOUT));
    assert!(socket.tcp_nodelay().unwrap());
    // The kernel doubles it for its own needs, within what the system allows.
    assert!(socket.send_buffer_size().unwrap() <= 2 * SEND_BUFFER_BYTES);
}
