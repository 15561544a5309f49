//! An example that was built, as a process.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use fanfare_scripted_server::Watchdog;

/// A hanging example is a failed test.
const LIMIT: Duration = Duration::from_secs(120);

/// Where Cargo puts the examples: beside the directory of this test.
fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    let advice = "run every test of the package, or `cargo build -p fanfare-client --examples` first";
    assert!(path.exists(), "{} is not built: {advice}", path.display());
    path
}

/// Runs an example to its end, which must be a good one.
pub(crate) fn run(name: &str, arguments: &[&str]) -> Vec<String> {
    let _watchdog = Watchdog::start(LIMIT);
    let output = Command::new(path(name)).args(arguments).env_remove("API_KEY").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// An example that serves. Dropping it ends it.
pub(crate) struct Program {
    child: Child,
    lines: BufReader<ChildStdout>,
    _watchdog: Watchdog,
}

impl Program {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path(name)).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, _watchdog: Watchdog::start(LIMIT) }
    }

    /// Waits for the next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits until it ends by itself.
    pub(crate) fn expect_end(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
