//! What waits for the disk, and the answers that publishers wait for.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::limits::{GROUP_BYTES_MAX, GROUP_EVENTS_MAX, QUEUE_BATCHES_MAX, QUEUE_BYTES_MAX, RECORD_OVERHEAD_BYTES};
use crate::{AppendError, Draft, Place, Position};

type Outcome = Result<Vec<Position>, AppendError>;

/// What is to be done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Store(Place),
    /// There is none: the history begins anew.
    BeginAt(Position),
}

/// A batch that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Vec<Draft>,
    pub(super) job: Job,
    pub(super) answer: Answer,
    bytes: usize,
}

/// The batches that wait, in the order of the calls. While one group is written and synced, the next gathers here.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<Gathering>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Gathering {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    /// Adds a batch, and gives the future of its answer.
    pub(super) fn push(&self, batch: Vec<Draft>, job: Job) -> Result<Answered, AppendError> {
        let bytes = batch.iter().map(draft_bytes).sum::<usize>();
        let mut state = self.state();
        if state.is_closed {
            return Err(AppendError::not_stored("the log is closed"));
        }
        let is_full = state.waiting.len() >= QUEUE_BATCHES_MAX || state.bytes + bytes > QUEUE_BYTES_MAX;
        if is_full && !state.waiting.is_empty() {
            return Err(AppendError::not_stored("the disk is too slow for what is published: publish again later"));
        }
        let (answer, answered) = answer();
        state.bytes += bytes;
        state.waiting.push_back(Waiting { batch, job, answer, bytes });
        let was_empty = state.waiting.len() == 1;
        drop(state);
        if was_empty {
            self.changed.notify_one();
        }
        Ok(answered)
    }

    /// Waits for batches, at most `timeout` if there is one, and takes what one group may have. `None` when the queue is
    /// closed and empty.
    pub(super) fn take_group(&self, into: &mut Vec<Waiting>, timeout: Option<Duration>) -> Option<()> {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.is_closed {
                return None;
            }
            state = match timeout {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    let (state, waited) =
                        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() {
                        return Some(());
                    }
                    state
                }
            };
        }
        let (mut events, mut bytes) = (0, 0);
        while let Some(next) = state.waiting.front() {
            (events, bytes) = (events + next.batch.len(), bytes + next.bytes);
            if !into.is_empty() && (events > GROUP_EVENTS_MAX || bytes > GROUP_BYTES_MAX) {
                break;
            }
            state.bytes -= next.bytes;
            into.extend(state.waiting.pop_front());
        }
        Some(())
    }

    /// Takes no batch any more; those that wait are still written.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Forgets what waits: nobody will write it.
    pub(super) fn abandon(&self) {
        self.close();
        let waiting = std::mem::take(&mut self.state().waiting);
        for waiting in waiting {
            waiting.answer.give(Err(AppendError::not_stored("the log has stopped")));
        }
    }

    fn state(&self) -> MutexGuard<'_, Gathering> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn draft_bytes(draft: &Draft) -> usize {
    draft.frame.len() + draft.topics.iter().map(|topic| topic.len()).sum::<usize>() + RECORD_OVERHEAD_BYTES as usize
}

/// The writer's end. Dropped without an answer it says that nobody knows.
#[derive(Debug)]
pub(super) struct Answer(Option<Arc<Slot>>);

/// The publisher's end.
#[derive(Debug)]
pub(super) struct Answered(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot(Mutex<Given>);

#[derive(Debug, Default)]
struct Given {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

fn answer() -> (Answer, Answered) {
    let slot = Arc::new(Slot::default());
    (Answer(Some(slot.clone())), Answered(slot))
}

impl Answer {
    pub(super) fn give(mut self, outcome: Outcome) {
        if let Some(slot) = self.0.take() {
            slot.give(outcome);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.give(Err(AppendError::maybe_stored("the log's writer has stopped")));
        }
    }
}

impl Slot {
    fn give(&self, outcome: Outcome) {
        let waker = {
            let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            given.outcome = Some(outcome);
            given.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Answered {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut given = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match given.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                given.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_full_refuses_and_says_that_nothing_was_stored() {
        let queue = Queue::default();
        let waiting: Vec<_> =
            (0..QUEUE_BATCHES_MAX).map(|_| queue.push(Vec::new(), Job::Store(Place::Next)).unwrap()).collect();
        let refused = queue.push(Vec::new(), Job::Store(Place::Next)).unwrap_err();
        assert_eq!(refused.kind(), crate::AppendErrorKind::NotStored);
        queue.take_group(&mut Vec::new(), None).unwrap();
        queue.push(Vec::new(), Job::Store(Place::Next)).unwrap();
        drop(waiting);
    }

    #[test]
    fn nobody_waits_for_a_writer_that_has_gone() {
        let queue = Queue::default();
        let [taken, left] = [0, 1].map(|_| queue.push(Vec::new(), Job::Store(Place::Next)).unwrap());
        drop(queue.state().waiting.pop_front());
        queue.abandon();
        let kind = |answered: Answered| pollster::block_on(answered).unwrap_err().kind();
        assert_eq!(kind(taken), crate::AppendErrorKind::MaybeStored);
        assert_eq!(kind(left), crate::AppendErrorKind::NotStored);
        assert!(queue.push(Vec::new(), Job::Store(Place::Next)).is_err());
    }
}
