//! `--compression on`, with real curl and our own client at the other end.

use crate::running::{Curl, Hub, curl, fanfare, run};

const EVENTS: usize = 40;

fn data(n: usize) -> String {
    format!("{{\"event\":{n},\"text\":\"the same in all of them\"}}")
}

fn hub_with_history() -> Hub {
    let hub = Hub::start(&["serve", "--memory", "--compression", "on"]);
    for n in 0..EVENTS {
        curl(&["-d", &data(n), &hub.url("/events/a")]);
    }
    hub
}

#[test]
fn curl_decodes_history_and_what_comes_after_it() {
    let hub = hub_with_history();
    let (http1, http2) = ("--http1.1", "--http2-prior-knowledge");
    for (protocol, coding) in [(http1, "zstd"), (http1, "br"), (http1, "gzip"), (http2, "zstd"), (http2, "br")] {
        let accepts = format!("Accept-Encoding: {coding}");
        let arguments = [protocol, "-i", "--compressed", "-H", &accepts, "-H", "Last-Event-ID: earliest"];
        let mut follower = Curl::follow(&hub.url("/events/a"), &arguments);
        let head = follower.until(|line| line == ":");
        assert!(head.iter().any(|line| line.trim() == format!("content-encoding: {coding}")), "{head:?}");
        for n in 0..EVENTS {
            follower.until(|line| line == format!("data: {}", data(n)));
        }
        for n in 0..5 {
            let live = format!("live {protocol} {coding} {n}");
            curl(&["-d", &live, &hub.url("/events/b")]);
            curl(&["-d", &live, &hub.url("/events/a")]);
            follower.until(|line| line == format!("data: {live}"));
        }
    }
}

#[test]
fn our_own_client_decodes_both() {
    let hub = hub_with_history();
    let expected: String = (0..EVENTS).map(|n| data(n) + "\n").collect();
    for coding in ["zstd", "gzip", "identity"] {
        let accepts = format!("Accept-Encoding: {coding}");
        let arguments = ["-H", &accepts, "--last-event-id", "earliest", "-o", "data"];
        let count = EVENTS.to_string();
        let ended = run(fanfare(&["subscribe", &hub.url("/events/a"), "-n", &count]).args(arguments), b"");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), expected.as_str()), "{coding}: {}", ended.stderr);
    }
}

#[test]
fn a_publish_in_a_coding_is_refused() {
    let hub = Hub::start(&["serve", "--memory"]);
    let status = |coding: &str| {
        let header = format!("Content-Encoding: {coding}");
        curl(&["-o", "/dev/null", "-w", "%{http_code}", "-H", &header, "-d", "x", &hub.url("/events/a")])
    };
    assert_eq!(["gzip", "zstd", "identity", "Identity"].map(status), ["415", "415", "200", "200"]);
}
