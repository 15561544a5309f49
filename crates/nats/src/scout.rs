//! Asks how far the stream is, once for all who want to know at the same time.

use async_nats::jetstream::Context;
use tokio::sync::watch;

use crate::limits::RETRY_PAUSE;
use crate::status::Status;

/// Where the stream was, asked after so many asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Scouted {
    pub(crate) ask: u64,
    pub(crate) last: u64,
}

#[derive(Debug)]
pub(crate) struct Scout {
    pub(crate) context: Context,
    pub(crate) stream: String,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) asks: watch::Receiver<u64>,
    pub(crate) scouting: watch::Sender<Scouted>,
}

impl Scout {
    /// Answers as long as there is an engine. An answer is for the asks that were there when its request was sent: what was
    /// stored before one of those is in it.
    pub(crate) async fn run(mut self) {
        while self.asks.changed().await.is_ok() {
            // What is asked without a connection waits in the client, and nobody cares for the answer when it comes. The wait
            // fails with the engine alone, which ends this task.
            let _ = self.status.wait_for(|status| status.is_connected).await;
            let ask = *self.asks.borrow_and_update();
            match self.last().await {
                Some(last) => {
                    self.scouting.send_replace(Scouted { ask, last });
                }
                None => {
                    // Whoever asked waits for as long as it cares to.
                    self.asks.mark_changed();
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn last(&self) -> Option<u64> {
        let stream = self.context.get_stream(&self.stream).await.ok()?;
        Some(stream.cached_info().state.last_sequence)
    }
}
