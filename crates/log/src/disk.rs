//! The log on disk: segments in a folder.
//!
//! ```text
//! store ─► queue ─► writer ─► segment NNN.events    one write and one sync a group, then the history shows it to readers
//!                      │                            and the publishers are answered
//!                      ▼
//!          history ◄── recent records in memory     live readers read no file
//!             │
//! read ───────┴──────► reading ─► segments          by position through marks, by topic and id through terms: in memory
//!                                                   for the active segment, in NNN.index for each sealed one
//!          keeper: makes the next segment's room, seals, trims, removes
//! ```
//!
//! What is on the disk is described where it is encoded: `stored` a record, `segment` a file of records, `side` an
//! index, `state` the rest. Recovery, and what it takes for damage, is in `recovery`.

mod fields;

mod storage;

mod settings;

mod damage;

mod stored;

mod scan;

mod terms;

mod side;

mod segment;

mod state;

mod history;

mod shared;

mod reading;

mod queue;

mod group;

mod writer;

mod work;

mod keeper;

mod recovery;

mod inspection;

use std::fmt::{self, Debug};
use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::limits::BATCH_EVENTS_MAX;
use crate::{
    Append, AppendError, Batch, Draft, Located, Log, Place, Position, ReadBudget, ReadError, RecordRef, Span,
    SyncWatch, Timestamp, Topics, Usage,
};

pub use damage::{Damage, DamageKind};
pub use inspection::{Info, Inspection, Records};
pub use settings::{DiskSettings, Durability, Order};
pub(crate) use stored::StoredTopics;

use damage::Unreadable;
use history::History;
use queue::Job;
use reading::{Collecting, Showing};
use recovery::Recovered;
use shared::Shared;
use state::State;
use storage::{Folder, SystemFolder};
use work::Work;
use writer::Writer;

/// A [`Log`] in a folder, bounded by its [`Retention`](crate::Retention). An event that was acknowledged outlasts the
/// process, and with [`Durability::Fsync`] the machine.
///
/// One process has the folder at a time. Dropping the log writes what waits and closes it.
///
/// ```
/// # use fanfare_log::*;
/// # fn ready<T>(future: impl Future<Output = T>) -> T {
/// #     let mut future = std::pin::pin!(future);
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) { return value } }
/// # }
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let settings = DiskSettings::new(Retention { bytes: Some(1 << 30), ..Retention::default() }, Timestamp(1_750_000_000_000));
/// let draft = Draft {
///     topics: vec!["news".into()],
///     id: Id::Position,
///     visibility: Visibility::Public,
///     time: Timestamp(1_750_000_000_000),
///     frame: Frame::whole("hello"),
/// };
/// let log = DiskLog::open(folder, settings.clone())?;
/// let positions = ready(Engine::append(&log, vec![draft]))?;
/// drop(log);
///
/// let log = DiskLog::open(folder, settings)?;
/// let budget = ReadBudget { records: 100, bytes: 1 << 16, examined: 1000 };
/// let batch = log.read(log.span().start, Topics::All, budget)?;
/// assert_eq!(batch.records[0].frame, "hello");
/// assert_eq!(batch.end, positions[0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DiskLog {
    shared: Arc<Shared>,
    state: State,
    torn: Option<Damage>,
    writer: Option<JoinHandle<Option<(u64, u32)>>>,
    keeper: Option<JoinHandle<()>>,
    /// Held until all of it is closed.
    _lock: Box<dyn Debug + Send + Sync>,
}

impl DiskLog {
    /// Opens the log in `folder`, which is made if there is none. Repairs what a crash left behind.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if another process has it, if a file can't be read or written, or if one is damaged.
    pub fn open(folder: &Path, settings: DiskSettings) -> Result<Self, OpenError> {
        let system = SystemFolder::create(folder).map_err(|error| OpenError::Io(folder.to_owned(), error))?;
        Self::open_in(Arc::new(system), settings)
    }

    #[expect(clippy::needless_pass_by_value, reason = "the settings are the log's from here on")]
    fn open_in(folder: Arc<dyn Folder>, settings: DiskSettings) -> Result<Self, OpenError> {
        let lock = lock(&*folder)?;
        let sizes = settings.sizes();
        let Recovered { entries, active, state, torn } = recovery::recover(&*folder, &settings, &sizes)?;
        let history = History::new(settings.retention, entries, sizes.recent_bytes);
        let work = Work::new(active.segment.head.sequence + 1);
        let shared = Shared::new(folder, (sizes, settings.durability), state.key, history, work);
        let shared = Arc::new(shared);
        // Retention may ask for less than before, and events have aged meanwhile: nobody shall read them again.
        shared.trim(settings.now, 1);
        while keeper::read_oldest(&shared) {
            shared.trim(settings.now, 1);
        }
        let started = |error| OpenError::Io(shared.folder.path(""), error);
        let keeper = {
            let shared = shared.clone();
            thread::Builder::new().name("log keeper".to_owned()).spawn(move || keeper::run(&shared))
        };
        let keeper = keeper.map_err(started)?;
        let writer = Writer::new(shared.clone(), active);
        let writer = thread::Builder::new().name("log writer".to_owned()).spawn(move || writer.run());
        let mut log = Self { shared: shared.clone(), state, torn, writer: None, keeper: Some(keeper), _lock: lock };
        log.writer = Some(writer.map_err(started)?);
        Ok(log)
    }

