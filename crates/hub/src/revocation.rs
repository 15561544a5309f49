//! The end of a session, whenever that comes: every stream that hangs on it ends at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use slab::Slab;

/// Takes back what was granted. A handle: clones are the same one, and an application keeps one with each of its
/// sessions.
///
/// [`revoke`](Self::revoke) ends every stream whose [`Access`](crate::Access) lasts [`until`](crate::Access::until) it,
/// on whatever path it is served, and whoever asks with it from then on is refused. A stream ends between two events,
/// cleanly; one whose peer does not take what it was sent is cut. It costs no task and no timer: while it is not
/// revoked, 8 bytes for each stream.
///
/// ```
/// use fanfare_hub::Revocation;
///
/// let session = Revocation::new();
/// let of_a_stream = session.clone();
/// session.revoke();
/// assert!(of_a_stream.is_revoked());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Revocation(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_revoked: bool,
    /// Of the streams that hang on it.
    wakers: Slab<Waker>,
}

impl Revocation {
    /// One that is not revoked.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends it, for good. Once more is nothing.
    pub fn revoke(&self) {
        let wakers = {
            let mut state = self.state();
            state.is_revoked = true;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Whether it was revoked.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.state().is_revoked
    }

    /// Has `waker` told when it is revoked: at once if it is.
    pub(crate) fn watch(&self, waker: Waker) -> Lease {
        let key = {
            let mut state = self.state();
            if state.is_revoked { None } else { Some(state.wakers.insert(waker.clone())) }
        };
        if key.is_none() {
            waker.wake();
        }
        Lease { revocation: self.clone(), key }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a stream holds that hangs on a [`Revocation`].
#[derive(Debug)]
pub(crate) struct Lease {
    revocation: Revocation,
    key: Option<usize>,
}

impl Lease {
    pub(crate) fn is_revoked(&self) -> bool {
        self.revocation.is_revoked()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Those of a revoked one are gone, and nobody comes to it any more, so the key is no other's.
        let waker = self.key.and_then(|key| self.revocation.state().wakers.try_remove(key));
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_stream_that_is_there_is_told_once_and_none_that_has_gone() {
        let (revocation, told, gone) = (Revocation::new(), Arc::<Count>::default(), Arc::<Count>::default());
        let count = |count: &Arc<Count>| count.0.load(Ordering::Relaxed);
        let leases: Vec<Lease> = (0..3).map(|_| revocation.watch(told.clone().into())).collect();
        drop(revocation.watch(gone.clone().into()));
        assert_eq!((count(&told), count(&gone)), (0, 0));
        revocation.revoke();
        revocation.revoke();
        assert_eq!((count(&told), count(&gone)), (3, 0));
        assert!(leases.iter().all(Lease::is_revoked));
        drop(leases);

        let late = revocation.watch(gone.clone().into());
        assert_eq!(count(&gone), 1, "whoever comes too late is told at once");
        drop(late);
        assert!(revocation.state().wakers.is_empty());
        assert_eq!((Arc::strong_count(&told), Arc::strong_count(&gone)), (1, 1), "nobody is remembered");
    }
}
