//! The end of a channel.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fanfare_wire::Event;
use tokio::time::Instant;

use crate::channel::audience::Phase;
use crate::channel::shared::Shared;

/// A shutdown of a [`Channel`](crate::Channel), which begins when it is awaited.
///
/// Every stream sends what was published, then the farewell, and ends at a random moment of its own within the grace,
/// so that clients do not all come back at once. New subscribers are asked to come back in a few seconds, and nothing
/// more is published.
///
/// It gives how many streams are still open when the grace is over: their clients take nothing, so that the end can't be
/// sent. A server that waits for connections would wait for those: bound its own wait.
///
/// ```no_run
/// # use std::time::Duration;
/// # use fanfare_server::{Channel, Event};
/// # async fn example(listener: tokio::net::TcpListener, router: axum::Router, channel: Channel) -> std::io::Result<()> {
/// let grace = Duration::from_secs(10);
/// let stop = async move {
///     // Ctrl-C can only fail to be listened to when it can't come either.
///     let _ = tokio::signal::ctrl_c().await;
///     channel.shutdown(grace).farewell(Event::data("back soon").with_retry(Duration::from_secs(2))).await;
/// };
/// axum::serve(listener, router).with_graceful_shutdown(stop).await
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a shutdown begins when it is awaited"]
pub struct Shutdown {
    shared: Arc<Shared>,
    grace: Duration,
    farewell: Vec<u8>,
}

impl Shutdown {
    pub(crate) fn new(shared: Arc<Shared>, grace: Duration) -> Self {
        Self { shared, grace, farewell: Vec::new() }
    }

    /// Ends every stream with this event. It should have no id: no client could go on after it.
    #[expect(clippy::needless_pass_by_value, reason = "an event is given away, as to every other way to send one")]
    pub fn farewell(mut self, event: Event) -> Self {
        event.encode(&mut self.farewell);
        self
    }

    /// Ends every stream with the word to wait `delay` before reconnecting.
    pub fn retry(mut self, delay: Duration) -> Self {
        fanfare_wire::encode_retry(delay, &mut self.farewell);
        self
    }
}

impl IntoFuture for Shutdown {
    /// How many streams could not be ended.
    type Output = usize;
    type IntoFuture = Pin<Box<dyn Future<Output = usize> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { shared, grace, farewell } = self;
        Box::pin(async move {
            // Of several shutdowns the first has the last word.
            let _ = shared.farewell.set(farewell.into());
            let deadline = Instant::now() + grace;
            // The last tenth is for those who are late, as timers and networks are.
            shared.end(Phase::Stopping, grace.mul_f64(0.9));
            let ended = shared.until_changed(|seats| seats.table.is_empty());
            let _ = tokio::time::timeout_at(deadline, ended).await;
            #[cfg(feature = "listener")]
            super::socket::cut(&shared);
            shared.seats().table.len()
        })
    }
}
