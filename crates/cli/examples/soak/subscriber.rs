//! A seat in the crowd: somebody who subscribes, leaves, and comes back as the same or as another.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use fanfare_wire::{Decoded, Decoder};
use reqwest::Response;
use tokio::time::{Instant, sleep, timeout_at};

use crate::sequence::Sequences;
use crate::workload::{PATIENCE, Shared, TOPICS};

pub(crate) struct Seat {
    random: fastrand::Rng,
    topics: Vec<usize>,
    sequences: Sequences,
    cursor: Option<String>,
}

/// How somebody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Fast,
    Slow,
    Never,
}

impl Seat {
    pub(crate) fn new(shared: &Shared, number: u64) -> Self {
        let random = fastrand::Rng::with_seed(shared.seed.wrapping_add(number));
        Self { random, topics: Vec::new(), sequences: Sequences::default(), cursor: None }
    }

    /// Comes and goes as long as there are publishers; then stays for what is left to come.
    pub(crate) async fn run(mut self, shared: &Shared) -> anyhow::Result<()> {
        while shared.takes_more() {
            self.visit(shared).await?;
        }
        let mut stream = self.subscribe(shared).await?;
        shared.seated.add_permits(1);
        let deadline = Instant::now() + PATIENCE * 2;
        while !(shared.is_over() && self.sequences.has_all(|topic| shared.published(topic))) {
            let chunk = timeout_at(deadline, stream.response.chunk()).await;
            let Ok(chunk) = chunk else {
                bail!("lost at the end: {:?}", self.sequences.missing(|topic| shared.published(topic)))
            };
            self.take(shared, &mut stream, &chunk?.context("the stream ended")?)?;
        }
        Ok(())
    }

    /// One connection, from its beginning to its end.
    async fn visit(&mut self, shared: &Shared) -> anyhow::Result<()> {
        let pace = match self.random.u8(..10) {
            0 => Pace::Never,
            1..4 => Pace::Slow,
            _ => Pace::Fast,
        };
        let ends_at = Instant::now() + Duration::from_millis(self.random.u64(50..10_000));
        let mut stream = self.subscribe(shared).await?;
        if pace == Pace::Never {
            tokio::time::sleep_until(ends_at).await;
            return Ok(());
        }
        let mut left = self.random.u32(1..2000);
        while left > 0 && shared.takes_more() && Instant::now() < ends_at {
            let Ok(chunk) = timeout_at(ends_at, stream.response.chunk()).await else { return Ok(()) };
            if pace == Pace::Slow && chunk.is_err() {
                // A window that stays shut for a minute ends a connection; its cursor is still good.
                shared.cut_off.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            let taken = self.take(shared, &mut stream, &chunk?.context("the stream ended")?)?;
            left = left.saturating_sub(taken);
            if pace == Pace::Slow {
                sleep(Duration::from_millis(self.random.u64(..50))).await;
            }
        }
        Ok(())
    }

    /// Connects, half of the time as the one that was here before, who has a cursor.
    async fn subscribe(&mut self, shared: &Shared) -> anyhow::Result<Stream> {
        let resumes = self.cursor.is_some() && self.random.bool();
        let mut from = vec![0; TOPICS];
        if !resumes {
            self.cursor = None;
            self.topics = self.choose();
            from = (0..TOPICS).map(|topic| shared.published(topic)).collect();
        }
        // Some want all that is kept, and so does whoever comes back late.
        let is_earliest = !resumes && self.random.u8(..10) == 0;
        let query = if self.topics.len() == TOPICS {
            (if self.random.bool() { "" } else { "?topic={n}" }).to_owned()
        } else {
            let topics: Vec<String> = self.topics.iter().map(|topic| format!("topic={topic}")).collect();
            format!("?{}", topics.join("&"))
        };
        let mut request = shared.subscribing.get(shared.url(&format!("/events{query}")));
        let cursor = if is_earliest { Some("earliest") } else { self.cursor.as_deref() };
        if let Some(cursor) = cursor {
            request = request.header("last-event-id", cursor);
        }
        // The path that hyper serves.
        if self.random.bool() {
            request = request.header("connection", "close");
        }
        let response =
            tokio::time::timeout(PATIENCE, request.send()).await.context("nobody answers a subscriber")??;
        anyhow::ensure!(response.status() == 200, "a subscriber was answered with {}", response.status());
        shared.joins.fetch_add(1, Ordering::Relaxed);
        if !resumes {
            self.sequences = Sequences::default();
            for &topic in &self.topics {
                // One may have been stored and not answered yet when the stream began.
                let (least, most) = (from[topic], shared.published(topic) + 1);
                self.sequences.begin(topic, if is_earliest { 0 } else { least }, most);
            }
        }
        shared.subscribers.fetch_add(1, Ordering::Relaxed);
        Ok(Stream { response, decoder: Decoder::new(), _present: Present(shared.subscribers.clone()) })
    }

    fn choose(&mut self) -> Vec<usize> {
        if self.random.u8(..10) == 0 {
            return (0..TOPICS).collect();
        }
        let mut topics: Vec<usize> = (0..self.random.usize(1..5)).map(|_| self.random.usize(..TOPICS)).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Checks what came, and gives how many events that were.
    fn take(&mut self, shared: &Shared, stream: &mut Stream, mut chunk: &[u8]) -> anyhow::Result<u32> {
        let mut taken = 0;
        while let Some(decoded) = stream.decoder.decode(&mut chunk) {
            let Decoded::Event(event) = decoded else { continue };
            if event.event_type == "fanfare-gap" {
                shared.gaps.fetch_add(1, Ordering::Relaxed);
                self.sequences.gap();
            } else {
                self.sequences.take(event.data)?;
                taken += 1;
            }
            self.cursor = Some(event.last_event_id.to_owned());
        }
        shared.received.fetch_add(u64::from(taken), Ordering::Relaxed);
        Ok(taken)
    }
}

struct Stream {
    response: Response,
    decoder: Decoder,
    _present: Present,
}

/// Counts somebody as long as the connection is there.
struct Present(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
