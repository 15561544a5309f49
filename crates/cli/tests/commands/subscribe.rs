//! `fanfare subscribe` against a hub, and against what is none.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::running::{Hub, curl, fanfare, run};

fn publish(hub: &Hub, count: usize) -> Vec<String> {
    (1..=count).map(|n| curl(&["-d", &format!("event {n}"), &hub.url("/events/a")])).collect()
}

#[test]
fn events_are_printed_as_they_are_asked_for() {
    let hub = Hub::start(&["serve", "--memory"]);
    let ids = publish(&hub, 2);
    let all = ["--last-event-id", "earliest", "-n", "2"];
    let subscribe = |path: &str, output: &str| {
        let ended = run(fanfare(&["subscribe", &hub.url(path), "-o", output]).args(all), b"");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    assert_eq!(subscribe("/events/a", "data"), "event 1\nevent 2\n");
    let text = subscribe("/events/a", "text");
    assert!(text.contains("event 1") && text.contains(&ids[0]), "{text}");
    let json = subscribe("/events/a", "json");
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], serde_json::json!({ "kind": "open", "url": hub.url("/events/a"), "status": 200 }));
    let event = |n: usize| serde_json::json!({ "kind": "event", "event": "message", "data": format!("event {n}"), "id": ids[n - 1], "origin": hub.url("") });
    assert_eq!(lines[1..], [event(1), event(2)]);
}

#[test]
fn a_topic_is_added_and_a_bare_hub_means_its_events() {
    let hub = Hub::start(&["serve", "--memory"]);
    publish(&hub, 1);
    curl(&["-d", "other", &hub.url("/events/b/1")]);
    let arguments = ["--topic", "b/{n}", "--last-event-id", "earliest", "-n", "1", "-o", "data"];
    let ended = run(fanfare(&["subscribe", &hub.url("")]).args(arguments), b"");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "other\n"), "{}", ended.stderr);
}

#[test]
fn a_resume_file_goes_on_where_the_last_run_ended() {
    let hub = Hub::start(&["serve", "--memory"]);
    publish(&hub, 4);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last-id");
    let next_two = || {
        let arguments =
            ["--last-event-id", "earliest", "-n", "2", "-o", "data", "--resume-file", file.to_str().unwrap()];
        run(fanfare(&["subscribe", &hub.url("/events/a")]).args(arguments), b"").stdout
    };
    assert_eq!(next_two(), "event 1\nevent 2\n");
    assert_eq!(next_two(), "event 3\nevent 4\n");
}

#[test]
fn exit_codes_tell_why_it_ended() {
    let hub = Hub::start(&["serve", "--memory"]);
    curl(&["-d", "[DONE]", &hub.url("/events/a")]);
    let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let (stream, page) = (hub.url("/events/a"), hub.url("/"));
    let missing = hub.url("/nowhere");
    let table: [(&[&str], i32); 7] = [
        (&[&stream, "--last-event-id", "earliest", "--until", "[DONE]"], 0),
        (&[&stream, "--max-time", "1ms"], 0),
        (&[&stream, "--output", "xml"], 2),
        (&[&missing], 3),
        (&[&page], 3),
        (&[&nobody, "--no-reconnect"], 4),
        (&["http://this is invalid/"], 3),
    ];
    for (arguments, code) in table {
        let ended = run(fanfare(&["subscribe"]).args(arguments), b"");
        assert_eq!(ended.code, Some(code), "{arguments:?} {ended:?}");
    }
}

#[test]
fn it_reconnects_to_a_hub_that_was_restarted_and_sends_its_last_id() {
    let hub = Hub::start(&["serve", "--memory", "--drain", "10ms"]);
    let address = hub.address.to_string();
    let mut follower = fanfare(&["subscribe", &hub.url("/events/a"), "-o", "json"]).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        line
    });
    let mut until = |kind: &str| lines.by_ref().find(|line| line["kind"] == kind).unwrap();
    until("open");
    let id = curl(&["-d", "x", &hub.url("/events/a?retry=100")]);
    assert_eq!(until("event")["id"], id);
    drop(hub);
    assert_eq!(until("error")["state"], "connecting");
    let _again = Hub::start(&["serve", "--memory", "--listen", &address]);
    let gap = until("event");
    assert_eq!(gap["event"], "fanfare-gap");
    let data: serde_json::Value = serde_json::from_str(gap["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["requested"], id);
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn lines_piped_in_come_out_at_the_other_end() {
    let hub = Hub::start(&["serve", "--memory"]);
    let mut publisher = fanfare(&["publish", "log", "--lines", "--hub", &hub.url("")])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut follower =
        fanfare(&["subscribe", &hub.url("/events/log"), "--last-event-id", "earliest", "-o", "data"]).spawn().unwrap();
    let mut printed = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut input = publisher.stdin.take().unwrap();
    // Each line goes through before the next is written: nothing waits for a batch to fill.
    for n in 0..3 {
        writeln!(input, "line {n}").unwrap();
        assert_eq!(printed.next().unwrap().unwrap(), format!("line {n}"));
    }
    drop(input);
    assert!(publisher.wait().unwrap().success());
    follower.kill().unwrap();
    follower.wait().unwrap();
}
