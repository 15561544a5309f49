//! The seam to the file system: all that the log asks of it, so that tests can put a disk beneath that fails.

use std::fmt::Debug;
use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A flat folder of files. What was done to it lasts over a crash once [`Folder::sync`] returned.
pub(super) trait Folder: Debug + Send + Sync {
    /// Keeps every other process out until the guard is dropped. `None` if another has it.
    fn lock(&self) -> io::Result<Option<Box<dyn Debug + Send + Sync>>>;

    fn names(&self) -> io::Result<Vec<String>>;

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// An empty file, whatever was there.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// `to` is replaced at once, or not at all.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    fn sync(&self) -> io::Result<()>;

    /// For messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// An open file; it outlives its name. What was done to it lasts over a crash once [`File::sync`] returned.
pub(super) trait File: Debug + Send + Sync {
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes, none at the end of the file.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes some of the bytes.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Takes room for `size` bytes, zeros where nothing was written: writing there can't fail for want of room.
    fn allocate(&self, size: u64) -> io::Result<()>;

    fn truncate(&self, size: u64) -> io::Result<()>;

    fn sync(&self) -> io::Result<()>;
}

/// Reads until the buffer is full or the file ends, and gives how many bytes that are.
pub(super) fn read_full(file: &dyn File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of it.
pub(super) fn write_full(file: &dyn File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, at) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                at += written as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A whole file, of at most `size_max` bytes.
pub(super) fn read_whole(file: &dyn File, size_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.size()?.min(size_max)).unwrap_or(usize::MAX)];
    let read = read_full(file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// A folder of the operating system.
#[derive(Debug)]
pub(super) struct SystemFolder(PathBuf);

impl SystemFolder {
    /// Makes the folder if there is none.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        if !path.is_dir() {
            // Whatever the umask: private events are in it.
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            // Its name must last as well.
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                fs::File::open(parent)?.sync_all()?;
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// A folder that is there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::read_dir(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Folder for SystemFolder {
    fn lock(&self) -> io::Result<Option<Box<dyn Debug + Send + Sync>>> {
        let path = self.path(LOCK_NAME);
        let file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path) {
            // Who may only look at the folder can lock it all the same.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                fs::File::open(&path)?
            }
            opened => opened?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let path = self.path(name);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            // An inspection may be of a folder that one may only read.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                fs::File::open(&path)?
            }
            opened => opened?,
        };
        Ok(Arc::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(name));
        Ok(Arc::new(options?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.0)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

const LOCK_NAME: &str = "lock";

impl File for fs::File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, at)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        #[cfg(not(target_vendor = "apple"))]
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, size) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            result => return Ok(result?),
        }
        // A file system without such a call takes the room with zeros.
        let zeros = [0; 64 << 10];
        let mut at = File::size(self)?;
        while at < size {
            let len = usize::try_from(size - at).unwrap_or(usize::MAX).min(zeros.len());
            write_full(self, zeros.get(..len).unwrap_or(&zeros), at)?;
            at += len as u64;
        }
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
