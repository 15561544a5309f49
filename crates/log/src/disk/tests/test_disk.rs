//! A disk in memory that forgets what was not synced, tears writes, fails and fills.

use super::*;
use crate::disk::storage::File;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard};

/// A folder on it. Clones are the same disk.
#[derive(Debug, Clone)]
pub(super) struct TestDisk(Arc<Mutex<State>>, Arc<Condvar>);

/// Which operations fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The Nth write from now.
    Write(u64),
    /// The Nth sync of a file from now: what it should have written is never written by a later one.
    Sync(u64),
    /// The Nth taking of room from now.
    Allocate(u64),
    /// The Nth change to the folder from now.
    Name(u64),
    /// The Nth change of any kind, and everything after it.
    Power(u64),
}

#[derive(Debug)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names that were not synced. Each is done whole or not at all.
    unsynced_names: Vec<Vec<(String, Option<usize>)>>,
    fault: Option<Fault>,
    is_off: bool,
    room: u64,
    is_locked: bool,
    random: fastrand::Rng,
    holds_syncs: bool,
    held: u64,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Content {
    /// What a read gives.
    seen: Vec<u8>,
    /// What would be there after a crash, at least.
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Size(u64),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                let end = *at as usize + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at as usize..end].copy_from_slice(bytes);
            }
            Self::Size(size) => content.resize(*size as usize, 0),
        }
    }
}

impl TestDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self(
            Arc::new(Mutex::new(State {
                files: Vec::new(),
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                unsynced_names: Vec::new(),
                fault: None,
                is_off: false,
                room: u64::MAX,
                is_locked: false,
                random: fastrand::Rng::with_seed(seed),
                holds_syncs: false,
                held: 0,
                syncs: 0,
            })),
            Arc::default(),
        )
    }

    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    pub(super) fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// Whether the fault that was set has happened.
    pub(super) fn has_failed(&self) -> bool {
        self.state().fault.is_none()
    }

    /// Has syncs of files wait, or lets them go on.
    pub(super) fn hold_syncs(&self, holds: bool) {
        self.state().holds_syncs = holds;
        self.1.notify_all();
    }

    /// Waits until a sync waits.
    pub(super) fn wait_for_held_sync(&self) {
        let mut state = self.state();
        while state.held == 0 {
            state = self.1.wait(state).unwrap();
        }
    }

    /// How many syncs of files there were.
    pub(super) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    pub(super) fn set_room(&self, room: u64) {
        self.state().room = room;
    }

    /// Bytes of all files.
    pub(super) fn used(&self) -> u64 {
        self.state().used()
    }

    /// The power goes out and comes back: of what was not synced each change is kept, lost or torn. Nobody has the disk.
    pub(super) fn crash(&self) {
        let mut state = self.state();
        let State { files, random, durable_names, unsynced_names, .. } = &mut *state;
        for file in files {
            for change in file.unsynced.drain(..) {
                match (random.u8(..4), &change) {
                    (0, _) => {}
                    (1, Change::Write(at, bytes)) => {
                        let kept = random.usize(0..=bytes.len());
                        Change::Write(*at, bytes[..kept].to_vec()).apply(&mut file.durable);
                    }
                    (2, Change::Write(at, bytes)) => {
                        // Sectors in any order.
                        for (index, sector) in bytes.chunks(64).enumerate().filter(|_| random.bool()) {
                            Change::Write(at + index as u64 * 64, sector.to_vec()).apply(&mut file.durable);
                        }
                    }
                    (_, change) => change.apply(&mut file.durable),
                }
            }
            file.seen.clone_from(&file.durable);
        }
        for change in unsynced_names.drain(..).filter(|_| random.bool()) {
            rename_in(durable_names, &change);
        }
        state.names = state.durable_names.clone();
        (state.fault, state.is_off, state.is_locked) = (None, false, false);
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[state.names[name]].seen.clone()
    }

    /// Puts other bytes in a file's place, for good.
    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let index = state.files.len();
        state.files.push(Content { seen: bytes.clone(), durable: bytes, unsynced: Vec::new() });
        state.names.insert(name.to_owned(), index);
        state.durable_names.insert(name.to_owned(), index);
    }

    pub(super) fn delete(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// Another disk with the same content.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new(0);
        for name in self.names() {
            copy.put(&name, self.content(&name));
        }
        copy
    }

    /// What a process that dies now leaves behind: all that it wrote can be read, and what it did not sync can be lost.
    pub(super) fn left_behind(&self) -> Self {
        let copy = self.copy();
        let state = self.state();
        for (name, index) in &state.names {
            let Content { seen, durable, unsynced } = &state.files[*index];
            let (seen, durable, unsynced) = (seen.clone(), durable.clone(), unsynced.clone());
            let mut copy = copy.state();
            let index = copy.names[name];
            copy.files[index] = Content { seen, durable, unsynced };
        }
        copy.state().random = state.random.clone();
        copy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn rename_in(names: &mut BTreeMap<String, usize>, change: &[(String, Option<usize>)]) {
    for (name, file) in change {
        match file {
            Some(file) => names.insert(name.clone(), *file),
            None => names.remove(name),
        };
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].seen.len() as u64).sum()
    }

    /// Counts an operation, and fails if it is its turn.
    fn operate(&mut self, kind: fn(u64) -> Fault) -> io::Result<()> {
        let failed = || Err(io::Error::other("a fault was injected"));
        if self.is_off {
            return failed();
        }
        let Some(fault) = self.fault else { return Ok(()) };
        let (Fault::Write(left) | Fault::Sync(left) | Fault::Allocate(left) | Fault::Name(left) | Fault::Power(left)) =
            fault;
        let is_power = matches!(fault, Fault::Power(_));
        if kind(left) != fault && !is_power {
            return Ok(());
        }
        if left > 1 {
            self.fault = Some(if is_power { Fault::Power(left - 1) } else { kind(left - 1) });
            return Ok(());
        }
        self.fault = None;
        self.is_off = is_power;
        failed()
    }

    fn change_names(&mut self, change: Vec<(String, Option<usize>)>) -> io::Result<()> {
        self.operate(Fault::Name)?;
        rename_in(&mut self.names, &change);
        self.unsynced_names.push(change);
        Ok(())
    }

    fn change(&mut self, index: usize, change: Change) {
        change.apply(&mut self.files[index].seen);
        self.files[index].unsynced.push(change);
    }

    fn check_room(&self, index: usize, size: u64) -> io::Result<()> {
        let grows_by = size.saturating_sub(self.files[index].seen.len() as u64);
        if grows_by > 0 && self.used() + grows_by > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Guard(TestDisk);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.state().is_locked = false;
    }
}

