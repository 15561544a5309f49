//! Removing listeners from afar: the DOM's `AbortController`.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Removes listeners that were added with its [`signal`](Self::signal), all at once, from as many sources as there are.
///
/// ```
/// use fanfare_client::{AbortController, ListenerOptions};
///
/// let controller = AbortController::new();
/// let options = ListenerOptions::default().signal(&controller.signal());
/// controller.abort();
/// assert!(controller.signal().is_aborted());
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
pub struct AbortController {
    signal: AbortSignal,
}

/// What a listener is tied to, through [`ListenerOptions::signal`](crate::ListenerOptions::signal).
#[derive(Clone, Default)]
pub struct AbortSignal(Arc<Inner>);

#[derive(Default)]
struct Inner {
    is_aborted: AtomicBool,
    /// Who holds listeners with this signal: at most one entry a source.
    targets: Mutex<Vec<Weak<dyn AbortTarget>>>,
}

/// Something that holds listeners.
pub(crate) trait AbortTarget: Send + Sync {
    /// Removes the listeners whose signal was aborted.
    fn remove_aborted(&self);
}

impl AbortController {
    /// A controller whose signal is not aborted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The signal to add listeners with.
    #[must_use]
    pub fn signal(&self) -> AbortSignal {
        self.signal.clone()
    }

    /// Removes the listeners. A second call does nothing.
    pub fn abort(&self) {
        self.signal.0.is_aborted.store(true, Ordering::SeqCst);
        let targets = std::mem::take(&mut *self.signal.targets());
        // Not under the lock: a listener's closure is dropped here, and may own anything.
        for target in targets.iter().filter_map(Weak::upgrade) {
            target.remove_aborted();
        }
    }
}

impl AbortSignal {
    /// Whether [`AbortController::abort`] was called.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.0.is_aborted.load(Ordering::SeqCst)
    }

    pub(crate) fn watch(&self, target: &Weak<dyn AbortTarget>) {
        {
            let mut targets = self.targets();
            targets.retain(|known| known.strong_count() > 0 && !Weak::ptr_eq(known, target));
            targets.push(Weak::clone(target));
        }
        // Aborted in between: then nobody else will call.
        if self.is_aborted()
            && let Some(target) = target.upgrade()
        {
            target.remove_aborted();
        }
    }

    fn targets(&self) -> std::sync::MutexGuard<'_, Vec<Weak<dyn AbortTarget>>> {
        self.0.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AbortSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortSignal").field("is_aborted", &self.is_aborted()).finish()
    }
}
