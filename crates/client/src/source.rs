//! `EventSource`: the callbacks of a browser.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use tokio::sync::Notify;
use tokio::task::{AbortHandle, coop};
use url::Url;

use crate::abort::AbortTarget;
use crate::connection::Connection;
use crate::credentials::Redacted;
use crate::event::{DEFAULT_TYPE, ERROR_TYPE, OPEN_TYPE};
use crate::listener::{Cursor, Listeners};
use crate::{Error, Event, EventSourceBuilder, Kind, Listener, ListenerOptions, News, ReadyState};

/// The standard's `EventSource`: it connects, reconnects, and calls back.
///
/// Clones are handles of the same source. When the last is dropped, or [`close`](Self::close) is called, the
/// connection is aborted. A callback that owns a handle keeps the source alive until it is closed.
///
/// Callbacks run one after the other, in the order of the stream (C25), on the tokio runtime that the source was made
/// on: what blocks in one holds up the next. They may close the source and add and remove listeners.
///
/// # The first events
///
/// A browser delivers nothing before the script that made the source has finished. So does this, on a runtime of one
/// thread, up to the next `await`. On several threads an answer may overtake a listener that is added late: give
/// listeners to the [builder](Self::builder) to be sure.
#[derive(Debug, Clone)]
pub struct EventSource {
    handle: Arc<Handle>,
}

impl EventSource {
    /// Connects to `url`, which is complete: unlike a page, a program has no address to resolve it against (C1, C2).
    ///
    /// # Errors
    ///
    /// [`Kind::Url`] if the URL does not parse (C3), [`Kind::Runtime`] outside a tokio runtime. Everything else is told to
    /// [`on_error`](Self::on_error).
    pub fn new(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder(url).connect()
    }

    /// For what goes beyond the standard, and for streams instead of callbacks.
    pub fn builder(url: impl AsRef<str>) -> EventSourceBuilder {
        EventSourceBuilder::new(url.as_ref())
    }

    pub(crate) fn start(connection: Connection, listeners: Listeners, with_credentials: bool) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
            Error::new(Kind::Runtime, "an EventSource needs a tokio runtime: make it in an async function")
                .with_source(error)
        })?;
        let url = connection.url().clone();
        let last_event_id = Arc::clone(connection.session().last_event_id());
        let signals: Vec<_> = listeners.signals().cloned().collect();
        let state =
            Mutex::new(Inner { ready_state: ReadyState::Connecting, is_silent: false, last_event_id, listeners });
        let shared = Arc::new(Shared { state, closed: Notify::new() });
        for signal in signals {
            signal.watch(&shared.abort_target());
        }
        let task = runtime.spawn(run(connection, Running(Arc::clone(&shared)))).abort_handle();
        Ok(Self { handle: Arc::new(Handle { shared, task, url, with_credentials }) })
    }

    /// Sets what is called when the stream opens. It replaces the previous one.
    pub fn on_open(&self, callback: impl FnMut(&Event) + Send + 'static) {
        self.set_handler(OPEN_TYPE, Listener::new(callback));
    }

    /// Sets what is called with each event of the default type. It replaces the previous one.
    pub fn on_message(&self, callback: impl FnMut(&Event) + Send + 'static) {
        self.set_handler(DEFAULT_TYPE, Listener::new(callback));
    }

    /// Sets what is called when the connection fails or ends, with the [`interruption`](Event::interruption). It
    /// replaces the previous one.
    pub fn on_error(&self, callback: impl FnMut(&Event) + Send + 'static) {
        self.set_handler(ERROR_TYPE, Listener::new(callback));
    }

    /// Calls `callback` with each event of this type. The listener that is returned removes it, or may be dropped.
    pub fn add_event_listener(
        &self,
        event_type: &str,
        callback: impl FnMut(&Event) + Send + 'static,
        options: ListenerOptions,
    ) -> Listener {
        let listener = Listener::new(callback);
        self.add_listener(event_type, &listener, options);
        listener
    }

    /// Calls `listener` with each event of this type. One that was added before for this type is not added again,
    /// whatever the options.
    pub fn add_listener(&self, event_type: &str, listener: &Listener, options: ListenerOptions) {
        let signal = options.abort_signal().cloned();
        self.handle.shared.lock().add(event_type, listener, options);
        if let Some(signal) = signal {
            signal.watch(&self.handle.shared.abort_target());
        }
    }

    /// Removes a listener. What was not added is ignored.
    pub fn remove_event_listener(&self, event_type: &str, listener: &Listener) {
        let removed = self.handle.shared.lock().listeners.remove(event_type, listener);
        drop(removed);
    }

    /// Aborts the connection for good (C23). No callback begins after it, also not for an event whose other listeners
    /// were called; one that is running on another thread is not waited for. A second call does nothing.
    pub fn close(&self) {
        self.handle.close();
    }

    /// Waits until it is closed: by [`close`](Self::close), after a failure that is final, or because it has
    /// [stopped](EventSourceBuilder::stop_before). The last callback has returned by then, unless it was closed from
    /// another thread. Nothing is lost when the future is dropped before it is ready.
    pub async fn closed(&self) {
        let shared = &self.handle.shared;
        let closed = shared.closed.notified();
        if !shared.lock().is_silent {
            closed.await;
        }
    }

    /// Where the connection stands.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.handle.shared.lock().ready_state
    }

    /// The URL that was asked for; redirects do not change it (C4).
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.handle.url
    }

    /// Whether cookies are kept and sent (C5).
    #[must_use]
    pub fn with_credentials(&self) -> bool {
        self.handle.with_credentials
    }

    /// The last event id, to be kept for the next run. Empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> Arc<str> {
        Arc::clone(&self.handle.shared.lock().last_event_id)
    }

    fn set_handler(&self, event_type: &str, listener: Listener) {
        let replaced = self.handle.shared.lock().set_handler(event_type, listener);
        drop(replaced);
    }
}

