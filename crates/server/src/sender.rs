//! A handle to send events through, for producers that are no stream.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use fanfare_wire::{Event, EventId, EventType};
use futures_core::Stream;
use tokio::sync::Notify;

use crate::EventStream;
use crate::limits::{QUEUE_BYTES, QUEUE_EVENTS};

impl EventStream<EventReceiver> {
    /// A stream and the handle to send through. It ends when the last clone of the handle is dropped.
    ///
    /// ```
    /// use fanfare_server::{Capacity, Event, EventStream, WhenFull};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), fanfare_server::SendError> {
    /// let (sender, stream) = EventStream::sender(Capacity::events(16).when_full(WhenFull::Wait));
    /// let response = stream.response();
    /// sender.send(Event::data("hello")).await?;
    /// drop(response);
    /// assert!(sender.send(Event::data("anybody there?")).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn sender(capacity: Capacity) -> (EventSender, Self) {
        let queue = Arc::new(Queue { capacity, state: Mutex::new(State::new()), changed: Notify::new() });
        (EventSender { queue: Arc::clone(&queue) }, Self::fallible(EventReceiver { queue }))
    }
}

/// How much waits for a client that reads slowly, and what happens when that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    events: NonZeroUsize,
    bytes: usize,
    when_full: WhenFull,
}

impl Default for Capacity {
    /// 64 events in a mebibyte; senders wait.
    fn default() -> Self {
        Self::events(QUEUE_EVENTS)
    }
}

impl Capacity {
    /// So many events, at least one, in a mebibyte; senders wait.
    #[must_use]
    pub fn events(events: usize) -> Self {
        let events = NonZeroUsize::new(events).unwrap_or(NonZeroUsize::MIN);
        Self { events, bytes: QUEUE_BYTES, when_full: WhenFull::Wait }
    }

    /// At most so many bytes of their text. A single event may have more.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// What happens when the client takes less than is sent.
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }
}

/// What happens when a client takes less than is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a policy is one of these")]
pub enum WhenFull {
    /// Senders wait for room: no event is lost.
    Wait,
    /// The oldest event that waits makes room: right for states, of which only the newest counts. The loss is counted by
    /// [`EventSender::dropped`].
    DropOldest,
    /// The connection is cut, and what waits is dropped: the client comes back with the id of what it received last.
    Disconnect,
}

/// Sends events to one client. Clones send to the same.
pub struct EventSender {
    queue: Arc<Queue>,
}

impl EventSender {
    /// Sends `event`, which may wait for room, as the capacity says.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the client is gone.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, the event was not sent.
    pub async fn send(&self, event: Event) -> Result<(), SendError> {
        let mut event = event;
        loop {
            let changed = self.queue.changed.notified();
            match self.try_send(event) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Gone) => return Err(SendError),
                Err(TrySendError::Full(back)) => event = back,
            }
            changed.await;
        }
    }

    /// Sends `event` if that needs no waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] gives the event back if there is no room, and says if the client is gone.
    pub fn try_send(&self, event: Event) -> Result<(), TrySendError> {
        let Queue { capacity, .. } = *self.queue;
        let mut state = self.queue.state();
        if state.is_gone {
            return Err(TrySendError::Gone);
        }
        let bytes = bytes_of(&event);
        while state.is_full_for(bytes, &capacity) {
            match capacity.when_full {
                WhenFull::Wait => return Err(TrySendError::Full(event)),
                WhenFull::DropOldest => {
                    state.pop();
                    state.dropped += 1;
                }
                WhenFull::Disconnect => {
                    state.clear();
                    (state.is_gone, state.was_too_slow) = (true, true);
                    state.wake();
                    drop(state);
                    self.queue.changed.notify_waiters();
                    return Err(TrySendError::Gone);
                }
            }
        }
        state.bytes += bytes;
        state.events.push_back(event);
        state.wake();
        Ok(())
    }

    /// Waits until the client is gone, to give up the work behind: `select!` on it beside that work.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    pub async fn gone(&self) {
        loop {
            let changed = self.queue.changed.notified();
            if self.is_gone() {
                return;
            }
            changed.await;
        }
    }

    /// Whether the client is gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.queue.state().is_gone
    }

    /// How many events made room for newer ones and were never sent.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.state().dropped
    }
}

impl Clone for EventSender {
    fn clone(&self) -> Self {
        self.queue.state().senders += 1;
        Self { queue: Arc::clone(&self.queue) }
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.senders -= 1;
        if state.senders == 0 {
            state.wake();
        }
    }
}

impl fmt::Debug for EventSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSender").field("is_gone", &self.is_gone()).finish_non_exhaustive()
    }
}

/// The stream of what is sent through an [`EventSender`], from [`EventStream::sender`]. It holds what its
/// [`Capacity`] lets wait.
pub struct EventReceiver {
    queue: Arc<Queue>,
}

impl Stream for EventReceiver {
    type Item = Result<Event, TooSlow>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.queue.state();
        if let Some(event) = state.pop() {
            drop(state);
            self.queue.changed.notify_waiters();
            return Poll::Ready(Some(Ok(event)));
        }
        if state.was_too_slow {
            state.was_too_slow = false;
            return Poll::Ready(Some(Err(TooSlow)));
        }
        if state.is_gone || state.senders == 0 {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for EventReceiver {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.is_gone = true;
        state.clear();
        drop(state);
        self.queue.changed.notify_waiters();
    }
}

impl fmt::Debug for EventReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReceiver").finish_non_exhaustive()
    }
}

struct Queue {
    capacity: Capacity,
    state: Mutex<State>,
    /// There is room, or the client is gone.
    changed: Notify,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    events: VecDeque<Event>,
    bytes: usize,
    waker: Option<Waker>,
    senders: usize,
    is_gone: bool,
    was_too_slow: bool,
    dropped: u64,
}

impl State {
    fn new() -> Self {
        let events = VecDeque::new();
        Self { events, bytes: 0, waker: None, senders: 1, is_gone: false, was_too_slow: false, dropped: 0 }
    }

    /// A first event always fits, or a large one could never be sent.
    fn is_full_for(&self, bytes: usize, capacity: &Capacity) -> bool {
        let is_full = self.events.len() >= capacity.events.get() || self.bytes + bytes > capacity.bytes;
        is_full && !self.events.is_empty()
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= bytes_of(&event);
        Some(event)
    }

    fn clear(&mut self) {
        self.events = VecDeque::new();
        self.bytes = 0;
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn bytes_of(event: &Event) -> usize {
    let id = event.id().map_or(0, |id| EventId::as_str(id).len());
    let event_type = event.event_type().map_or(0, |text| EventType::as_str(text).len());
    event.text().len() + id + event_type
}

/// The client is gone, and the event was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct SendError;

/// An event that was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "a sender goes on or ends")]
pub enum TrySendError {
    /// There is no room now. The event comes back.
    #[error("the client takes less than is sent")]
    Full(Event),
    /// The client is gone.
    #[error("the client is gone")]
    Gone,
}

/// The client took less than was sent, and was disconnected for that, as [`WhenFull::Disconnect`] asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client took less than was sent and was disconnected")]
pub struct TooSlow;
