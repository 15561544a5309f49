//! One of the publishers: a connection of its own, and topics that nobody else publishes on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::sequence::data;
use crate::workload::{PATIENCE, PUBLISHERS, Shared, TOPICS};

/// Publishes at its share of the rate until the run is to end.
pub(crate) async fn run(shared: &Shared, which: usize) -> anyhow::Result<()> {
    let mut random = fastrand::Rng::with_seed(shared.seed ^ which as u64);
    let mut pace = interval(Duration::from_secs(1) * PUBLISHERS as u32 / shared.rate);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let client = reqwest::Client::new();
    while shared.takes_more() {
        pace.tick().await;
        let topic = random.usize(..TOPICS / PUBLISHERS) * PUBLISHERS + which;
        let padding_bytes = match random.u8(..100) {
            0..80 => random.usize(..500),
            80..98 => random.usize(..8 << 10),
            _ => random.usize(..128 << 10),
        };
        publish(shared, &client, topic, padding_bytes).await?;
    }
    Ok(())
}

/// Publishes the next event of a topic.
pub(crate) async fn publish(
    shared: &Shared,
    client: &reqwest::Client,
    topic: usize,
    padding_bytes: usize,
) -> anyhow::Result<()> {
    let number = shared.published(topic);
    let request = client.post(shared.url(&format!("/events/{topic}"))).body(data(topic, number, padding_bytes));
    let response = timeout(PATIENCE, request.send()).await.context("a publish was not answered")??;
    ensure!(response.status() == 200, "a publish was answered with {}", response.status());
    response.bytes().await?;
    shared.topics[topic].store(number + 1, Ordering::SeqCst);
    shared.events.fetch_add(1, Ordering::SeqCst);
    Ok(())
}
