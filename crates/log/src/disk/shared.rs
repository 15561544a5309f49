//! What a log's readers, its writer and its keeper share.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::disk::history::{History, Trimmed};
use crate::disk::queue::Queue;
use crate::disk::reading::{Buffers, SpareNames};
use crate::disk::settings::{Durability, Sizes};
use crate::disk::storage::{File, Folder};
use crate::disk::terms::Key;
use crate::disk::work::Work;
use crate::{Position, SyncWatch, Timestamp};

pub(super) type Notify = Arc<dyn Fn(Position) + Send + Sync>;

pub(super) struct Shared {
    pub(super) folder: Arc<dyn Folder>,
    pub(super) sizes: Sizes,
    pub(super) durability: Durability,
    pub(super) key: Key,
    history: RwLock<History>,
    pub(super) queue: Queue,
    pub(super) work: Work,
    pub(super) buffers: Arc<Buffers>,
    pub(super) names: Arc<SpareNames>,
    notify: Mutex<Vec<Notify>>,
    sync_watches: Mutex<Vec<SyncWatch>>,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(
        folder: Arc<dyn Folder>,
        (sizes, durability): (Sizes, Durability),
        key: Key,
        history: History,
        work: Work,
    ) -> Self {
        Self {
            folder,
            sizes,
            durability,
            key,
            history: RwLock::new(history),
            queue: Queue::default(),
            work,
            buffers: Arc::default(),
            names: Arc::default(),
            notify: Mutex::default(),
            sync_watches: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    pub(super) fn history(&self) -> RwLockReadGuard<'_, History> {
        // A panic between two fields of the history is a bug of ours that no reader should pay for with its own.
        self.history.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn history_mut(&self) -> RwLockWriteGuard<'_, History> {
        self.history.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn trim(&self, now: Timestamp, least: u64) {
        let trimmed = self.history_mut().trim(now, least);
        self.follow_up(trimmed, now, least);
    }

    /// Leaves to the keeper what a trim leaves to do.
    pub(super) fn follow_up(&self, trimmed: Trimmed, now: Timestamp, least: u64) {
        if trimmed.wants_oldest || !trimmed.segments.is_empty() {
            self.work.add_trimmed(trimmed, now, least);
        }
    }

    pub(super) fn add_notify(&self, notify: Notify) {
        self.notify.lock().unwrap_or_else(PoisonError::into_inner).push(notify);
    }

    pub(super) fn tell(&self, tail: Position) {
        // A callback may call back, so none runs under a lock.
        let notify = self.notify.lock().unwrap_or_else(PoisonError::into_inner).clone();
        notify.iter().for_each(|notify| notify(tail));
    }

    pub(super) fn add_sync_watch(&self, watch: SyncWatch) {
        self.sync_watches.lock().unwrap_or_else(PoisonError::into_inner).push(watch);
    }

    /// Syncs what publishers wait for.
    pub(super) fn sync(&self, file: &dyn File) -> io::Result<()> {
        let begun: Vec<_> = {
            let watches = self.sync_watches.lock().unwrap_or_else(PoisonError::into_inner);
            watches.iter().map(|watch| watch()).collect()
        };
        let synced = file.sync();
        begun.into_iter().for_each(|end| end());
        synced
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("folder", &self.folder).finish_non_exhaustive()
    }
}
