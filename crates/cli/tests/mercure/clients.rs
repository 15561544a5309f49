//! Programs of other people that speak to the hub, and tokens for them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use serde_json::Value;

use crate::running::{Hub, PATIENCE, fanfare, run};

/// What the documentation of Symfony and of the reference hub has in its examples.
pub(crate) const SECRET: &str = "!ChangeThisMercureHubJWTSecretKey!";

/// The environment of an existing deployment.
const ENVIRONMENT: [(&str, &str); 2] = [("MERCURE_PUBLISHER_JWT_KEY", SECRET), ("MERCURE_SUBSCRIBER_JWT_KEY", SECRET)];

/// A hub that takes its keys from the environment alone.
pub(crate) fn hub(arguments: &[&str]) -> Hub {
    let mut command = fanfare(&["serve"]);
    command.args(arguments).envs(ENVIRONMENT).env("FANFARE_LOG", "off").stderr(Stdio::inherit());
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    Hub::spawn(&mut command)
}

/// Its endpoint.
pub(crate) fn endpoint(hub: &Hub) -> String {
    hub.url("/.well-known/mercure")
}

/// A token that `fanfare token` makes.
pub(crate) fn token(arguments: &[&str]) -> String {
    let made = run(fanfare(&["token", "--key", SECRET]).args(arguments), b"");
    assert_eq!(made.code, Some(0), "{made:?}");
    made.stdout.trim_end().to_owned()
}

/// Has Symfony publish `updates`, whose members are named as the arguments of its `Update`, and gives what came of each:
/// an id, or `refused`, the status and the answer.
pub(crate) fn publish(hub: &Hub, environment: &[(&str, &str)], updates: &[Value]) -> Vec<String> {
    let mut command = Command::new("php");
    command.arg(folder().join("publish.php")).env("MERCURE_URL", endpoint(hub)).env("MERCURE_JWT_SECRET", SECRET);
    command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = run(&mut command, updates.iter().map(|update| format!("{update}\n")).collect::<String>().as_bytes());
    assert!(ended.code == Some(0) && ended.stderr.is_empty(), "scripts/test installs PHP and Symfony: {ended:?}");
    ended.stdout.lines().map(str::to_owned).collect()
}

/// A script for Node that runs until this is dropped, and prints a line of JSON for whatever happens.
pub(crate) struct Script {
    child: Child,
    lines: Receiver<String>,
}

impl Script {
    pub(crate) fn start(name: &str, token: &str, arguments: &[&str]) -> Self {
        assert!(folder().join("node_modules").is_dir(), "scripts/test installs what the clients need, by npm ci");
        let mut command = Command::new("node");
        command.arg(folder().join(name)).args(arguments).env("TOKEN", token).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node is installed by scripts/test");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// What happens next.
    pub(crate) fn next(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("something happens in time");
        serde_json::from_str(&line).unwrap()
    }

    /// What happens up to `last`, and that too.
    pub(crate) fn until(&mut self, last: &Value) -> Vec<Value> {
        let mut happened = Vec::new();
        while happened.last() != Some(last) {
            assert!(happened.len() < 1000, "{last} is not among {happened:?}");
            happened.push(self.next());
        }
        happened
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mercure"))
}
