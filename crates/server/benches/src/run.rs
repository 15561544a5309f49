//! One run: a server from its start to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::crowd;
use crate::process::Server;

/// What was found.
#[derive(Clone, Copy)]
pub struct Figures {
    pub cpu_us_at_rate: f64,
    pub cpu_us_at_full_speed: f64,
    pub deliveries_per_s: f64,
    pub bytes_per_subscriber: f64,
}

/// How long anything may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

const SETTLE: Duration = Duration::from_millis(500);
const DELIVERIES_PER_S: usize = 20_000;
const IN_FLIGHT: u64 = 8;

pub fn run(candidate: &str, subscribers: usize, seconds: u64) -> Figures {
    let server = Server::start(candidate);
    // What is there once is not a subscriber's.
    let _first = std::net::TcpStream::connect(server.address).expect("the server accepts");
    std::thread::sleep(SETTLE);
    let before = server.memory_bytes();
    let delivered = crowd::connect(server.address, subscribers);
    std::thread::sleep(SETTLE);
    let bytes_per_subscriber = (server.memory_bytes() - before) / subscribers as f64;
    let mut load = Load { server, delivered, subscribers: subscribers as u64, published: 0 };

    // The first event goes to everybody before a clock runs.
    load.publish(1);
    load.all_came(0);
    let length = Duration::from_secs(seconds);
    let interval = Duration::from_secs(1) * u32::try_from(subscribers).expect("few") / DELIVERIES_PER_S as u32;
    let at_rate = Clock::start(&load);
    let mut due = Instant::now();
    while at_rate.started.elapsed() < length {
        load.publish(1);
        due += interval;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    load.all_came(0);
    let (cpu_us_at_rate, _) = at_rate.stop(&load);

    let at_full_speed = Clock::start(&load);
    while at_full_speed.started.elapsed() < length {
        let on_their_way = load.published - load.delivered.load(Ordering::Relaxed) / load.subscribers;
        match u8::try_from(IN_FLIGHT.saturating_sub(on_their_way)) {
            Ok(0) | Err(_) => std::thread::sleep(Duration::from_micros(100)),
            Ok(room) => load.publish(room),
        }
    }
    load.all_came(0);
    let (cpu_us_at_full_speed, deliveries_per_s) = at_full_speed.stop(&load);
    Figures { cpu_us_at_rate, cpu_us_at_full_speed, deliveries_per_s, bytes_per_subscriber }
}

struct Load {
    server: Server,
    delivered: Arc<AtomicU64>,
    subscribers: u64,
    published: u64,
}

impl Load {
    fn publish(&mut self, events: u8) {
        self.server.publish(events);
        self.published += u64::from(events);
    }

    /// Waits until everybody has all but so many of the events, on average.
    fn all_came(&self, but: u64) {
        let (asked, expected) = (Instant::now(), self.published.saturating_sub(but) * self.subscribers);
        while self.delivered.load(Ordering::Relaxed) < expected {
            assert!(asked.elapsed() < PATIENCE, "not all events came in time");
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

struct Clock {
    started: Instant,
    cpu: Duration,
    delivered: u64,
}

impl Clock {
    fn start(load: &Load) -> Self {
        let delivered = load.delivered.load(Ordering::Relaxed);
        Self { started: Instant::now(), cpu: load.server.processor_time(), delivered }
    }

    /// CPU time of a delivery in microseconds, and deliveries a second.
    fn stop(&self, load: &Load) -> (f64, f64) {
        let delivered = (load.delivered.load(Ordering::Relaxed) - self.delivered) as f64;
        let cpu = load.server.processor_time() - self.cpu;
        (cpu.as_secs_f64() * 1e6 / delivered, delivered / self.started.elapsed().as_secs_f64())
    }
}
