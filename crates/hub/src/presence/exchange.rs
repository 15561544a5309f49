//! Speaks with the other hubs.

use std::sync::{Arc, Weak};

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::limits::BEATS_A_LEASE;
use crate::presence::{Neighbours, Presence};

/// Speaks with `neighbours` as long as the result is held.
pub(super) fn exchange(presence: &Arc<Presence>, neighbours: &Arc<dyn Neighbours>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(speak(Arc::downgrade(presence), neighbours.clone()));
    tasks.spawn(listen(Arc::downgrade(presence), neighbours.clone()));
    tasks
}

/// Sends what there is to say, and now and then that the node lives.
async fn speak(presence: Weak<Presence>, neighbours: Arc<dyn Neighbours>) {
    let Some((lease, outbox)) = presence.upgrade().map(|presence| (presence.lease, presence.outbox.clone())) else {
        return;
    };
    let mut beats = interval(lease / BEATS_A_LEASE);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_beat = tokio::select! {
            _ = beats.tick() => true,
            () = outbox.notified() => false,
        };
        let next = |is_beat| {
            let presence = presence.upgrade()?;
            Some(presence.next_message(is_beat, neighbours.message_bytes_max()))
        };
        let Some(mut message) = next(is_beat) else { return };
        while let Some((to, bytes)) = message {
            neighbours.send(to, bytes).await;
            let Some(following) = next(false) else { return };
            message = following;
        }
    }
}

/// Takes in what comes, and looks who is not heard any more.
async fn listen(presence: Weak<Presence>, neighbours: Arc<dyn Neighbours>) {
    let Some(lease) = presence.upgrade().map(|presence| presence.lease) else { return };
    let mut looks = interval(lease / BEATS_A_LEASE);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut warned: Option<Instant> = None;
    loop {
        let message = tokio::select! {
            _ = looks.tick() => None,
            message = neighbours.receive() => match message {
                Some(message) => Some(message),
                None => return,
            },
        };
        let Some(presence) = presence.upgrade() else { return };
        match message {
            Some(message) => {
                // Whoever sends nonsense shall not fill the log with it.
                if let Err(error) = presence.receive(&message)
                    && warned.is_none_or(|warned| warned.elapsed() > lease)
                {
                    tracing::warn!(%error, "a message of a node was passed over");
                    warned = Some(Instant::now());
                }
            }
            None => {
                while presence.sweep(neighbours.is_connected()) {
                    tokio::task::yield_now().await;
                }
            }
        }
        presence.outbox.notify_one();
    }
}
