//! The audience against a naive oracle: a list of everything that was published.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fanfare_log::Retention;
use http_body::Body;
use proptest::prelude::*;

use crate::delivery::Delivery;
use crate::grant::Grant;
use crate::limits::SLICE_TEMPLATES_MAX;
use crate::oracle::{Expected, Oracle, Since};
use crate::selector::{Selector, Selectors};
use crate::subscription::Subscription;
use crate::{Hub, Settings, SlowPolicy, Topic, Update};

#[derive(Debug, Clone)]
enum Step {
    Come {
        selectors: usize,
        grant: usize,
        since: Since,
        is_slow: bool,
    },
    Publish {
        topics: Vec<usize>,
        is_private: bool,
        count: usize,
    },
    /// Whoever reads as it likes takes so many frames.
    Take {
        who: usize,
        frames: usize,
    },
    /// The others take what they were woken for.
    Read,
    Leave {
        who: usize,
    },
    /// Others have the processor so many times.
    Yield {
        turns: usize,
    },
    Pass {
        seconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let since =
        prop_oneof![2 => Just(Since::Tail), 1 => Just(Since::Earliest), 1 => (0_usize..200).prop_map(Since::After)];
    let count = prop_oneof![6 => Just(1_usize), 3 => 2_usize..8, 1 => 30_usize..70];
    prop_oneof![
        6 => (0_usize..6, 0_usize..4, since, proptest::bool::weighted(0.3))
            .prop_map(|(selectors, grant, since, is_slow)| Step::Come { selectors, grant, since, is_slow }),
        6 => (proptest::collection::vec(0_usize..4, 1..3), proptest::bool::weighted(0.3), count)
            .prop_map(|(topics, is_private, count)| Step::Publish { topics, is_private, count }),
        3 => (0_usize..40, 1_usize..4).prop_map(|(who, frames)| Step::Take { who, frames }),
        4 => Just(Step::Read),
        2 => (0_usize..40).prop_map(|who| Step::Leave { who }),
        8 => (1_usize..4).prop_map(|turns| Step::Yield { turns }),
        1 => (1_u64..12).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Reader {
    body: Option<Delivery>,
    bell: Arc<Bell>,
    received: Vec<u8>,
    expected: Expected,
    is_slow: bool,
    has_ended: bool,
}

impl Reader {
    /// Takes a frame. Returns whether there was one.
    fn take(&mut self) -> bool {
        let Some(body) = &mut self.body else { return false };
        let waker = Waker::from(self.bell.clone());
        match Pin::new(body).poll_frame(&mut Context::from_waker(&waker)) {
            Poll::Pending => false,
            Poll::Ready(Some(frame)) => {
                self.received.extend_from_slice(&frame.unwrap().into_data().unwrap());
                true
            }
            Poll::Ready(None) => {
                (self.body, self.has_ended) = (None, true);
                false
            }
        }
    }

    /// Takes what there is, if it was told that there is something.
    fn read(&mut self) -> bool {
        let is_woken = self.bell.0.swap(false, Ordering::Relaxed);
        if is_woken {
            while self.take() {}
        }
        is_woken
    }
}

struct Model {
    hub: Hub,
    oracle: Oracle,
    readers: Vec<Reader>,
    /// How everybody is served who is behind.
    slow: SlowPolicy,
}

impl Model {
    async fn new(gap_event: bool, slow: SlowPolicy) -> Self {
        let heartbeat = Duration::from_secs(8);
        let settings = Settings { heartbeat, gap_event, slow_disconnect_events: 20, ..Settings::default() };
        // The least that a history can be held to: 64 events.
        let retention = Retention { count: Some(0), ..Retention::default() };
        let hub = Hub::builder().settings(settings).memory(retention).seed(1).build().await.unwrap();
        // The table is small here, and others shall come between all the same.
        hub.shared.audience.seats().slice = 2;
        Self { hub, oracle: Oracle::default(), readers: Vec::new(), slow }
    }

    async fn run(&mut self, step: &Step) {
        match step {
            Step::Come { selectors, grant, since, is_slow } => self.come(*selectors, *grant, *since, *is_slow),
            Step::Publish { topics, is_private, count } => {
                (0..*count).for_each(|_| self.oracle.publish(&self.hub, topics, *is_private, 10));
            }
            Step::Take { who, frames } => {
                if let Some(reader) = self.readers.get_mut(*who).filter(|reader| reader.is_slow) {
                    for _ in 0..*frames {
                        reader.take();
                    }
                }
            }
            Step::Read => {
                for reader in self.readers.iter_mut().filter(|reader| !reader.is_slow) {
                    reader.read();
                }
            }
            Step::Leave { who } => {
                if let Some(reader) = self.readers.get_mut(*who) {
                    reader.body = None;
                }
            }
            Step::Yield { turns } => {
                for _ in 0..*turns {
                    tokio::task::yield_now().await;
                }
            }
            Step::Pass { seconds } => tokio::time::advance(Duration::from_secs(*seconds)).await,
        }
    }

    fn come(&mut self, selectors: usize, grant: usize, since: Since, is_slow: bool) {
        let start = since.locate(&self.hub);
        let expected = Expected::new(selectors, grant, &start);
        let subscription = expected.subscription().when_slow(self.slow);
        let body = Delivery::new(self.hub.shared.clone(), subscription, &start);
        let bell = Arc::new(Bell(true.into()));
        self.readers.push(Reader { body: Some(body), bell, received: Vec::new(), expected, is_slow, has_ended: false });
    }

    /// Everybody takes what there is, if it was woken or has not asked to be.
    async fn settle(&mut self) {
        self.readers.iter_mut().filter(|reader| reader.is_slow).for_each(|one| while one.take() {});
        for _ in 0..100_000 {
            let woken = self.readers.iter_mut().map(Reader::read).filter(|is_woken| *is_woken).count();
            let told = self.hub.shared.audience.seats().told;
            if woken == 0 && told == self.hub.shared.log.span().tail {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the audience never comes to rest");
    }

    fn check(&self, is_complete: bool) {
        for one in &self.readers {
            let is_complete = is_complete && one.body.is_some();
            match self.slow {
                SlowPolicy::Conflate => self.oracle.check_conflated(&one.expected, &one.received, is_complete),
                _ => self.oracle.check(&one.expected, &one.received, is_complete),
            }
        }
    }
}

fn in_a_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

proptest! {
    #[test]
    fn whatever_happens_everybody_gets_the_exact_sequence(
        steps in proptest::collection::vec(step(), 1..120),
        gap_event in proptest::bool::weighted(0.8),
        drains in any::<bool>(),
        slow in proptest::sample::select(SlowPolicy::ALL.to_vec()),
    ) {
        in_a_runtime(async {
            let mut model = Model::new(gap_event, slow).await;
            for step in &steps {
                model.run(step).await;
            }
            model.check(false);
            model.settle().await;
            model.check(true);
            let open = model.readers.iter().filter(|reader| reader.body.is_some()).count();
            assert_eq!(model.hub.shared.audience.seats().table.len(), open);
            if drains {
                model.oracle.publish(&model.hub, &[0, 2], false, 10);
                model.hub.drain();
                for _ in 0..30 {
                    tokio::time::advance(Duration::from_secs(1)).await;
                    // Two visits of a table of a hundred, two seats at a time.
                    model.run(&Step::Yield { turns: 100 }).await;
                    model.settle().await;
                    model.check(true);
                }
                assert!(model.readers.iter().all(|reader| reader.body.is_none()), "every stream ends");
            }
            model.readers.clear();
            let seats = model.hub.shared.audience.seats();
            assert!(seats.groups.is_empty() && seats.woken == 0, "nothing stays behind");
        });
    }
}

fn subscribe(hub: &Hub, texts: &[String], grant: Grant) -> (Delivery, Arc<Bell>) {
    let selectors: Selectors = texts.iter().map(|text| Selector::parse(text).unwrap()).collect();
    let subscription = Subscription::new(selectors, Arc::new(grant));
    let mut body = Delivery::new(hub.shared.clone(), subscription, &Since::Tail.locate(hub));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    while Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker)).is_ready() {}
    (body, bell)
}

/// Also if there are more templates to ask than one turn allows.
#[test]
fn an_event_wakes_those_alone_whom_it_is_for() {
    in_a_runtime(async {
        let mut model = Model::new(true, SlowPolicy::CatchUp).await;
        let mut held = Vec::new();
        for n in 0..SLICE_TEMPLATES_MAX * 2 / 100 {
            let texts: Vec<_> = (0..100).map(|m| format!("{{x}}/{n}/{m}")).chain([format!("t/{n}")]).collect();
            held.push(subscribe(&model.hub, &texts, Grant::everything()));
        }
        let woken = |held: &[(Delivery, Arc<Bell>)]| -> Vec<usize> {
            (0..held.len()).filter(|at| held[*at].1.0.load(Ordering::Relaxed)).collect()
        };
        for (topic, expected) in [("nobody", None), ("t/7", Some(7)), ("y/17/3", Some(17)), ("a/b/c/d", None)] {
            let topic = Topic::new(topic).unwrap();
            model.hub.publish(Update::new(topic, "x")).await.unwrap();
            model.settle().await;
            assert_eq!(woken(&held), Vec::from_iter(expected));
            for (body, bell) in held.iter_mut().filter(|(_, bell)| bell.0.swap(false, Ordering::Relaxed)) {
                let waker = Waker::from(bell.clone());
                let mut frames = 0;
                while Pin::new(&mut *body).poll_frame(&mut Context::from_waker(&waker)).is_ready() {
                    frames += 1;
                }
                assert_eq!(frames, 1);
            }
        }
    });
}

#[test]
fn a_private_event_wakes_those_alone_who_may_see_it() {
    in_a_runtime(async {
        let mut model = Model::new(true, SlowPolicy::CatchUp).await;
        let texts = ["a".to_owned()];
        let held: Vec<_> = (0..20)
            .map(|n| {
                let grant = if n == 7 { Grant::everything() } else { Grant::default() };
                subscribe(&model.hub, &texts, grant)
            })
            .collect();
        model.hub.publish(Update::new(Topic::new("a").unwrap(), "x").private()).await.unwrap();
        model.settle().await;
        let woken: Vec<_> = (0..20).filter(|at| held[*at].1.0.load(Ordering::Relaxed)).collect();
        assert_eq!(woken, [7]);
    });
}

/// Whoever waits on a rare topic is not visited while others have news, and must not fall behind the history for it.
#[test]
fn nobody_has_a_gap_for_what_passed_while_it_waited() {
    in_a_runtime(async {
        for passes_heartbeat in [false, true] {
            let mut model = Model::new(true, SlowPolicy::CatchUp).await;
            model.come(1, 0, Since::Tail, false);
            model.settle().await;
            for _ in 0..200 {
                model.oracle.publish(&model.hub, &[1], false, 10);
                model.settle().await;
            }
            if passes_heartbeat {
                tokio::time::advance(Duration::from_secs(20)).await;
                model.run(&Step::Yield { turns: 10 }).await;
            }
            // After the heartbeat it comes late.
            for _ in 0..20 {
                model.oracle.publish(&model.hub, &[1], false, 10);
                model.run(&Step::Yield { turns: 4 }).await;
            }
            model.oracle.publish(&model.hub, &[0], false, 10);
            model.settle().await;
            model.check(true);
            let received = String::from_utf8(model.readers[0].received.clone()).unwrap();
            assert!(received.contains("data: 221 ") && !received.contains(crate::GAP_TYPE), "{received}");
        }
    });
}
