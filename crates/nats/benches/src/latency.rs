use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_log::{Engine, Log};
use tokio::sync::watch;

use crate::draft;

/// The median and the 99th percentile, in milliseconds, of one event at a time: from the call to its publisher's engine until
/// a reader of `log` can have it.
pub(crate) async fn percentiles(engine: &Arc<dyn Engine>, log: &Arc<dyn Log>, time: Duration) -> [f64; 2] {
    let (tail, mut tails) = watch::channel(log.span().tail);
    log.on_advance(Box::new(move |position| {
        tail.send_replace(position);
    }));
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let sent = Instant::now();
        let position = engine.append(vec![draft()]).await.expect("it is stored")[0];
        tails.wait_for(|tail| *tail >= position).await.expect("the log lives");
        times.push(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    [at(0.5), at(0.99)]
}
