//! The engine against real servers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_log::{
    Appended, DiskLog, DiskSettings, Draft, Durability, Engine, Epoch, Frame, Id, Log, MemoryLog, Order, Position,
    ReadBudget, Record, Retention, Timestamp, Topics, Visibility,
};
use fanfare_nats::{NatsEngine, Settings, StartError};
use servers::Servers;

#[path = "../servers/mod.rs"]
mod servers;

/// What goes wrong with NATS and what it does to the order.
mod failures;

/// One order for all nodes, keys, limits.
mod order;

/// How a node starts.
mod start;

const ALL: ReadBudget = ReadBudget { records: usize::MAX, bytes: usize::MAX, examined: usize::MAX };

/// Generous: nothing that goes well waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A hub node without the hub.
struct Node {
    engine: NatsEngine,
    log: Arc<dyn Log>,
}

impl Node {
    async fn start(servers: &Servers) -> Self {
        Self::with(settings(servers), memory()).await
    }

    async fn with(settings: Settings, log: Arc<dyn Log>) -> Self {
        let engine = NatsEngine::start(settings, log.clone()).await.expect("the engine starts");
        let node = Self { engine, log };
        node.ready().await;
        node
    }

    async fn close(self) {
        self.engine.close().await;
    }

    async fn ready(&self) {
        until("the node is ready", || self.engine.unready().is_none()).await;
    }

    async fn append(&self, texts: &[&str]) -> Vec<Position> {
        self.engine.append(texts.iter().map(|text| draft(text)).collect()).await.expect("it is stored")
    }

    /// Appends until it is acknowledged, and says how often it was not.
    async fn append_until_stored(&self, text: &str) -> (Vec<Position>, usize) {
        let mut failures = 0;
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            match self.engine.append(vec![draft(text)]).await {
                Ok(positions) => return (positions, failures),
                Err(error) => assert!(std::time::Instant::now() < end, "{error}"),
            }
            failures += 1;
        }
    }

    fn texts(&self) -> Vec<String> {
        self.records().iter().map(|record| text_of(record)).collect()
    }

    fn records(&self) -> Vec<Arc<Record>> {
        self.log.read(self.log.span().start, Topics::All, ALL).expect("the log is read").records
    }

    async fn has(&self, position: Position) {
        until("the node has it", || self.log.span().tail >= position).await;
    }
}

fn text_of(record: &Record) -> String {
    String::from_utf8(record.frame.to_vec()).expect("it is text")
}

fn settings(servers: &Servers) -> Settings {
    settings_of(&servers.url())
}

fn settings_of(url: &str) -> Settings {
    let now =
        || Timestamp(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64);
    Settings::new(url.parse().expect("a url"), Retention::default(), Arc::new(now))
}

fn memory() -> Arc<dyn Log> {
    Arc::new(MemoryLog::new(Epoch(0), Retention::default()))
}

fn disk(folder: &std::path::Path) -> Arc<dyn Log> {
    let mut settings = DiskSettings::new(Retention::default(), Timestamp(0));
    (settings.order, settings.durability) = (Order::Followed, Durability::Os);
    Arc::new(DiskLog::open(folder, settings).expect("the log opens"))
}

fn draft(text: &str) -> Draft {
    Draft {
        topics: vec!["t".into()],
        id: Id::Position,
        visibility: Visibility::Public,
        time: Timestamp(1),
        frame: Frame::whole(text.to_owned()),
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("waited too long until {what}"));
}

/// A client of its own, as an operator has.
async fn operator(servers: &Servers) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(servers.url()).await.expect("the operator connects"))
}
