use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::watch;

use crate::hubs::Hubs;

/// What publishers know of their events.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// The data of what was acknowledged, with the id.
    pub(crate) acknowledged: BTreeMap<String, String>,
    /// The data of what was sent once and not acknowledged: it may be there.
    pub(crate) maybe: BTreeSet<String>,
    /// Of what was refused for certain: it must not be there.
    pub(crate) refused: BTreeSet<String>,
    /// Attempts that failed and were made again with their key.
    pub(crate) attempts_again: usize,
}

impl Published {
    pub(crate) fn merge(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.maybe.extend(other.maybe);
        self.refused.extend(other.refused);
        self.attempts_again += other.attempts_again;
    }
}

/// Publishes until told to stop, each event through a random hub. With `keyed` it tries every event until it is
/// acknowledged, with an idempotency key; else once.
pub(crate) async fn publish(
    hubs: Arc<Hubs>,
    name: String,
    is_keyed: bool,
    acknowledged: Arc<AtomicUsize>,
    stop: watch::Receiver<bool>,
) -> Published {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let mut published = Published::default();
    for n in 0_u64.. {
        if *stop.borrow() {
            break;
        }
        let data = format!("{name} {n}");
        let key = is_keyed.then_some(data.as_str());
        loop {
            match send(&client, &hubs, &data, key).await {
                Outcome::Acknowledged(id) => {
                    published.acknowledged.insert(data.clone(), id);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                _ if is_keyed => {
                    published.attempts_again += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Outcome::Maybe => {
                    published.maybe.insert(data.clone());
                    break;
                }
                Outcome::Refused => {
                    published.refused.insert(data.clone());
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    break;
                }
            }
        }
        // Load, and room for all else on two processors.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..8))).await;
    }
    published
}

/// Publishes one event that must get there, and gives its id.
pub(crate) async fn publish_last(hubs: &Hubs, data: &str) -> String {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    for _ in 0..1000 {
        if let Outcome::Acknowledged(id) = send(&client, hubs, data, Some(data)).await {
            return id;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{data} was never acknowledged");
}

enum Outcome {
    Acknowledged(String),
    Maybe,
    Refused,
}

async fn send(client: &reqwest::Client, hubs: &Hubs, data: &str, key: Option<&str>) -> Outcome {
    let mut request = client.post(hubs.somewhere("/events/load")).body(data.to_owned());
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        // Nobody was there.
        Err(error) if error.is_connect() => return Outcome::Refused,
        Err(_) => return Outcome::Maybe,
    };
    let status = answer.status();
    let retry_after = answer.headers().contains_key("retry-after");
    let Ok(text) = answer.text().await else { return Outcome::Maybe };
    match status {
        StatusCode::OK => Outcome::Acknowledged(text),
        // Of a balancer that got no answer.
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Outcome::Maybe,
        StatusCode::SERVICE_UNAVAILABLE if !retry_after => Outcome::Maybe,
        StatusCode::SERVICE_UNAVAILABLE => {
            if text.contains("not known whether") {
                Outcome::Maybe
            } else {
                Outcome::Refused
            }
        }
        status => panic!("{status}: {text}"),
    }
}
