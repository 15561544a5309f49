//! The iterator: a stream for programs without a runtime.

use std::iter::FusedIterator;

use tokio::runtime::{Builder, Handle, Runtime};
use url::Url;

use crate::connection::Connection;
use crate::{Error, Event, Events, Kind, ReadyState};

/// An iterator over events that blocks its thread, from
/// [`EventSourceBuilder::blocking`](crate::EventSourceBuilder::blocking). What it yields and how it ends is as with
/// [`Events`].
///
/// There is no thread behind it: the connection moves while [`next`](Iterator::next) runs. Who takes long between two
/// calls lets the server wait, and does not answer the pings of HTTP/2 meanwhile.
///
/// Inside a tokio runtime, on its blocking threads too, it ends with an error of [`Kind::Runtime`]: a thread that may run
/// tasks must not be blocked. Dropping it anywhere aborts the connection.
#[derive(Debug)]
pub struct BlockingEvents {
    events: Events,
    /// `None` after the end: the connection's task goes with it.
    runtime: Option<Runtime>,
}

impl BlockingEvents {
    /// Makes the connection within the runtime that is to move it.
    pub(crate) fn new(connection: impl FnOnce() -> Result<Connection, Error>) -> Result<Self, Error> {
        refuse_runtime()?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Runtime, "the runtime can't be made").with_source(error))?;
        let entered = runtime.enter();
        let events = Events::new(connection()?);
        drop(entered);
        Ok(Self { events, runtime: Some(runtime) })
    }

    /// Ends the stream and aborts the connection (C23).
    pub fn close(&mut self) {
        self.events.close();
        if let Some(runtime) = self.runtime.take() {
            // Without waiting for a look-up of a name: that would block, which panics inside a runtime.
            runtime.shutdown_background();
        }
    }

    /// Where the connection stands.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.events.ready_state()
    }

    /// The URL that was asked for; redirects do not change it (C4).
    #[must_use]
    pub fn url(&self) -> &Url {
        self.events.url()
    }

    /// The last event id, to be kept for the next run. Empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.events.last_event_id()
    }
}

impl Iterator for BlockingEvents {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let runtime = self.runtime.as_ref()?;
        let next = match refuse_runtime() {
            Ok(()) => runtime.block_on(self.events.next()),
            Err(error) => Some(Err(error)),
        };
        // An error is always the last: no loop over them goes on for ever.
        if !matches!(next, Some(Ok(_))) {
            self.close();
        }
        next
    }
}

impl FusedIterator for BlockingEvents {}

impl Drop for BlockingEvents {
    fn drop(&mut self) {
        self.close();
    }
}

fn refuse_runtime() -> Result<(), Error> {
    match Handle::try_current() {
        Ok(_) => Err(Error::new(
            Kind::Runtime,
            "a blocking iterator can't be used inside a tokio runtime: use `stream`, or a thread of its own",
        )),
        Err(_) => Ok(()),
    }
}
