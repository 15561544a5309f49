//! Callbacks, and the rules of the DOM's `EventTarget` about them (C26).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{AbortSignal, Event};

/// A callback with an identity.
///
/// In JavaScript a function is equal to itself, which is how `removeEventListener` finds it and how a second
/// `addEventListener` of the same function is ignored. Closures in Rust have no identity, so this handle is it: clones
/// are the same listener, and two listeners are never the same, whatever closures they were made of.
#[derive(Clone)]
pub struct Listener(Arc<Mutex<Callback>>);

type Callback = dyn FnMut(&Event) + Send;

impl Listener {
    /// A listener that calls `callback`.
    #[must_use]
    pub fn new(callback: impl FnMut(&Event) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(callback)))
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A panic of one listener is its own affair: the others and the connection go on, as in a browser.
    pub(crate) fn call(&self, event: &Event) {
        let call = || (self.0.lock().unwrap_or_else(PoisonError::into_inner))(event);
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            tracing::error!(event_type = event.event_type(), "a listener panicked");
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:p})", Arc::as_ptr(&self.0))
    }
}

/// How a listener is added. The default: until it is removed.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ListenerOptions {
    once: bool,
    signal: Option<AbortSignal>,
}

impl ListenerOptions {
    /// Removes the listener before its first call.
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Removes the listener when `signal` is aborted. If it is already, the listener is not added.
    pub fn signal(mut self, signal: &AbortSignal) -> Self {
        self.signal = Some(signal.clone());
        self
    }
}

/// The listeners of one source, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    entries: Vec<Entry>,
    next_number: u64,
}

#[derive(Debug)]
struct Entry {
    /// Grows; a dispatch goes by it, so that listeners may come and go while it is under way.
    number: u64,
    event_type: Box<str>,
    listener: Listener,
    options: ListenerOptions,
    is_handler: bool,
}

/// How far a dispatch has come. Listeners that are added during it are not called by it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    next: u64,
    end: u64,
}

/// Listeners that were taken out. To be dropped when no lock is held: a closure may own anything, the source itself
/// among it.
#[must_use = "drop it after the lock"]
pub(crate) struct Removed(#[expect(dead_code, reason = "held to be dropped")] Vec<Entry>);

impl Listeners {
    /// Adds a listener, unless it is there already for this type.
    pub(crate) fn add(&mut self, event_type: &str, listener: &Listener, options: ListenerOptions) {
        let is_same =
            |entry: &Entry| !entry.is_handler && &*entry.event_type == event_type && entry.listener.is(listener);
        let is_aborted = options.signal.as_ref().is_some_and(AbortSignal::is_aborted);
        if !is_aborted && !self.entries.iter().any(is_same) {
            self.push(event_type, listener.clone(), options, false);
        }
    }

    /// Sets the handler of a type, as `onmessage` does: it takes the place of the one before.
    pub(crate) fn set_handler(&mut self, event_type: &str, listener: Listener) -> Option<Listener> {
        match self.entries.iter_mut().find(|entry| entry.is_handler && &*entry.event_type == event_type) {
            Some(entry) => Some(std::mem::replace(&mut entry.listener, listener)),
            None => {
                self.push(event_type, listener, ListenerOptions::default(), true);
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, event_type: &str, listener: &Listener) -> Removed {
        self.remove_if(|entry| !entry.is_handler && &*entry.event_type == event_type && entry.listener.is(listener))
    }

    pub(crate) fn remove_aborted(&mut self) -> Removed {
        self.remove_if(|entry| entry.options.signal.as_ref().is_some_and(AbortSignal::is_aborted))
    }

    pub(crate) fn remove_all(&mut self) -> Removed {
        self.remove_if(|_| true)
    }

    pub(crate) fn dispatch(&self) -> Cursor {
        Cursor { next: 0, end: self.next_number }
    }

    /// The next listener of this type to call. One that is to be called once is removed first, as the DOM says.
    pub(crate) fn next(&mut self, event_type: &str, cursor: &mut Cursor) -> Option<Listener> {
        let is_next = |entry: &Entry| {
            (cursor.next..cursor.end).contains(&entry.number)
                && &*entry.event_type == event_type
                && !entry.options.signal.as_ref().is_some_and(AbortSignal::is_aborted)
        };
        let at = self.entries.iter().position(is_next)?;
        let entry = self.entries.get(at)?;
        cursor.next = entry.number + 1;
        let listener = entry.listener.clone();
        if entry.options.once {
            self.entries.remove(at);
        }
        Some(listener)
    }

    pub(crate) fn signals(&self) -> impl Iterator<Item = &AbortSignal> {
        self.entries.iter().filter_map(|entry| entry.options.signal.as_ref())
    }

    fn push(&mut self, event_type: &str, listener: Listener, options: ListenerOptions, is_handler: bool) {
        let number = self.next_number;
        self.next_number += 1;
        self.entries.push(Entry { number, event_type: event_type.into(), listener, options, is_handler });
    }

    fn remove_if(&mut self, is_out: impl FnMut(&mut Entry) -> bool) -> Removed {
        Removed(self.entries.extract_if(.., is_out).collect())
    }
}

impl ListenerOptions {
    pub(crate) fn abort_signal(&self) -> Option<&AbortSignal> {
        self.signal.as_ref()
    }
}

#[cfg(test)]
mod tests;