    fn push(&self, batch: Vec<Draft>, job: Job) -> Append<'_> {
        match self.shared.queue.push(batch, job) {
            Ok(answered) => Box::pin(answered),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    /// The write that was not finished when the last process ended, and that was cut off: for a line in the log file.
    #[must_use]
    pub fn torn_tail(&self) -> Option<&Damage> {
        self.torn.as_ref()
    }

    /// Looks at the log in `folder` without changing it.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if another process has it, or a file can't be read. Damage is no error: it is reported.
    pub fn inspect(folder: &Path) -> Result<Inspection, OpenError> {
        let system = SystemFolder::open(folder).map_err(|error| OpenError::Io(folder.to_owned(), error))?;
        Inspection::of(Arc::new(system))
    }
}

fn lock(folder: &dyn Folder) -> Result<Box<dyn Debug + Send + Sync>, OpenError> {
    let locked = folder.lock().map_err(|error| OpenError::Io(folder.path(""), error))?;
    locked.ok_or_else(|| OpenError::InUse(folder.path("")))
}

impl Log for DiskLog {
    fn store(&self, batch: Vec<Draft>, place: Place) -> Append<'_> {
        if batch.len() > BATCH_EVENTS_MAX {
            let error = AppendError::not_stored(format!("more than {BATCH_EVENTS_MAX} events in a batch"));
            return Box::pin(ready(Err(error)));
        }
        self.push(batch, Job::Store(place))
    }

    fn read(&self, after: Position, topics: Topics<'_>, budget: ReadBudget) -> Result<Batch, ReadError> {
        let mut collecting = Collecting::new(&self.shared);
        let end = reading::read(&self.shared, after, topics, budget, &mut collecting)?;
        Ok(Batch { records: collecting.records, end })
    }

    fn visit(
        &self,
        after: Position,
        topics: Topics<'_>,
        budget: ReadBudget,
        visitor: &mut dyn FnMut(RecordRef<'_>),
    ) -> Result<Position, ReadError> {
        reading::read(&self.shared, after, topics, budget, &mut Showing(visitor))
    }

    fn locate(&self, position: Position) -> Located {
        self.shared.history().locate(position)
    }

    fn position_of(&self, id: &str) -> Result<Option<Position>, ReadError> {
        reading::position_of(&self.shared, id).map_err(|error| ReadError::Failed(Box::new(error)))
    }

    fn span(&self) -> Span {
        self.shared.history().span()
    }

    fn usage(&self) -> Usage {
        self.shared.history().usage()
    }

    fn begin_at(&self, start: Position) -> Append<'_> {
        self.push(Vec::new(), Job::BeginAt(start))
    }

    fn trim(&self, now: Timestamp) {
        self.shared.trim(now, 0);
    }

    fn on_advance(&self, notify: Box<dyn Fn(Position) + Send + Sync>) {
        self.shared.add_notify(notify.into());
    }

    fn on_sync(&self, watch: SyncWatch) {
        self.shared.add_sync_watch(watch);
    }

    fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        self.shared.queue.close();
        let closed_at = self.writer.take().and_then(|writer| writer.join().ok().flatten());
        self.shared.work.close();
        if let Some(keeper) = self.keeper.take() {
            let _ended = keeper.join();
        }
        if closed_at.is_some() {
            // Without it the next start takes more care than it had to.
            let _saved = State { closed_at, ..self.state.clone() }.save(&*self.shared.folder);
        }
    }
}

impl Debug for DiskLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskLog")
            .field("folder", &self.shared.folder)
            .field("span", &self.span())
            .finish_non_exhaustive()
    }
}

/// A log that was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("the log in {} is in use by another process: stop that one, or use another folder", .0.display())]
    InUse(PathBuf),
    /// A file can't be read or written.
    #[error("the log can't be opened: {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// It made its own order, and is now to follow another.
    #[error("the log in {} has an order of its own, which can't follow another: use another folder", .0.display())]
    OwnOrder(PathBuf),
    /// A file is damaged. Nothing was changed: going on could lose events in silence.
    #[error("the log is damaged, and no event of it was touched: restore it from a copy, or move its folder away")]
    Damaged(#[source] Damage),
}

impl From<Unreadable> for OpenError {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Failed(file, error) => Self::Io(file, error),
            Unreadable::Damaged(damage) => Self::Damaged(damage),
            Unreadable::OwnOrder(folder) => Self::OwnOrder(folder),
        }
    }
}

#[cfg(test)]
mod tests;
