use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_log::Engine;

use crate::draft;

/// Each of 256 publishers waits for its answer before it publishes again.
pub(crate) async fn rate(engine: &Arc<dyn Engine>, time: Duration) -> f64 {
    let begun = Instant::now();
    let mut publishers = tokio::task::JoinSet::new();
    for _ in 0..256 {
        let engine = engine.clone();
        publishers.spawn(async move {
            let mut published = 0_u64;
            while begun.elapsed() < time {
                engine.append(vec![draft()]).await.expect("it is stored");
                published += 1;
            }
            published
        });
    }
    let published: u64 = publishers.join_all().await.into_iter().sum();
    published as f64 / begun.elapsed().as_secs_f64()
}
