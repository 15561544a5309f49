//! The binary under test, and a hub of it on a port of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes on the slowest machine: a test that hangs fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, with an environment that says nothing to it.
pub(crate) fn fanfare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    without_settings(&mut command);
    command
}

/// Takes from the environment what would be a setting.
pub(crate) fn without_settings(command: &mut Command) -> &mut Command {
    let is_setting = |name: &str| name.starts_with("FANFARE_") || name.starts_with("MERCURE_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

/// What a command that ended by itself left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the command to its end with `input` on its standard input.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Ended {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may end without reading everything.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A hub, ended with its handle.
#[derive(Debug)]
pub(crate) struct Hub {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) greeting: String,
}

impl Hub {
    /// Starts `fanfare serve --memory` or the like, on a free port unless `arguments` name one.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = fanfare(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        Self::spawn(
            command
                .env("FANFARE_LOG", std::env::var("FANFARE_TEST_LOG").as_deref().unwrap_or("off"))
                .stderr(Stdio::inherit()),
        )
    }

    /// Starts a hub of a command that was put together elsewhere.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let greeting: Vec<String> = lines.by_ref().take(4).map(Result::unwrap).collect();
        let address = greeting[0].rsplit("://").next().unwrap().parse().unwrap();
        Self { child, address, greeting: greeting.join("\n") }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.greeting.contains("https://") { "https" } else { "http" }, self.address)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `TERM`, `INT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the hub does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A real curl that follows a stream, ended with its handle.
#[derive(Debug)]
pub(crate) struct Curl {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Curl {
    pub(crate) fn follow(url: &str, arguments: &[&str]) -> Self {
        let limit = PATIENCE.as_secs().to_string();
        let mut command = Command::new("curl");
        command.args(["-sS", "-N", "--max-time", &limit]).args(arguments).arg(url).stdout(Stdio::piped());
        let mut child = command.spawn().expect("curl is installed by scripts/test");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The lines up to the one that `is_last`.
    pub(crate) fn until(&mut self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut seen = Vec::new();
        for line in self.lines.by_ref().map(Result::unwrap) {
            seen.push(line);
            if seen.last().is_some_and(|line| is_last(line)) {
                return seen;
            }
        }
        panic!("the stream ended before that: {seen:?}");
    }
}

impl Curl {
    /// Reads to the end of the stream, and says how curl found it.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.lines.by_ref().for_each(drop);
        self.child.wait().unwrap()
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs curl to its end and gives the body.
pub(crate) fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-sS", "--max-time", "60"]).args(arguments).output();
    let output = output.expect("curl is installed by scripts/test");
    assert!(output.status.success(), "curl {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
