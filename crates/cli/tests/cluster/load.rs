use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::hubs::Hubs;
use crate::publishers::{Published, publish, publish_last};
use crate::subscribers::{Seen, hop};

/// Publishers and hopping subscribers at work.
pub(crate) struct Load {
    hubs: Arc<Hubs>,
    publishers: JoinSet<Published>,
    subscribers: JoinSet<Seen>,
    stop: watch::Sender<bool>,
    begun: Instant,
}

const LAST: &str = "the last one";

impl Load {
    pub(crate) fn start(hubs: &Arc<Hubs>) -> Self {
        let stop = watch::Sender::new(false);
        let mut publishers = JoinSet::new();
        for (name, is_keyed) in [("keyed 1", true), ("keyed 2", true), ("once 1", false), ("once 2", false)] {
            publishers.spawn(publish(hubs.clone(), name.to_owned(), is_keyed, stop.subscribe()));
        }
        let mut subscribers = JoinSet::new();
        for _ in 0..6 {
            subscribers.spawn(hop(hubs.clone(), LAST));
        }
        Self { hubs: hubs.clone(), publishers, subscribers, stop, begun: Instant::now() }
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
