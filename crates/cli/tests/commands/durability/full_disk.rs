//! A disk with no room left, and room again.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::running::{Curl, Hub, PATIENCE, curl, without_settings};

/// The disk is a small tmpfs that only the hub sees: it is mounted in a namespace of its own, which needs no root and
/// leaves nothing behind.
#[test]
fn a_full_disk_refuses_publishes_and_keeps_subscribers_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=12m none \"$1\" && head -c 6291456 /dev/zero >\"$1/ballast\" && \
                  exec \"$0\" serve --data-dir \"$1/data\" --retain-bytes 16MiB --listen 127.0.0.1:0";
    let binary = env!("CARGO_BIN_EXE_fanfare");
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, binary]).arg(folder.path());
    let hub = Hub::spawn(without_settings(&mut command).stdout(Stdio::piped()).env("FANFARE_LOG", "off"));

    let mut follower = Curl::follow(&hub.url("/events/a"), &[]);
    follower.until(|line| line == ":");
    let mut publisher = Connection::open(hub.address).unwrap();
    let data = "x".repeat(100_000);
    let mut stored = 0;
    let (status, problem) = loop {
        match publisher.publish("a", &data).unwrap() {
            (200, _) => stored += 1,
            refused => break refused,
        }
        assert!(stored < 1000, "12 MiB hold 100 MB");
    };
    assert_eq!(status, 503, "{problem}");
    assert!(problem.contains("room") || problem.contains("space"), "it says why: {problem}");
    assert!(stored > 0, "there was room for some");
    assert_ne!(publisher.publish("a", &data).unwrap().0, 200, "there is still none");

    // The hub's own view of its files.
    fs::remove_file(format!("/proc/{}/root/{}/ballast", hub.id(), folder.path().display())).unwrap();
    let start = Instant::now();
    while publisher.publish("a", "room again").unwrap().0 != 200 {
        assert!(start.elapsed() < PATIENCE, "it does not recover");
        thread::sleep(Duration::from_millis(20));
    }
    let seen = follower.until(|line| line == "data: room again");
    assert_eq!(
        seen.iter().filter(|line| **line == format!("data: {data}")).count(),
        stored,
        "what was stored and no more"
    );
    assert!(seen.iter().all(|line| !line.contains("fanfare-gap")));
    assert!(curl(&[&hub.url("/health/ready")]).contains("ready"));
}
