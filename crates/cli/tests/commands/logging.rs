//! What a hub's log says, in both formats, and what it never says.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::running::{Curl, Hub, PATIENCE, curl, fanfare};
use crate::tls::Files;
use crate::token::{KEY, made};

/// A hub with its log in a file.
struct Logged {
    hub: Hub,
    log: tempfile::NamedTempFile,
}

impl Logged {
    fn start(level: &str, arguments: &[&str]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = fanfare(&["serve", "--memory", "--listen", "127.0.0.1:0"]);
        command.args(arguments).env("FANFARE_LOG", level).stderr(File::create(log.path()).unwrap());
        Self { hub: Hub::spawn(&mut command), log }
    }

    fn log(&self) -> String {
        read(self.log.path())
    }

    /// Waits until a line has all of this.
    fn until(&self, texts: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| texts.iter().all(|text| line.contains(text))) {
                return line.to_owned();
            }
            assert!(start.elapsed() < PATIENCE, "no line has all of {texts:?}: {log}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8(std::fs::read(path).unwrap()).expect("the log is UTF-8")
}

/// Whatever is asked of it: each line is one that the hub wrote, without control characters.
fn check_form(log: &str, format: &str) {
    assert!(log.ends_with('\n'));
    for line in log.split_terminator('\n') {
        assert!(!line.contains(char::is_control), "{line:?}");
        match format {
            "json" => {
                let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(value["timestamp"].is_string() && value["level"].is_string(), "{line}");
            }
            _ => assert!(line.starts_with("20") && line.as_bytes()[10] == b'T', "{line:?}"),
        }
    }
}

/// Tokens, keys and passwords in every place that a request has for them, over every way to the hub.
#[test]
fn no_secret_is_in_the_log_at_any_level() {
    let files = Files::new();
    let (certificate, key) = (files.certificate(), files.key());
    let tls = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    for format in ["text", "json"] {
        for tls in [&[][..], &tls] {
            let keys = ["--publisher-key", KEY, "--subscriptions", "--log-format", format];
            let hub = Logged::start("trace", &[&keys, tls].concat());
            let good = made(&["--publish", "*", "--subscribe", "*", "--key", KEY]);
            let forged =
                made(&["--publish", "*", "--subscribe", "*", "--key", "another secret of thirty-two bytes or more"]);
            let versions = if tls.is_empty() { "--http2-prior-knowledge" } else { "--http2" };
            let mut asked = 0;
            for token in [&good, &forged, &"not.a-token.hush-hush".to_owned()] {
                let header = format!("Authorization: Bearer {token}");
                let cookie = format!("mercureAuthorization={token}");
                let query = format!("?authorization={token}");
                for version in ["--http1.1", versions] {
                    for (path, arguments) in [
                        ("/events/a", vec!["-H", &header]),
                        ("/events/a", vec!["-b", &cookie]),
                        (&format!("/events/a{query}"), vec![]),
                        (&format!("/nothing{query}"), vec!["-u", "user:password-hush-hush"]),
                        (&format!("/console/figures{query}"), vec!["-H", "Referer: https://x.example/?hush-hush"]),
                        (&format!("/.well-known/mercure/subscriptions{query}"), vec!["-H", "Connection: close"]),
                    ] {
                        asked += 1;
                        let id = format!("X-Request-Id: get-{asked}");
                        let url = hub.hub.url(path);
                        // A stream has no end: whatever there is of it in a moment.
                        let common = ["-k", "-s", "-o", "/dev/null", "--max-time", "0.2", version, "-H", &id];
                        let _ = std::process::Command::new("curl").args(common).args(&arguments).arg(url).status();
                        let id = format!("X-Request-Id: post-{asked}");
                        let url = hub.hub.url(path);
                        let common = ["-k", "-o", "/dev/null", version, "-H", &id, "-d", "x"];
                        curl(&[&common[..], &arguments, &[&url]].concat());
                    }
                }
            }
            let last = format!("post-{asked}");
            hub.until(&[&last, "/.well-known/mercure/subscriptions"]);
            let log = hub.log();
            check_form(&log, format);
            let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
            let secrets = [parts(&good)[1..].to_vec(), parts(&forged)[2..].to_vec(), vec![KEY.to_owned()]].concat();
            for secret in secrets.iter().map(String::as_str).chain(["hush-hush", "mercureAuthorization=", "Bearer ey"])
            {
                let line = log.lines().find(|line| line.contains(secret));
                assert_eq!(line, None, "{secret} is in the log");
            }
        }
    }
}

#[test]
fn what_hostile_peers_send_is_escaped() {
    for format in ["text", "json"] {
        let hub = Logged::start("trace", &["--log-format", format]);
        let id = "X-Request-Id: a\tb{\"";
        for path in [
            "/events/a?x%0A2026-01-01T00:00:00Z%20ERROR%20forged%1B%5B31m%C2%9B31m=1",
            "/events/%0D%0Aforged%1b%7f",
            "/events/a?type=a%0Ab",
            "/%E2%80%AEforged%0a",
            "/events?topic=%7Bx%0A%E2%80%A8%C2%85",
        ] {
            curl(&["-o", "/dev/null", "-d", "x", "-H", id, &hub.hub.url(path)]);
            let url = hub.hub.url(&format!("{path}%0a"));
            // Some of it is a stream, which has no end.
            let arguments = ["-s", "-o", "/dev/null", "--max-time", "0.2", "-H", id, "-H", "Last-Event-ID: \u{9b}31m"];
            let _ = std::process::Command::new("curl").args(arguments).arg(url).status();
        }
        curl(&["-o", "/dev/null", "-H", "X-Request-Id: last", &hub.hub.url("/nothing")]);
        hub.until(&["last", "404"]);
        check_form(&hub.log(), format);
    }
}

#[test]
fn refusals_are_said_and_all_else_for_whoever_looks() {
    for format in ["text", "json"] {
        let quiet = Logged::start("info", &["--log-format", format]);
        curl(&["-d", "x", "-H", "X-Request-Id: fine", &quiet.hub.url("/events/a")]);
        curl(&["-o", "/dev/null", "-H", "X-Request-Id: mine", &quiet.hub.url("/nothing?secret")]);
        let line = quiet.until(&["refused", "mine", "GET", "/nothing", "404", "127.0.0.1:", "there is nothing at"]);
        assert!(!line.contains("secret"), "{line}");
        let log = quiet.log();
        assert!(!log.contains("fine"), "{log}");

        let debug = Logged::start("debug", &["--log-format", format]);
        let mut follower = Curl::follow(&debug.hub.url("/events/a"), &["-H", "X-Request-Id: stream-1"]);
        follower.until(|line| line == ":");
        let general = ["-H", "X-Request-Id: stream-2", "-H", "Connection: close"];
        let mut other = Curl::follow(&debug.hub.url("/events/a"), &general);
        other.until(|line| line == ":");
        curl(&["-d", "x", "-H", "X-Request-Id: fine", &debug.hub.url("/events/a")]);
        debug.until(&["answered", "fine", "POST", "/events/a", "200", "duration_us", "bytes", "127.0.0.1:"]);
        debug.until(&["answered", "stream-1", "GET", "200"]);
        drop((follower, other));
        for stream in ["stream-1", "stream-2"] {
            debug.until(&["a stream has ended", stream, "client", "duration_s"]);
        }
    }
}
