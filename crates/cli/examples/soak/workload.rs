//! The run: publishers and a crowd at once, samples each second, and the end, at which nothing is left open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::arguments::{Arguments, Until};
use crate::process::Hub;
use crate::publisher;
use crate::samples::{Sample, Samples};
use crate::subscriber::Seat;

pub(crate) const TOPICS: usize = 40;
pub(crate) const PUBLISHERS: usize = 4;
const SEATS: u64 = 100;

/// Longer than anything takes on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Files that may be open at the end and were not at the start: what the hub opens as it goes for itself, and the segments of
/// the history. A file left behind by one connection in a hundred would be more.
const OWN_FILES_MAX: usize = 32;

const PROGRESS_SECONDS: u64 = 10;

/// What publishers, the crowd and the sampling know of each other.
pub(crate) struct Shared {
    url: String,
    until: Until,
    start: Instant,
    pub(crate) rate: u32,
    pub(crate) seed: u64,
    /// For subscribers: each has a connection of its own.
    pub(crate) subscribing: reqwest::Client,
    /// Events of each topic that were acknowledged.
    pub(crate) topics: Vec<AtomicU64>,
    pub(crate) events: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) joins: AtomicU64,
    /// Slow subscribers whose connections the hub ended.
    pub(crate) cut_off: AtomicU64,
    pub(crate) subscribers: Arc<AtomicU64>,
    /// A permit for each who has come to stay for the end.
    pub(crate) seated: Semaphore,
    is_over: AtomicBool,
}

impl Shared {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// How many events of a topic were acknowledged.
    pub(crate) fn published(&self, topic: usize) -> u64 {
        self.topics[topic].load(Ordering::SeqCst)
    }

    pub(crate) fn takes_more(&self) -> bool {
        match self.until {
            Until::Events(events) => self.events.load(Ordering::SeqCst) < events,
            Until::Time(time) => self.start.elapsed() < time,
        }
    }

    /// Whether the last event of each topic is published.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let hub = Hub::start()?;
    println!("random seed {}", arguments.seed);
    let shared = Arc::new(Shared {
        url: hub.url.clone(),
        until: arguments.until,
        start: Instant::now(),
        rate: arguments.rate,
        seed: arguments.seed,
        subscribing: reqwest::Client::builder().pool_max_idle_per_host(0).build()?,
        topics: (0..TOPICS).map(|_| AtomicU64::new(0)).collect(),
        events: AtomicU64::new(0),
        received: AtomicU64::new(0),
        gaps: AtomicU64::new(0),
        joins: AtomicU64::new(0),
        cut_off: AtomicU64::new(0),
        subscribers: Arc::new(AtomicU64::new(0)),
        seated: Semaphore::new(0),
        is_over: AtomicBool::new(false),
    });
    let files_before = hub.open_files()?;
    let mut samples = Samples::default();
    let outcome = tokio::select! {
        outcome = crowd(&shared) => outcome,
        failed = sample(&shared, &hub, &mut samples) => failed,
    };
    if let Some(file) = &arguments.csv {
        samples.write_csv(file)?;
    }
    outcome?;
    let closed = async {
        while hub.open_files()? > files_before + OWN_FILES_MAX {
            sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    let closed = timeout(PATIENCE * 2, closed).await;
    closed.with_context(|| format!("{files_before} files were open before, {:?} after", hub.open_files()))??;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{} events published, {} received by {} subscriptions in order, none lost or doubled; {} gaps told, {} slow ones cut off",
        count(&shared.events),
        count(&shared.received),
        count(&shared.joins),
        count(&shared.gaps),
        count(&shared.cut_off)
    );
    samples.check_flat()
}

async fn crowd(shared: &Arc<Shared>) -> anyhow::Result<()> {
    let mut publishers = JoinSet::new();
    for which in 0..PUBLISHERS {
        let shared = shared.clone();
        publishers.spawn(async move { publisher::run(&shared, which).await });
    }
    let mut seats = JoinSet::new();
    for number in 0..SEATS {
        let (shared, seat) = (shared.clone(), Seat::new(shared, number));
        seats.spawn(async move { Seat::run(seat, &shared).await.with_context(|| format!("seat {number}")) });
    }
    let published = async {
        while let Some(ended) = publishers.join_next().await {
            ended??;
        }
        // Everybody has come to stay; what is published from here on must reach whoever asked for it.
        drop(shared.seated.acquire_many(SEATS as u32).await?);
        let client = reqwest::Client::new();
        for topic in 0..TOPICS {
            publisher::publish(shared, &client, topic, 10).await?;
        }
        shared.is_over.store(true, Ordering::SeqCst);
        // And another one, so that nobody waits for a chunk that has come already.
        for topic in 0..TOPICS {
            publisher::publish(shared, &client, topic, 10).await?;
        }
        anyhow::Ok(())
    };
    let seated = async {
        let mut count = 0;
        while let Some(ended) = seats.join_next().await {
            ended??;
            count += 1;
        }
        ensure!(count == SEATS, "{count} subscribers came to their end");
        anyhow::Ok(())
    };
    futures_util::future::try_join(published, seated).await.map(drop)
}

/// Never ends but with an error.
async fn sample(shared: &Shared, hub: &Hub, samples: &mut Samples) -> anyhow::Result<()> {
    let mut pace = interval(Duration::from_secs(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sample = Sample {
            seconds: shared.start.elapsed().as_secs(),
            published: count(&shared.events),
            received: count(&shared.received),
            subscribers: count(&shared.subscribers),
            memory_kib: hub.memory_kib()?,
            open_files: hub.open_files()?,
        };
        if (samples.0.len() as u64).is_multiple_of(PROGRESS_SECONDS) {
            let Sample { seconds, published, received, subscribers, memory_kib, open_files } = sample;
            println!(
                "{seconds:>6} s  {published:>9} published  {received:>10} received  {subscribers:>4} subscribers  \
                 {memory_kib:>7} KiB  {open_files:>4} files"
            );
        }
        samples.0.push(sample);
    }
}
