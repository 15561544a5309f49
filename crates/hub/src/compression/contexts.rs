//! The compressors that are at work.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fanfare_log::{Position, Record};

use crate::compression::{Coding, Context};
use crate::limits::CONTEXTS_MAX;

/// Which context: those who begin in the same place follow the same one. Groups with other selectors get other events, so they do not
/// begin together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) coding: Coding,
    /// A number that the members of a group have in common. If it is once another group's, they part at the first event
    /// that is not both's.
    pub(super) group: usize,
    pub(super) first: Position,
}

/// All contexts of a hub. A bounded number, so that many streams of which each is somebody's own do not take what their
/// compressors would.
#[derive(Default)]
pub(crate) struct Contexts(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    /// The latest span in which any was used.
    span: u64,
}

struct Entry {
    context: Arc<Mutex<Context>>,
    /// The span in which it was used last.
    span: u64,
}

impl Contexts {
    /// The bytes of `record` for somebody who is at `step` in the context, now being the span `now`. `None` if there is no such
    /// context, or it went another way.
    pub(super) fn step(&self, key: Key, step: u64, record: &Record, now: u64) -> Option<Bytes> {
        let context = {
            let mut table = self.table();
            let span = table.pass(now);
            match table.entries.get_mut(&key) {
                Some(entry) => {
                    entry.span = span;
                    entry.context.clone()
                }
                None if step == 0 => table.begin(key)?,
                None => return None,
            }
        };
        // The table is free meanwhile; whoever wants the same waits, and finds it made.
        let made = context.lock().unwrap_or_else(PoisonError::into_inner).step(step, record);
        made.unwrap_or_else(|error| {
            tracing::error!(%error, "events are sent uncompressed");
            self.table().entries.remove(&key);
            None
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table().entries.len()
    }
}

impl Table {
    /// The latest span, now being `now`. Others may have been at the next one already, but who was further ahead had a
    /// clock that was wrong: what it left would be of a latest span for ever.
    fn pass(&mut self, now: u64) -> u64 {
        if now.saturating_add(1) < self.span {
            self.entries.clear();
            self.span = now;
        }
        self.span = self.span.max(now);
        self.span
    }

    /// A new context, if there is room for one.
    fn begin(&mut self, key: Key) -> Option<Arc<Mutex<Context>>> {
        let span = self.span;
        // The group's own of the last span has done its work, and one that was not used since then is nobody's any more.
        self.entries.retain(|other, entry| {
            let is_followed = (other.coding, other.group) == (key.coding, key.group);
            entry.span == span || entry.span + 1 == span && !is_followed
        });
        if self.entries.len() >= CONTEXTS_MAX {
            // Not one of this span: those who were first in it keep theirs, or nobody would have one for long.
            let (oldest, last) =
                self.entries.iter().map(|(key, entry)| (*key, entry.span)).min_by_key(|(_, span)| *span)?;
            if last == span {
                return None;
            }
            self.entries.remove(&oldest);
        }
        let context = match Context::new(key.coding) {
            Ok(context) => Arc::new(Mutex::new(context)),
            Err(error) => {
                tracing::error!(%error, "events are sent uncompressed");
                return None;
            }
        };
        self.entries.insert(key, Entry { context: context.clone(), span });
        Some(context)
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contexts").field(&self.table().entries.len()).finish()
    }
}
