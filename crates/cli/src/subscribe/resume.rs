//! The last event id, from one run to the next.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use fanfare_client::EventId;

/// A file that holds one id and a newline.
///
/// It is replaced as a whole, by a rename: whoever reads it, and whatever ends this program, there is always an old id
/// or a new one. It is not forced to the disk, which would cost more than the events: a power cut may take back ids.
#[derive(Debug)]
pub(crate) struct ResumeFile {
    path: PathBuf,
    temporary: PathBuf,
    last_event_id: Option<EventId>,
}

impl ResumeFile {
    /// Reads the file if there is one.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        // A link stays a link: the rename replaces what it leads to.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let text = match fs::metadata(&path) {
            // A rename over a device such as /dev/null would replace it.
            Ok(metadata) if !metadata.is_file() => {
                anyhow::bail!("--resume-file: {} is no regular file", path.display())
            }
            Ok(_) => {
                fs::read_to_string(&path).with_context(|| format!("--resume-file: can't read {}", path.display()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("--resume-file: can't read {}", path.display()));
            }
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let id = EventId::new(text)
            .with_context(|| format!("--resume-file: {} holds no id; delete it to start anew", path.display()))?;
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        Ok(Self { path, temporary, last_event_id: Some(id).filter(|id| !id.as_str().is_empty()) })
    }

    /// The id of the run before.
    pub(crate) fn last_event_id(&self) -> Option<&EventId> {
        self.last_event_id.as_ref()
    }

    /// Writes the id, if it is another one.
    pub(crate) fn save(&mut self, id: &str) -> anyhow::Result<()> {
        if self.last_event_id.as_ref().map_or("", EventId::as_str) == id {
            return Ok(());
        }
        let id = EventId::new(id).context("a last event id is one line")?;
        let written = fs::write(&self.temporary, format!("{id}\n"))
            .and_then(|()| fs::rename(&self.temporary, &self.path))
            .inspect_err(|_| drop(fs::remove_file(&self.temporary)));
        // Not passed on as it is: its kind could be mistaken for that of the output.
        written.map_err(|error| anyhow::anyhow!("--resume-file: can't write {}: {error}", self.path.display()))?;
        self.last_event_id = Some(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("fanfare-resume-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn an_id_is_there_in_the_next_run() {
        let folder = folder("next");
        let path = folder.join("last id");
        assert_eq!(ResumeFile::open(&path).unwrap().last_event_id(), None);
        for id in ["42", " spaces stay ", "é\t…", ""] {
            ResumeFile::open(&path).unwrap().save(id).unwrap();
            let expected = Some(EventId::new(id).unwrap()).filter(|_| !id.is_empty());
            assert_eq!(ResumeFile::open(&path).unwrap().last_event_id(), expected.as_ref(), "{id:?}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_holds_no_id_is_refused_and_left_alone() {
        let folder = folder("refused");
        let path = folder.join("text");
        fs::write(&path, "two\nlines\n").unwrap();
        assert!(ResumeFile::open(&path).unwrap_err().to_string().contains("delete it"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\nlines\n");
        assert!(ResumeFile::open(&folder).is_err(), "a folder");
        assert!(ResumeFile::open(Path::new("/dev/null")).is_err(), "a device");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error() {
        let folder = folder("unwritable");
        let mut resume = ResumeFile::open(&folder.join("missing").join("file")).unwrap();
        assert!(resume.save("1").is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
