//! `fanfare serve`: the greeting, the configuration, the end.

use std::io::Write;
use std::process::Command;

use crate::running::{Curl, Hub, curl, fanfare, run};

#[test]
fn the_greeting_names_what_works_when_it_is_pasted() {
    let hub = Hub::start(&["serve", "--memory"]);
    let lines: Vec<&str> = hub.greeting.lines().collect();
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["page", &hub.url("/")]);
    let command = |line: &str| line.trim_start().split_once("  ").unwrap().1.trim().to_owned();
    let subscribe = command(lines[2]).replacen("curl ", "", 1);
    let mut follower = Curl::follow(subscribe.trim_start_matches("-N "), &[]);
    follower.until(|line| line == ":");
    let id = Command::new("sh").args(["-c", &format!("{} -sS", command(lines[3]))]).output().unwrap().stdout;
    let seen = follower.until(|line| line == "data: Hello");
    assert!(seen.contains(&format!("id: {}", String::from_utf8(id).unwrap())), "{seen:?}");
}

#[test]
fn a_signal_ends_it_after_what_was_acknowledged() {
    for signal in ["TERM", "INT"] {
        let mut hub = Hub::start(&["serve", "--memory", "--drain", "10ms"]);
        let mut follower = Curl::follow(&hub.url("/events/a"), &[]);
        follower.until(|line| line == ":");
        curl(&["-d", "acknowledged", &hub.url("/events/a")]);
        hub.signal(signal);
        follower.until(|line| line == "data: acknowledged");
        assert_eq!(hub.ended().code(), Some(0));
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut hub = Hub::start(&["serve", "--memory", "--drain", "1d"]);
    let mut follower = Curl::follow(&hub.url("/events/a"), &["--stderr", "/dev/null"]);
    follower.until(|line| line == ":");
    hub.signal("TERM");
    assert!((0..1000).any(|_| curl(&[&hub.url("/health/ready")]).contains("stopping")));
    hub.signal("TERM");
    assert_eq!(hub.ended().code(), Some(130));
}

#[test]
fn a_reload_without_a_certificate_is_no_end() {
    let hub = Hub::start(&["serve", "--memory"]);
    hub.signal("HUP");
    let mut follower = Curl::follow(&hub.url("/events/a"), &[]);
    follower.until(|line| line == ":");
    hub.signal("HUP");
    curl(&["-d", "x", &hub.url("/events/a")]);
    follower.until(|line| line == "data: x");
}

#[test]
fn health_is_ready_until_it_stops() {
    let mut hub = Hub::start(&["serve", "--memory", "--drain", "1d"]);
    let health = |arguments: &[&str]| run(fanfare(&["health"]).args(arguments), b"");
    let (url, live) = (hub.url(""), hub.url("/"));
    assert_eq!((health(&[&url]).code, health(&[&url]).stdout.as_str()), (Some(0), "ready\n"));
    assert_eq!(health(&["--live", &live]).stdout, "live\n");
    let mut follower = Curl::follow(&hub.url("/events/a"), &["--stderr", "/dev/null"]);
    follower.until(|line| line == ":");
    hub.signal("TERM");
    assert!((0..1000).any(|_| health(&[&url]).code == Some(1)));
    let ended = health(&[&url]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("the hub is stopping"), "{ended:?}");
    hub.signal("TERM");
    assert_eq!(hub.ended().code(), Some(130));
    assert_eq!(health(&[&url]).code, Some(4));
    assert_eq!(health(&["ftp://h"]).code, Some(2));
}

#[test]
fn several_addresses_are_one_hub() {
    let hub = Hub::start(&["serve", "--memory", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    let second = hub.greeting.lines().nth(1).unwrap().rsplit("http://").next().unwrap().to_owned();
    let mut follower = Curl::follow(&hub.url("/events/a"), &[]);
    follower.until(|line| line == ":");
    curl(&["-d", "x", &format!("http://{second}/events/a")]);
    follower.until(|line| line == "data: x");
}

#[test]
fn what_can_not_be_is_said() {
    let taken = Hub::start(&["serve", "--memory"]);
    let address = taken.address.to_string();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "hearbeat = '5s'").unwrap();
    let path = file.path().to_str().unwrap();
    let table: [(&[&str], i32, &str); 8] = [
        (&["serve", "--listen", &address], 1, "is another program there?"),
        (&["serve", "--listen", "0.0.0.0:0"], 2, "without a publisher key"),
        (&["serve", "--listen", "localhost"], 2, "localhost"),
        (&["serve", "--heartbeat", "soon"], 2, "ms, s, m, h, d"),
        (&["serve", "--memory", "--heartbeat", "0", "--listen", "127.0.0.1:0"], 2, "longer than zero"),
        (&["serve", "--cors-origin", "example.com"], 2, "is not an origin"),
        (&["serve", "--config", path], 2, "hearbeat"),
        (&["serve", "--config", "/nowhere.toml"], 2, "/nowhere.toml"),
    ];
    for (arguments, code, reason) in table {
        let ended = run(&mut fanfare(arguments), b"");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(reason), "{arguments:?} {ended:?}");
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "memory = true\nlisten = ['127.0.0.1:1']\nmax_body = 3\nmax_topics = 1").unwrap();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--config", file.path().to_str().unwrap()]);
    let hub = Hub::spawn(command.env("FANFARE_MAX_BODY", "5").env("FANFARE_LISTEN", "127.0.0.1:2"));
    let status = |arguments: &[&str]| curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat());
    assert_eq!(status(&["-d", "12345", &hub.url("/events/a")]), "200");
    assert_eq!(status(&["-d", "123456", &hub.url("/events/a")]), "413");
    assert_eq!(status(&[&hub.url("/events?topic=a&topic=b")]), "400");
}

#[test]
fn completions_and_a_reader_that_goes_away() {
    let ended = run(&mut fanfare(&["completions", "bash"]), b"");
    assert!(ended.code == Some(0) && ended.stdout.contains("--retain-count"), "{}", ended.stderr);
    let binary = env!("CARGO_BIN_EXE_fanfare");
    let script = format!("set -o pipefail; for i in 1 2 3 4 5; do '{binary}' completions zsh; done | head -n 1");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{output:?}");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(fanfare(&["man"]).arg(folder.path()), b"").code, Some(0));
    let page = std::fs::read_to_string(folder.path().join("fanfare-serve.1")).unwrap();
    assert!(page.contains("retain\\-count"), "{page}");
    let version = run(&mut fanfare(&["--version"]), b"");
    assert_eq!(version.stdout, format!("fanfare {}\n", env!("CARGO_PKG_VERSION")));
}
