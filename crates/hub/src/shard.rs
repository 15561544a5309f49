//! The fan-out path: threads that own plain HTTP/1.1 subscribers.
//!
//! A shard accepts connections and reads their requests. Those that subscribe or publish in few bytes it has answered by
//! the same router as every other request, and keeps the connection, as a subscriber's or for the next request.
//! Everything else goes to hyper with the bytes already read. Its parts, in reading order: how it is told of things
//! (`bell`, `remote`), how a request is read and answered (`head`, `exchange`, `response`, `connection`), the state machine
//! of the subscribers (`fanout`, `visit`, and what they are made of), and the loop (`driver`).

mod bell;
mod remote;

mod exchange;
mod hand_over;
mod head;
pub(crate) mod response;

mod connection;
mod connections;

pub(crate) mod chunk;
mod probe;
mod socket;
mod tally;
mod wheel;

mod buffer;
mod grants;
mod group;
mod subscriber;

mod fanout;
mod visit;

mod driver;

#[cfg(test)]
mod tests;

pub(crate) use bell::Bells;
pub(crate) use chunk::LAST_CHUNK;
pub(crate) use fanout::ticks;
pub(crate) use hand_over::{HandOver, Stage};
pub(crate) use head::Head;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::Hub;
use crate::limits::{BACKLOG_CONNECTIONS, SEND_BUFFER_BYTES, SEND_TIMEOUT, TICK_MAX, TICK_MIN};
use crate::settings::Settings;
use crate::shard::driver::Driver;
use crate::shard::remote::Remote;

/// The shards of one listener. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Shards {
    hub: Hub,
    remotes: Vec<Arc<Remote>>,
    tick: Duration,
    start: Instant,
}

impl Shards {
    /// Starts as many threads as the settings say. Each accepts from `listener`, and sends to `hand_overs` what is not
    /// for it. Where TLS is spoken that is all, so that one thread accepts for the whole of it.
    pub(crate) fn start(
        hub: &Hub,
        listener: &TcpListener,
        is_tls: bool,
        hand_overs: &mpsc::Sender<HandOver>,
    ) -> io::Result<Self> {
        prepare(listener)?;
        let tick = tick(&hub.shared.settings);
        let mut shards = Self { hub: hub.clone(), remotes: Vec::new(), tick, start: Instant::now() };
        let shards_count = if is_tls { 1 } else { hub.shared.settings.shards.get() };
        for number in 0..shards_count {
            let driver = Driver::new(hub, listener.try_clone()?, is_tls, hand_overs.clone(), tick)?;
            let remote = driver.remote().clone();
            hub.shared.bells.add(remote.bell.clone());
            shards.remotes.push(remote);
            let gone = Gone(driver.remote().clone());
            std::thread::Builder::new().name(format!("fanfare-shard-{number}")).spawn(move || {
                let _gone = gone;
                if let Err(error) = driver.run() {
                    tracing::error!(%error, "a shard has failed");
                }
            })?;
        }
        Ok(shards)
    }

    /// Tells the shards the time. Never ends.
    ///
    /// They have no clock of their own but tokio's, which a test can pause. It waits for them on a thread that may
    /// block: while there is one tokio's paused clock stands still, and so can't run ahead of them.
    pub(crate) async fn keep_time(&self) {
        let mut ticks = tokio::time::interval(self.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = fanout::ticks(self.start.elapsed(), self.tick);
            let remotes = self.remotes.clone();
            let told = tokio::task::spawn_blocking(move || {
                remotes.iter().for_each(|remote| remote.tell_time(now));
                remotes.iter().for_each(|remote| remote.wait_until_seen());
            });
            // It can't panic, and ends with the runtime.
            let _ = told.await;
        }
    }

    /// What takes subscriptions back that come on connections which were handed over.
    pub(crate) fn returns(&self) -> Returns {
        Returns(self.remotes.clone(), AtomicUsize::new(0))
    }

    /// There is room again for connections that wait in their shards.
    pub(crate) fn make_way(&self) {
        for remote in self.remotes.iter().filter(|remote| remote.has_waiting.swap(false, Ordering::AcqRel)) {
            remote.bell.ring();
        }
    }
}

/// Says that a shard has ended, however that came: nobody waits for it any more, or gives it anything.
struct Gone(Arc<Remote>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The way back to the shards.
#[derive(Debug)]
pub(crate) struct Returns(Vec<Arc<Remote>>, AtomicUsize);

impl Returns {
    /// Gives a connection to a shard, whose next request was read and is a plain subscription. The shards take turns.
    pub(crate) fn give(&self, connection: HandOver) {
        let turn = self.1.fetch_add(1, Ordering::Relaxed) % self.0.len().max(1);
        let (after, from) = self.0.split_at(turn.min(self.0.len()));
        if let Some(remote) = from.iter().chain(after).find(|remote| !remote.is_stopped()) {
            remote.give(connection);
        }
    }
}

impl Shards {
    /// Has the shards end when no request is under way on them any more.
    pub(crate) fn finish(&self) {
        self.remotes.iter().for_each(|remote| remote.finish());
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        for remote in &self.remotes {
            self.hub.shared.bells.remove(&remote.bell);
            remote.stop();
        }
    }
}

/// What accepted sockets inherit, so that it costs no call for each.
fn prepare(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let socket = SockRef::from(listener);
    // An event is a small write that must not wait for the acknowledgement of the one before (Nagle).
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    // Once more, with room for more: whoever finds the queue full tries again after a second.
    socket.listen(BACKLOG_CONNECTIONS)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(SEND_TIMEOUT))?;
    Ok(())
}

/// Fine enough for a heartbeat and for the drain.
pub(crate) fn tick(settings: &Settings) -> Duration {
    let drain = Some(settings.drain).filter(|drain| !drain.is_zero()).unwrap_or(TICK_MAX * 8);
    (settings.heartbeat.min(drain) / 8).clamp(TICK_MIN, TICK_MAX)
}
