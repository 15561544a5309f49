//! Where events are kept, how safely, and for how long.

use std::path::PathBuf;

use clap::ValueEnum;
use fanfare_hub::DEFAULT_RETENTION;
use fanfare_log::Retention;
use serde::Deserialize;

use crate::Failure;
use crate::options::Options;

/// Where events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Store {
    Memory(Retention),
    Disk { folder: PathBuf, durability: Durability, retention: Retention },
}

/// Room for some million small events, and little on any disk.
pub(super) const DISK_RETENTION: Retention = Retention { count: None, age: None, bytes: Some(1 << 30) };

/// Where events are kept unless something else is said.
pub(crate) const DATA_DIR: &str = "fanfare-data";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    #[default]
    Fsync,
    Os,
}

impl From<Durability> for fanfare_log::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Fsync => Self::Fsync,
            Durability::Os => Self::Os,
        }
    }
}

impl Options {
    /// Where events are kept.
    pub(crate) fn store(&self) -> Result<Store, Failure> {
        // What an engine has can be had again, so that a sync for each event would buy nothing.
        let usual = if self.engine.is_asked_for() { Durability::Os } else { Durability::Fsync };
        let durability = self.durability.unwrap_or(usual);
        match (&self.data_dir, self.memory == Some(true)) {
            (Some(_), true) => Err(Failure::usage("--memory and --data-dir exclude each other: leave one of them out")),
            (None, true) => Ok(Store::Memory(self.retention(DEFAULT_RETENTION))),
            (folder, false) => {
                let folder = folder.clone().unwrap_or_else(|| PathBuf::from(DATA_DIR));
                Ok(Store::Disk { folder, durability, retention: self.retention(DISK_RETENTION) })
            }
        }
    }

    /// What an engine's stream keeps: the same whether this hub has its own history in memory or on disk.
    pub(crate) fn stream_retention(&self) -> Retention {
        self.retention(DISK_RETENTION)
    }

    /// Any bound that is set replaces the default one, so that history has a bound in any case.
    fn retention(&self, default: Retention) -> Retention {
        let asked = Retention { count: self.retain_count, age: self.retain_age, bytes: self.retain_bytes };
        if asked == Retention::default() { default } else { asked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::file::parse;
    use crate::options::tests::flags;

    #[test]
    fn memory_and_a_folder_exclude_each_other_and_the_flag_overrules_the_file() {
        assert!(flags(&["--memory", "--data-dir", "d"]).store().is_err());
        let file = |text| parse(text).unwrap();
        assert!(file("memory = true\ndata_dir = 'd'").store().is_err());
        let disk = flags(&["--data-dir", "d", "--durability=os"]).or(file("memory = true\ndurability = 'fsync'"));
        assert!(matches!(disk.store().unwrap(), Store::Disk { durability: Durability::Os, .. }));
        let memory = flags(&["--memory"]).or(file("data_dir = 'd'"));
        assert!(matches!(memory.store().unwrap(), Store::Memory(_)));
    }
}
