use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::hubs::Hubs;
use crate::publishers::{Published, publish, publish_last};
use crate::subscribers::{Seen, hop};
use crate::until;

/// Publishers and hopping subscribers at work.
pub(crate) struct Load {
    hubs: Arc<Hubs>,
    publishers: JoinSet<Published>,
    subscribers: JoinSet<Seen>,
    stop: watch::Sender<bool>,
    acknowledged: Arc<AtomicUsize>,
    begun: Instant,
}

const LAST: &str = "the last one";

impl Load {
    /// A few of each.
    pub(crate) fn start(hubs: &Arc<Hubs>) -> Self {
        Self::of(hubs, 4, 6)
    }

    /// As many as two processors drive in a test: half of the publishers have keys.
    pub(crate) fn crowd(hubs: &Arc<Hubs>) -> Self {
        Self::of(hubs, 12, 40)
    }

    fn of(hubs: &Arc<Hubs>, publisher_count: usize, subscriber_count: usize) -> Self {
        let (stop, acknowledged) = (watch::Sender::new(false), Arc::new(AtomicUsize::new(0)));
        let (mut publishers, mut subscribers) = (JoinSet::new(), JoinSet::new());
        for number in 0..publisher_count {
            let is_keyed = number % 2 == 0;
            let name = format!("{} {number}", if is_keyed { "keyed" } else { "once" });
            publishers.spawn(publish(hubs.clone(), name, is_keyed, acknowledged.clone(), stop.subscribe()));
        }
        for _ in 0..subscriber_count {
            subscribers.spawn(hop(hubs.clone(), LAST));
        }
        Self { hubs: hubs.clone(), publishers, subscribers, stop, acknowledged, begun: Instant::now() }
    }

    /// Waits until so many more events were acknowledged.
    pub(crate) async fn more(&self, events: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + events;
        until("more is acknowledged", async || self.acknowledged.load(Ordering::Relaxed) >= enough).await;
    }

    /// Ends the load, and compares what came with what was acknowledged.
    pub(crate) async fn finish(self, what: &str) {
        self.stop.send_replace(true);
        let mut published = Published::default();
        for one in self.publishers.join_all().await {
            published.merge(one);
        }
        let id = publish_last(&self.hubs, LAST).await;
        published.acknowledged.insert(LAST.to_owned(), id);
        let all = tokio::time::timeout(crate::PATIENCE, self.subscribers.join_all()).await;
        let all = all.expect("every subscriber gets to the last event");
        for seen in &all {
            check(&published, seen);
        }
        let orders: BTreeSet<Vec<&str>> =
            all.iter().map(|seen| seen.events.iter().map(|came| came.data.as_str()).collect()).collect();
        assert_eq!(orders.len(), 1, "all subscribers see one order");
        let sum = |count: fn(&Seen) -> usize| all.iter().map(count).sum::<usize>();
        println!(
            "{what}: {} acknowledged, {} sent once and not confirmed, {} refused, {} sent again with a key; {} subscribers, \
             {} events, {} hops, {} refusals; {:.1} s",
            published.acknowledged.len(),
            published.maybe.len(),
            published.refused.len(),
            published.attempts_again,
            all.len(),
            sum(|seen| seen.events.len()),
            sum(|seen| seen.hops),
            sum(|seen| seen.refusals),
            self.begun.elapsed().as_secs_f64(),
        );
    }
}

fn check(published: &Published, seen: &Seen) {
    let mut found = BTreeSet::new();
    let mut last = None;
    for came in &seen.events {
        assert_eq!(came.event_type, "", "a gap where nothing was lost: {came:?}");
        let position: fanfare_log::Position = came.id.parse().unwrap();
        assert!(last < Some(position), "{came:?} comes after {last:?}");
        last = Some(position);
        assert!(found.insert(came.data.as_str()), "{came:?} came twice");
        match published.acknowledged.get(&came.data) {
            Some(id) => assert_eq!(*id, came.id),
            None => assert!(published.maybe.contains(&came.data), "{came:?} was refused, or never published"),
        }
    }
    let lost: Vec<_> = published.acknowledged.keys().filter(|data| !found.contains(data.as_str())).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}
