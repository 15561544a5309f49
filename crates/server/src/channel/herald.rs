//! The one task of a channel: tells subscribers of what is new, and keeps their time.

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use fanfare_log::Log;
use tokio::time::Instant;

use crate::channel::audience::{Outlet, Phase, Standing};
use crate::channel::shared::Shared;
use crate::limits::TICK_MIN;

/// Starts the herald, which ends with the channel.
pub(crate) fn start(shared: &Arc<Shared>) {
    tokio::spawn(run(Arc::downgrade(shared)));
}

async fn run(channel: Weak<Shared>) {
    let mut ticked_at = Instant::now();
    loop {
        // The channel can end while the herald waits: it holds it for a tick at most.
        let Some(shared) = channel.upgrade() else { return };
        tokio::select! {
            () = shared.bell.notified() => {}
            () = tokio::time::sleep_until(ticked_at + shared.tick()) => {}
        }
        shared.spread();
        visit(&shared).await;
        if ticked_at.elapsed() >= shared.tick() {
            ticked_at = Instant::now();
            shared.log.trim(shared.clock.timestamp());
            shared.tell_time();
            visit(&shared).await;
        }
    }
}

#[cfg(feature = "listener")]
use super::socket::visit;

#[cfg(not(feature = "listener"))]
async fn visit(_: &Shared) {}

impl Shared {
    /// How often the time is told: finer while streams end at moments of their own.
    fn tick(&self) -> Duration {
        let seats = self.seats();
        if seats.phase != Phase::Running && !seats.table.is_empty() { TICK_MIN } else { self.tick }
    }

    /// Wakes those who are due a comment, or to leave.
    fn tell_time(&self) {
        let now = self.clock.milliseconds();
        let mut wakers: Vec<Waker> = Vec::new();
        {
            let mut seats = self.seats();
            seats.forget();
            let due: Vec<usize> = seats
                .table
                .iter()
                .filter(|(_, seat)| {
                    seat.standing == Standing::Live
                        && (now.saturating_sub(seat.sent_at) >= self.keep_alive || now >= seat.leaves_at)
                })
                .map(|(number, _)| number)
                .collect();
            for number in due {
                #[cfg(feature = "listener")]
                let spread_to = seats.spread_to;
                let Some(seat) = seats.table.get_mut(number) else { continue };
                match &mut seat.outlet {
                    Outlet::Body(waker) => wakers.extend(waker.take()),
                    #[cfg(feature = "listener")]
                    Outlet::Socket(_) => {
                        seat.standing = Standing::Visited(spread_to);
                        seats.visits.push_back(number);
                    }
                }
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}
