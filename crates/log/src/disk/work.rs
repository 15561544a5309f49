//! What the writer and the trims leave to the keeper, so that they never wait for it, and what they get from it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::Timestamp;
use crate::disk::history::Trimmed;
use crate::disk::segment::Segment;
use crate::disk::side::Summary;
use crate::disk::storage::File;
use crate::limits::{REPAIR_INTERVAL, UNSEALED_SEGMENTS_MAX};

#[derive(Debug)]
pub(super) struct Work {
    state: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug)]
struct Pending {
    next: Next,
    to_seal: VecDeque<(Arc<Segment>, Summary)>,
    to_remove: VecDeque<Arc<Segment>>,
    /// More of the oldest records shall be read, and the history trimmed at this time, to so many records.
    to_trim: Option<(Timestamp, u64)>,
    /// The last attempt to seal or to remove failed: the next waits a while.
    has_failed: bool,
    is_busy: bool,
    is_closed: bool,
}

/// The file of the segment after the active one.
#[derive(Debug)]
enum Next {
    Wanted(u64),
    Ready(u64, Arc<dyn File>),
    Failed(io::Error),
    /// The writer has just taken it, or nobody has asked yet.
    None,
}

/// One thing to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Make the file of the segment with this sequence and take its room.
    Prepare(u64),
    Seal(Arc<Segment>, Summary),
    Remove(Arc<Segment>),
    Trim(Timestamp, u64),
}

impl Work {
    /// The keeper's work on a log whose next segment has the sequence `next`.
    pub(super) fn new(next: u64) -> Self {
        let state = Pending {
            next: Next::Wanted(next),
            to_seal: VecDeque::new(),
            to_remove: VecDeque::new(),
            to_trim: None,
            has_failed: false,
            is_busy: false,
            is_closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for something to do. `None` when the log is closed.
    pub(super) fn task(&self) -> Option<Task> {
        let mut state = self.state();
        loop {
            if let Some(task) = state.pop() {
                state.is_busy = true;
                return Some(task);
            }
            if state.is_closed {
                return None;
            }
            if state.has_failed {
                let (waited, _) =
                    self.changed.wait_timeout(state, REPAIR_INTERVAL).unwrap_or_else(PoisonError::into_inner);
                state = waited;
                state.has_failed = false;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// The last task is done.
    pub(super) fn done(&self) {
        self.state().is_busy = false;
        self.changed.notify_all();
    }

    pub(super) fn prepared(&self, sequence: u64, file: io::Result<Arc<dyn File>>) {
        self.state().next = match file {
            Ok(file) => Next::Ready(sequence, file),
            Err(error) => Next::Failed(error),
        };
        self.changed.notify_all();
    }

    /// Sealing failed: it is tried again later.
    pub(super) fn seal_again(&self, segment: Arc<Segment>, summary: Summary) {
        let mut state = self.state();
        state.to_seal.push_front((segment, summary));
        state.has_failed = true;
    }

    /// The file of the next segment, whose sequence is `sequence`. Waits while it is being made.
    pub(super) fn take_next(&self, sequence: u64) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        // A failure from before this call may be over.
        let mut asked_again = false;
        loop {
            match std::mem::replace(&mut state.next, Next::None) {
                Next::Ready(_, file) => {
                    state.next = Next::Wanted(sequence + 1);
                    self.changed.notify_all();
                    return Ok(file);
                }
                Next::Failed(error) => {
                    state.next = Next::Wanted(sequence);
                    self.changed.notify_all();
                    if std::mem::replace(&mut asked_again, true) {
                        return Err(error);
                    }
                }
                wanted => state.next = wanted,
            }
            if state.is_closed {
                return Err(io::Error::other("the log is closed"));
            }
            // An index that can't be written stays in memory, which must not fill.
            if state.has_failed && state.to_seal.len() > UNSEALED_SEGMENTS_MAX {
                return Err(io::Error::other("the indexes of full segments can't be written"));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Removing failed: it is tried again later, and nothing newer is removed before.
    pub(super) fn remove_again(&self, segment: Arc<Segment>) {
        let mut state = self.state();
        state.to_remove.push_front(segment);
        state.has_failed = true;
    }

    pub(super) fn seal(&self, segment: Arc<Segment>, summary: Summary) {
        self.state().to_seal.push_back((segment, summary));
        self.changed.notify_all();
    }

    pub(super) fn add_trimmed(&self, trimmed: Trimmed, now: Timestamp, least: u64) {
        let mut state = self.state();
        if trimmed.wants_oldest {
            let (waiting_now, waiting_least) = state.to_trim.unwrap_or((now, least));
            state.to_trim = Some((now.max(waiting_now), least.min(waiting_least)));
        }
        for segment in trimmed.segments {
            state.to_seal.retain(|(to_seal, _)| !Arc::ptr_eq(to_seal, &segment));
            state.to_remove.push_back(segment);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The segment that was prepared and not begun.
    pub(super) fn unused(&self) -> Option<u64> {
        match self.state().next {
            Next::Ready(sequence, _) => Some(sequence),
            _ => None,
        }
    }

    /// Does what is left to seal and remove, and then nothing more.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits until there is nothing to do, or what there is has failed.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        let mut state = self.state();
        while state.is_busy || state.has_task() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, Pending> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn pop(&mut self) -> Option<Task> {
        // What gives room comes first, then what the writer may be waiting for.
        if !self.has_failed
            && let Some(segment) = self.to_remove.pop_front()
        {
            return Some(Task::Remove(segment));
        }
        if let Next::Wanted(sequence) = self.next
            && self.to_seal.len() <= UNSEALED_SEGMENTS_MAX
            && !self.is_closed
        {
            return Some(Task::Prepare(sequence));
        }
        if let Some((now, least)) = self.to_trim.take() {
            return Some(Task::Trim(now, least));
        }
        if self.has_failed {
            return None;
        }
        self.to_seal.pop_front().map(|(segment, summary)| Task::Seal(segment, summary))
    }

    #[cfg(test)]
    fn has_task(&self) -> bool {
        (!self.has_failed && !self.to_remove.is_empty())
            || (matches!(self.next, Next::Wanted(_)) && self.to_seal.len() <= UNSEALED_SEGMENTS_MAX)
            || self.to_trim.is_some()
            || (!self.has_failed && !self.to_seal.is_empty())
    }
}