/// What the user's handles own together: the connection ends with it.
struct Handle {
    shared: Arc<Shared>,
    task: AbortHandle,
    url: Url,
    with_credentials: bool,
}

impl Handle {
    fn close(&self) {
        self.shared.silence();
        self.task.abort();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("url", &Redacted(&self.url))
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the handles and the task see both.
#[derive(Debug)]
struct Shared {
    state: Mutex<Inner>,
    closed: Notify,
}

#[derive(Debug)]
struct Inner {
    ready_state: ReadyState,
    /// After `close`, and after the last `error`: nothing is delivered any more.
    is_silent: bool,
    last_event_id: Arc<str>,
    listeners: Listeners,
}

/// Once it is silent there are no listeners: one that owns its source would keep itself alive for ever.
impl Inner {
    fn add(&mut self, event_type: &str, listener: &Listener, options: ListenerOptions) {
        if !self.is_silent {
            self.listeners.add(event_type, listener, options);
        }
    }

    /// Returns what is to be dropped when the lock is no longer held.
    fn set_handler(&mut self, event_type: &str, listener: Listener) -> Option<Listener> {
        if self.is_silent { Some(listener) } else { self.listeners.set_handler(event_type, listener) }
    }
}

impl Shared {
    /// Goes to `ready_state`, where there is one to go to, and calls the listeners; none once it is closed (C20 to C23).
    fn deliver(&self, ready_state: Option<ReadyState>, event: &Event) {
        let mut cursor = {
            let mut inner = self.lock();
            if inner.is_silent {
                return;
            }
            inner.ready_state = ready_state.unwrap_or(inner.ready_state);
            inner.last_event_id = Arc::clone(event.shared_last_event_id());
            inner.listeners.dispatch()
        };
        // Once it is silent no listener is left.
        while let Some(listener) = self.next_listener(event, &mut cursor) {
            // No lock is held: a listener may call everything.
            listener.call(event);
        }
    }

    fn next_listener(&self, event: &Event, cursor: &mut Cursor) -> Option<Listener> {
        self.lock().listeners.next(event.event_type(), cursor)
    }

    /// The end. The listeners go too, which breaks the cycle of a callback that owns its source.
    fn silence(&self) {
        let removed = {
            let mut inner = self.lock();
            inner.ready_state = ReadyState::Closed;
            inner.is_silent = true;
            inner.listeners.remove_all()
        };
        drop(removed);
        self.closed.notify_waiters();
    }

    /// After the end nothing counts: what was read and not delivered is to come again in the next run.
    fn remember(&self, last_event_id: &Arc<str>) {
        let mut inner = self.lock();
        if !inner.is_silent && !Arc::ptr_eq(&inner.last_event_id, last_event_id) {
            inner.last_event_id = Arc::clone(last_event_id);
        }
    }

    fn abort_target(self: &Arc<Self>) -> Weak<dyn AbortTarget> {
        let target: Weak<Self> = Arc::downgrade(self);
        target
    }

    /// No callback runs under this lock, and no closure is dropped under it; so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AbortTarget for Shared {
    fn remove_aborted(&self) {
        let removed = self.lock().listeners.remove_aborted();
        drop(removed);
    }
}

/// The task. However it ends, with its runtime too, the source is closed after it.
async fn run(mut connection: Connection, running: Running) {
    let shared = &running.0;
    loop {
        let news = poll_fn(|cx| {
            let news = connection.poll_news(cx);
            // Also when there is nothing to tell: an id counts without an event (P9). That of an event counts when the
            // event is delivered.
            if !matches!(news, Poll::Ready(Some(News::Event(_)))) {
                shared.remember(connection.session().last_event_id());
            }
            news
        });
        let Some(news) = news.await else { return };
        let session = connection.session();
        match news {
            News::Open(_) => {
                let event = Event::open(session.stamp());
                shared.deliver(Some(ReadyState::Open), &event);
            }
            News::Event(event) => shared.deliver(None, &event),
            News::Error(interruption) => {
                let state = ReadyState::of(session.state());
                shared.deliver(Some(state), &Event::error(interruption, Arc::clone(session.last_event_id())));
            }
            News::Comment(_) | News::Skipped(_) => {}
        }
        coop::consume_budget().await;
    }
}

struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.silence();
    }
}
