//! The hub as a process: the command that lies beside this program.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use tempfile::TempDir;

pub(crate) struct Hub {
    child: Child,
    pub(crate) url: String,
    _folder: TempDir,
}

impl Hub {
    /// On disk, with a history that is full long before the warm-up is over.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let folder = program.parent().and_then(|examples| examples.parent()).context("where is this program?")?;
        let binary = folder.join("fanfare");
        ensure!(binary.exists(), "{} is not built: cargo build --bin fanfare", binary.display());
        let data = tempfile::tempdir()?;
        let mut command = Command::new(binary);
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--durability",
            "os",
            "--retain-bytes",
            "4MiB",
            "--data-dir",
        ]);
        command.arg(data.path()).env("FANFARE_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it has an output")?).read_line(&mut line)?;
        let url = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        let hub = Self { child, url, _folder: data };
        ensure!(hub.url.starts_with("http://"), "the hub does not say where it is: {line:?}");
        Ok(hub)
    }

    /// Its own memory in KiB: no files, nothing that it shares.
    pub(crate) fn memory_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let value = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        Ok(value.context("the hub has gone")?.parse()?)
    }

    pub(crate) fn open_files(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id())).context("the hub has gone")?.count())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
