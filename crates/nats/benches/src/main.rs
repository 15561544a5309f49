//! What several hubs over JetStream do, beside the log that one hub has. Everything runs on this machine: servers, hubs
//! and subscribers share its processors, so that more nodes show what coordination costs and not what they gain.
//!
//! ```sh
//! cargo run --release --manifest-path crates/nats/benches/Cargo.toml -- [SECONDS]
//! ```

#[path = "../../tests/servers/mod.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod servers;

/// Publishes a second, with many under way.
mod publishing;

/// From the publish to the local log of another node.
mod latency;

/// Deliveries a second over sockets, summed over hubs.
mod delivering;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_log::{
    DiskLog, DiskSettings, Draft, Engine, Epoch, Frame, Id, Log, MemoryLog, Retention, Timestamp, Visibility,
};
use fanfare_nats::{NatsEngine, Settings};
use servers::Servers;

/// 256 bytes, as the other benchmarks take.
const FRAME_BYTES: usize = 256;

#[tokio::main]
async fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    let time = Duration::from_secs(seconds);
    let retention = Retention { bytes: Some(256 << 20), ..Retention::default() };
    println!("publishes/s with 256 under way, and from publish to a readable event (p50, p99), each alone");
    let memory = Arc::new(MemoryLog::new(Epoch(1), retention));
    row("embedded, memory", memory.clone(), memory, time).await;
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::new(DiskLog::open(folder.path(), DiskSettings::new(retention, Timestamp(1))).expect("a log"));
    row("embedded, disk, fsync", disk.clone(), disk, time).await;
    for servers in [Servers::one(), Servers::three()] {
        let count = servers.count();
        let publishing = node(&servers, retention).await;
        // Another node, as a subscriber elsewhere has.
        let reading = node(&servers, retention).await;
        row(&format!("JetStream, {count} server(s)"), publishing.0, reading.1, time).await;
    }
    println!("deliveries/s of 256 bytes to 100 subscribers in all, summed over hubs of one process");
    for hubs in 1..=3 {
        let servers = Servers::one();
        println!("  {hubs} hub(s): {:>9.0}", delivering::rate(&servers, hubs, time).await);
    }
}

async fn row(name: &str, engine: Arc<dyn Engine>, log: Arc<dyn Log>, time: Duration) {
    let rate = publishing::rate(&engine, time).await;
    let [p50, p99] = latency::percentiles(&engine, &log, time).await;
    println!("  {name:<24} {rate:>9.0}/s   {p50:>8.3} ms   {p99:>8.3} ms");
}

/// An engine with its local log in memory.
async fn node(servers: &Servers, retention: Retention) -> (Arc<dyn Engine>, Arc<dyn Log>) {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(Epoch(0), retention));
    #[allow(clippy::disallowed_methods, reason = "here the clock comes in")]
    let now = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as u64)
    };
    let mut settings = Settings::new(servers.url().parse().expect("a url"), retention, Arc::new(now));
    settings.replicas = Some(servers.count());
    let engine = NatsEngine::start(settings, log.clone()).await.expect("the engine starts");
    until("the engine is ready", || engine.unready().is_none()).await;
    (Arc::new(engine), log)
}

/// Waits for what takes seconds at most where all is well.
async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("waited too long until {what}"));
}

const PATIENCE: Duration = Duration::from_secs(60);

fn draft() -> Draft {
    Draft {
        topics: vec!["bench".into()],
        id: Id::Position,
        visibility: Visibility::Public,
        time: Timestamp(1),
        frame: Frame::whole(vec![b'x'; FRAME_BYTES]),
    }
}
