//! One run: a server from its start to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::process::Server;
use crate::protocol::{Protocol, Version};
use crate::server::Candidate;
use crate::subscriber::{Connection, Connector, Heard, read};

/// What was found.
#[derive(Clone, Copy)]
pub struct Figures {
    pub bytes_per_subscriber: f64,
    pub cpu_us_at_rate: f64,
    pub cpu_us_at_full_speed: f64,
    pub deliveries_per_s: f64,
}

/// How long anything may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

const SETTLE: Duration = Duration::from_millis(500);
const AT_RATE: Duration = Duration::from_secs(3);
const AT_FULL_SPEED: Duration = Duration::from_secs(2);
const DELIVERIES_PER_S: usize = 20_000;
const IN_FLIGHT: u64 = 32;
const EVENT_BYTES: usize = 100;

pub fn run(candidate: &Candidate, protocol: &Protocol, subscribers: usize) -> Figures {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a pair");
    let pem = cert.pem() + &signing_key.serialize_pem();
    let kind = if protocol.is_tls { "tls" } else { "plain" };
    let server = Server::start(&candidate.program, &[candidate.server, kind], &pem);
    let certificate = protocol.is_tls.then(|| cert.der().clone());
    let connector = Connector::new(server.address.clone(), certificate, protocol.version);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let load = load(&server, protocol, connector, subscribers);
    let loaded = runtime.block_on(async { tokio::time::timeout(PATIENCE, load).await });
    loaded.unwrap_or_else(|_| panic!("{} over {}: not all events came in time", candidate.name, protocol.name))
}

async fn load(server: &Server, protocol: &Protocol, connector: Connector, subscribers: usize) -> Figures {
    let mut publisher = Publisher {
        connection: connector.connect(protocol.version).await,
        connector: connector.clone(),
        heard: Arc::default(),
        subscribers: subscribers as u64,
        published: 0,
    };
    // What is there once is not a subscriber's.
    connector.ask_whole(&mut publisher.connection, "/health/live", None).await;
    let before = server.memory_bytes();
    let _connections = connect(protocol, &connector, subscribers, &publisher.heard).await;
    tokio::time::sleep(SETTLE).await;
    let bytes_per_subscriber = (server.memory_bytes() - before) / subscribers as f64;

    // The first event goes to everybody before a clock runs.
    publisher.publish().await;
    publisher.all_came(0).await;
    assert_eq!(publisher.heard.open.load(Ordering::Relaxed), subscribers);

    let interval = Duration::from_secs(1) * u32::try_from(subscribers).expect("few") / DELIVERIES_PER_S as u32;
    let at_rate = Clock::start(server, &publisher);
    let mut due = tokio::time::interval(interval);
    while at_rate.started.elapsed() < AT_RATE {
        due.tick().await;
        publisher.publish().await;
    }
    publisher.all_came(0).await;
    let (cpu_us_at_rate, _) = at_rate.stop(server, &publisher);

    let at_full_speed = Clock::start(server, &publisher);
    while at_full_speed.started.elapsed() < AT_FULL_SPEED {
        publisher.publish().await;
        publisher.all_came(IN_FLIGHT - 1).await;
    }
    publisher.all_came(0).await;
    let (cpu_us_at_full_speed, deliveries_per_s) = at_full_speed.stop(server, &publisher);
    Figures { bytes_per_subscriber, cpu_us_at_rate, cpu_us_at_full_speed, deliveries_per_s }
}

async fn connect(
    protocol: &Protocol,
    connector: &Connector,
    subscribers: usize,
    heard: &Arc<Heard>,
) -> Vec<Connection> {
    let mut connections = Vec::new();
    for number in 0..subscribers {
        if number % protocol.streams == 0 {
            let mut connection = connector.connect(protocol.version).await;
            if protocol.version == Version::ReusedHttp1 {
                connector.ask_whole(&mut connection, "/health/live", None).await;
            }
            connections.push(connection);
        }
        let connection = connections.last_mut().expect("one was pushed");
        let response = connector.ask(connection, "/events/a", None).await;
        tokio::spawn(read(response.into_body(), heard.clone()));
    }
    connections
}

struct Publisher {
    connector: Connector,
    connection: Connection,
    heard: Arc<Heard>,
    subscribers: u64,
    published: u64,
}

impl Publisher {
    async fn publish(&mut self) {
        let data = format!("{} {}", self.published, "x".repeat(EVENT_BYTES));
        let data = data[..EVENT_BYTES].to_owned();
        self.connector.ask_whole(&mut self.connection, "/events/a", Some(data)).await;
        self.published += 1;
    }

    /// Waits until everybody has all but so many of the events, on average.
    async fn all_came(&self, but: u64) {
        let expected = self.published.saturating_sub(but) * self.subscribers;
        while self.heard.delivered.load(Ordering::Relaxed) < expected {
            tokio::task::yield_now().await;
        }
    }
}

struct Clock {
    started: Instant,
    cpu: Duration,
    delivered: u64,
}

impl Clock {
    fn start(server: &Server, publisher: &Publisher) -> Self {
        let delivered = publisher.heard.delivered.load(Ordering::Relaxed);
        Self { started: Instant::now(), cpu: server.processor_time(), delivered }
    }

    /// CPU time of a delivery in microseconds, and deliveries a second.
    fn stop(&self, server: &Server, publisher: &Publisher) -> (f64, f64) {
        let delivered = (publisher.heard.delivered.load(Ordering::Relaxed) - self.delivered) as f64;
        let cpu = server.processor_time() - self.cpu;
        (cpu.as_secs_f64() * 1e6 / delivered, delivered / self.started.elapsed().as_secs_f64())
    }
}
