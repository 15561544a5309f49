//! TLS and HTTP/2, with real curl at the other end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use crate::running::{Curl, Hub, PATIENCE, curl, fanfare, run};

/// A certificate for 127.0.0.1 and its key, in files.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.renew();
        files
    }

    /// Puts another certificate in their place.
    fn renew(&self) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(self.certificate(), cert.pem()).unwrap();
        fs::write(self.key(), signing_key.serialize_pem()).unwrap();
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn serve(&self) -> Command {
        let mut command = fanfare(&["serve", "--memory", "--listen", "127.0.0.1:0"]);
        command.arg("--tls-cert").arg(self.certificate()).arg("--tls-key").arg(self.key());
        command.stderr(File::create(self.log()).unwrap());
        command
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_protocol_brings_the_same_events() {
    let files = Files::new();
    let hub = Hub::spawn(&mut files.serve());
    assert!(hub.greeting.contains(&format!("listens on https://{}", hub.address)), "{}", hub.greeting);
    let certificate = files.certificate();
    let trusting = ["--cacert", text(&certificate)];
    for (arguments, version) in [
        (&["--http2"][..], "2"),
        (&["--http1.1"], "1.1"),
        (&["--http2", "--tls-max", "1.2"], "2"),
        (&["--http1.1", "--tls-max", "1.2"], "1.1"),
    ] {
        let (url, arguments) = (hub.url("/events/a"), [&trusting, arguments].concat());
        let mut follower = Curl::follow(&url, &arguments);
        follower.until(|line| line == ":");
        let publish = [&arguments[..], &["-w", " %{http_version}", "-d", "hello", &url]].concat();
        let answer = curl(&publish);
        let (id, spoken) = answer.split_once(' ').unwrap();
        assert_eq!(spoken, version, "{arguments:?}");
        let seen = follower.until(|line| line == "data: hello");
        assert!(seen.contains(&format!("id: {}", id.trim())), "{seen:?}");
    }
}

#[test]
fn streams_end_cleanly_when_the_hub_stops() {
    let files = Files::new();
    let certificate = files.certificate();
    for protocol in ["--http2", "--http1.1"] {
        let mut hub = Hub::spawn(files.serve().args(["--drain", "10ms"]));
        let arguments = ["--cacert", text(&certificate), protocol];
        // After another request on the same connection.
        let mut follower = Curl::follow(&hub.url("/events/a"), &[&arguments[..], &[&hub.url("/health/live")]].concat());
        follower.until(|line| line == ":");
        curl(&[&arguments[..], &["-d", "acknowledged", &hub.url("/events/a")]].concat());
        hub.signal("TERM");
        follower.until(|line| line == "data: acknowledged");
        assert!(follower.ended().success(), "{protocol}");
        assert_eq!(hub.ended().code(), Some(0));
    }
}

#[test]
fn http2_is_spoken_without_tls_by_prior_knowledge() {
    let hub = Hub::start(&["serve", "--memory"]);
    let mut follower = Curl::follow(&hub.url("/events/a"), &["--http2-prior-knowledge"]);
    follower.until(|line| line == ":");
    let version = ["--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_version}"];
    assert_eq!(curl(&[&version[..], &["-d", "hello", &hub.url("/events/a")]].concat()), "2");
    follower.until(|line| line == "data: hello");
}

#[test]
fn plain_http_where_tls_is_spoken_is_told_so() {
    let files = Files::new();
    let hub = Hub::spawn(&mut files.serve());
    let answer = curl(&["-i", &hub.url("/events").replacen("https", "http", 1)]);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("take https://.\n"), "{answer}");
}

#[test]
fn a_signal_has_the_certificate_read_again_and_a_bad_one_is_refused() {
    let files = Files::new();
    let hub = Hub::spawn(&mut files.serve());
    let old = files.folder.path().join("old.pem");
    fs::copy(files.certificate(), &old).unwrap();
    let status = |certificate: &Path| curl_status(&hub.url("/health/live"), certificate);
    let mut follower = Curl::follow(&hub.url("/events/a"), &["--cacert", text(&old)]);
    follower.until(|line| line == ":");

    fs::write(files.key(), "no key at all").unwrap();
    hub.signal("HUP");
    wait_for(&files.log(), "the old certificate stays");
    wait_for(&files.log(), "key.pem: there is no key in it");
    assert_eq!(status(&old), "200");

    files.renew();
    hub.signal("HUP");
    wait_for(&files.log(), "was read again");
    assert_eq!(status(&files.certificate()), "200");
    assert_eq!(status(&old), "000", "it is not shown any more");
    curl(&["--cacert", text(&files.certificate()), "-d", "still here", &hub.url("/events/a")]);
    follower.until(|line| line == "data: still here");
}

/// What curl was answered, `000` if it did not trust what it was shown.
fn curl_status(url: &str, certificate: &Path) -> String {
    let mut command = Command::new("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "60", "--cacert"]);
    let output = command.arg(certificate).arg(url).output().expect("curl is installed by scripts/test");
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until the log says so.
fn wait_for(log: &Path, line: &str) {
    let start = std::time::Instant::now();
    while !fs::read_to_string(log).unwrap().contains(line) {
        assert!(start.elapsed() < PATIENCE, "{line:?} is not in the log: {}", fs::read_to_string(log).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn what_can_not_be_shown_is_said_at_the_start() {
    let (files, others) = (Files::new(), Files::new());
    let (certificate, key, other) = (files.certificate(), files.key(), others.key());
    let (certificate, key, other) = (text(&certificate), text(&key), text(&other));
    let table: [(&[&str], &str); 6] = [
        (&["--tls-cert", certificate], "add --tls-key"),
        (&["--tls-key", key], "add --tls-cert"),
        (&["--tls-cert", "/nowhere.pem", "--tls-key", key], "--tls-cert /nowhere.pem"),
        (&["--tls-cert", certificate, "--tls-key", "/nowhere.pem"], "--tls-key /nowhere.pem"),
        (&["--tls-cert", key, "--tls-key", key], "there is no certificate in it"),
        (&["--tls-cert", certificate, "--tls-key", other], "does not belong to the certificate"),
    ];
    for (arguments, reason) in table {
        let ended = run(&mut fanfare(&[&["serve", "--memory", "--listen", "127.0.0.1:0"], arguments].concat()), b"");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(reason), "{arguments:?} {ended:?}");
    }
}

/// The PROXY protocol comes before TLS, and is believed of nobody but a trusted proxy.
#[test]
fn a_trusted_proxy_says_first_for_whom_it_is() {
    let files = Files::new();
    let certificate = files.certificate();
    let arguments = |url: &str| ["--haproxy-protocol", "--cacert", text(&certificate), url].map(str::to_owned);
    let hub = Hub::spawn(files.serve().args(["--trusted-proxy", "127.0.0.0/8"]));
    for version in ["--http2", "--http1.1"] {
        let arguments = arguments(&hub.url("/health/live"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain([version]).collect();
        assert_eq!(curl(&arguments), "live\n");
    }
    assert_eq!(curl(&["--cacert", text(&certificate), &hub.url("/health/live")]), "live\n", "the header may be absent");
    let strict = Hub::spawn(&mut files.serve());
    let output =
        Command::new("curl").args(["-sS", "--max-time", "60"]).args(arguments(&strict.url("/health/live"))).output();
    assert!(!output.unwrap().status.success());
}