impl Folder for TestDisk {
    fn lock(&self) -> io::Result<Option<Box<dyn Debug + Send + Sync>>> {
        let was_locked = std::mem::replace(&mut self.state().is_locked, true);
        Ok((!was_locked).then(|| Box::new(Guard(self.clone())) as _))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(Self::names(self))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = self.state();
        let index = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(OpenFile { disk: self.clone(), index }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        let index = state.files.len();
        state.change_names(vec![(name.to_owned(), Some(index))])?;
        state.files.push(Content::default());
        Ok(Arc::new(OpenFile { disk: self.clone(), index }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let index = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(vec![(to.to_owned(), Some(index)), (from.to_owned(), None)])
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(vec![(name.to_owned(), None)])
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.operate(Fault::Name)?;
        let State { durable_names, unsynced_names, .. } = &mut *state;
        unsynced_names.drain(..).for_each(|change| rename_in(durable_names, &change));
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("disk").join(name)
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: TestDisk,
    index: usize,
}

impl File for OpenFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.index].seen.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.is_off {
            return Err(io::Error::other("the power is off"));
        }
        // A read may give less than was asked for.
        let part = if buffer.len() > 1 && state.random.u8(..8) == 0 { buffer.len() / 2 } else { buffer.len() };
        let seen = state.files[self.index].seen.get(at as usize..).unwrap_or_default();
        let read = part.min(seen.len());
        buffer[..read].copy_from_slice(&seen[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.operate(Fault::Write)?;
        state.check_room(self.index, at + bytes.len() as u64)?;
        // So may a write.
        let part = if state.random.u8(..4) == 0 { state.random.usize(1..=bytes.len()) } else { bytes.len() };
        state.change(self.index, Change::Write(at, bytes[..part].to_vec()));
        Ok(part)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate(Fault::Allocate)?;
        state.check_room(self.index, size)?;
        if (state.files[self.index].seen.len() as u64) < size {
            state.change(self.index, Change::Size(size));
        }
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate(Fault::Write)?;
        state.change(self.index, Change::Size(size));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.held += 1;
        self.disk.1.notify_all();
        while state.holds_syncs {
            state = self.disk.1.wait(state).unwrap();
        }
        state.held -= 1;
        state.syncs += 1;
        let synced = state.operate(Fault::Sync);
        let is_off = state.is_off;
        let Content { durable, unsynced, .. } = &mut state.files[self.index];
        if synced.is_err() && !is_off {
            // The system forgets that these pages were never written, and reads still show them.
            unsynced.clear();
        } else if synced.is_ok() {
            unsynced.drain(..).for_each(|change| change.apply(durable));
        }
        synced
    }
}

#[test]
fn what_was_synced_stays_and_the_rest_may_go() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = TestDisk::new(seed);
        let file = disk.create("a").unwrap();
        storage::write_full(&*file, b"kept", 0).unwrap();
        file.sync().unwrap();
        disk.sync().unwrap();
        storage::write_full(&*file, b"perhaps", 4).unwrap();
        disk.create("b").unwrap();
        disk.crash();
        assert!(disk.content("a").starts_with(b"kept"));
        lost += usize::from(disk.content("a").len() < 11) + usize::from(!disk.names().contains(&"b".to_owned()));
    }
    assert!(lost > 10, "a disk that never forgets tests nothing");
}
