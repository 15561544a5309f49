//! How the cost of an update to one subscriber grows with the subscribers that do not get it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::Request;
use fanfare_hub::{Hub, Settings, Topic, Update};
use tower::ServiceExt;

use crate::{median, process, sockets, templates};

const SUBSCRIBERS: [usize; 4] = [0, 1_000, 10_000, 100_000];
const TEMPLATES: usize = 1_000;
const UPDATES: usize = 5_000;

/// What templates are like, and the nth of them.
type Kind = (&'static str, fn(usize) -> String);

/// How the templates of the others look beside the topics, `https://example.com/users/N`. None matches any.
const KINDS: [Kind; 2] = [
    ("begin like no topic", |n| format!("https://example.com/rooms/{n}/%7B%2Bany%7D")),
    ("begin like every topic", |n| format!("https://example.com/%7Bkind%7D/room-{n}")),
];

pub fn matching(rounds: usize) {
    // First, in memory that nobody had before.
    let _kept = templates::matching(rounds);
    sockets::matching(rounds);
    println!("\nGeneral path: bodies of `Hub::router`, in one process without sockets.\n");
    println!("| 1,000 templates | exact subscribers | µs an update to one | bytes a subscriber |");
    println!("|---|---:|---:|---:|");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (name, template) in KINDS {
        runtime.block_on(compare(name, template, rounds));
    }
}

async fn compare(name: &str, template: fn(usize) -> String, rounds: usize) {
    let mut crowds = Vec::new();
    // The first crowds are gathered in memory that nobody had before.
    let is_fresh = name == KINDS[0].0;
    for subscribers in SUBSCRIBERS {
        crowds.push(Crowd::gather(subscribers, template, is_fresh).await);
    }
    let mut runs = vec![Vec::new(); crowds.len()];
    for round in 0..rounds {
        for turn in 0..crowds.len() {
            let at = (turn + round) % crowds.len();
            runs[at].push(crowds[at].run().await);
        }
    }
    for (crowd, runs) in crowds.iter().zip(&runs) {
        let us = median(runs.iter().map(|time| time.as_secs_f64() * 1e6 / UPDATES as f64));
        let bytes = crowd.bytes_per_subscriber.map_or_else(String::new, |bytes| format!("{bytes:.0}"));
        println!("| {name} | {} | {us:.2} | {bytes} |", crowd.members.len());
    }
}

/// A hub and those who are subscribed to it.
struct Crowd {
    hub: Hub,
    members: Vec<Member>,
    /// They never have an event.
    others: Vec<Member>,
    woken: Arc<Woken>,
    bytes_per_subscriber: Option<f64>,
    published: usize,
}

struct Member {
    body: Body,
    waker: Waker,
}

/// Who was woken, and has not been looked after yet.
#[derive(Default)]
struct Woken {
    numbers: Mutex<Vec<usize>>,
    count: AtomicUsize,
}

struct Bell {
    number: usize,
    /// The first look is nobody's waking.
    is_set: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if self.is_set.load(Ordering::Relaxed) {
            self.woken.numbers.lock().expect("nobody panics").push(self.number);
            self.woken.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Crowd {
    async fn gather(subscribers: usize, template: fn(usize) -> String, is_fresh: bool) -> Self {
        let mut settings = Settings::default();
        settings.connections_max = usize::MAX;
        // No comment comes between.
        settings.heartbeat = Duration::from_secs(3600);
        let hub = Hub::builder().settings(settings).build().await.expect("a hub");
        let woken = Arc::<Woken>::default();
        let mut crowd =
            Self { hub, members: Vec::new(), others: Vec::new(), woken, bytes_per_subscriber: None, published: 0 };
        for number in 0..TEMPLATES {
            let member = crowd.subscribe(usize::MAX, &template(number)).await;
            crowd.others.push(member);
        }
        crowd.members.reserve_exact(subscribers);
        let before = process::memory_bytes("self");
        for number in 0..subscribers {
            let member = crowd.subscribe(number, &topic(number)).await;
            crowd.members.push(member);
        }
        if is_fresh && subscribers > 0 {
            crowd.bytes_per_subscriber = Some((process::memory_bytes("self") - before) / subscribers as f64);
        }
        crowd
    }

    /// Subscribes and reads until there is nothing more.
    async fn subscribe(&self, number: usize, topic: &str) -> Member {
        let request = Request::get(format!("/events?topic={topic}")).header("host", "localhost");
        let response = self.hub.router().oneshot(request.body(Body::empty()).expect("a request")).await;
        let body = response.expect("an answer").into_body();
        let bell = Arc::new(Bell { number, is_set: AtomicBool::new(false), woken: self.woken.clone() });
        let mut member = Member { body, waker: bell.clone().into() };
        while member.take().is_some() {}
        bell.is_set.store(true, Ordering::Relaxed);
        member
    }

    /// Publishes, one after the other, to subscribers at random, and waits until each has its event.
    async fn run(&mut self) -> Duration {
        let mut random = Random(self.published as u64 + 1);
        let started = Instant::now();
        for _ in 0..UPDATES {
            self.published += 1;
            let (number, data) = (random.below(self.members.len().max(1)), format!("event {}", self.published));
            let update = Update::new(Topic::new(&topic(number)).expect("a topic"), data.clone());
            self.hub.publish(update).await.expect("it is stored");
            if self.members.is_empty() {
                // The herald has its look all the same.
                tokio::task::yield_now().await;
                continue;
            }
            while self.woken.count.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            self.woken.count.store(0, Ordering::Relaxed);
            let woken = std::mem::take(&mut *self.woken.numbers.lock().expect("nobody panics"));
            assert_eq!(woken, [number], "one has an event, and nobody else is woken");
            let member = &mut self.members[number];
            let frame = member.take().expect("an event");
            let text = std::str::from_utf8(&frame).expect("text");
            assert!(text.contains(&format!("data: {data}\n\n")) && text.matches("data:").count() == 1, "{text}");
            assert!(member.take().is_none());
        }
        let time = started.elapsed();
        let delivered = self.hub.figures().delivered;
        assert_eq!(delivered, if self.members.is_empty() { 0 } else { self.published as u64 }, "nothing else was sent");
        time
    }
}

impl Member {
    fn take(&mut self) -> Option<bytes::Bytes> {
        match Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(&self.waker)) {
            Poll::Pending => None,
            Poll::Ready(frame) => Some(frame.expect("it lasts").expect("no error").into_data().expect("data")),
        }
    }
}

fn topic(number: usize) -> String {
    format!("https://example.com/users/{number}")
}

/// Knuth's linear congruential generator: enough to come to all of a table.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}
