//! `fanfare publish`: one event, or lines as they come.

use std::io::Write;

use crate::running::{Curl, Ended, Hub, fanfare, run};

fn publish(hub: &Hub, arguments: &[&str], input: &[u8]) -> Ended {
    run(fanfare(&["publish"]).args(arguments).args(["--hub", &hub.url("")]), input)
}

fn history(hub: &Hub, last: &str) -> Vec<String> {
    let mut lines = Curl::follow(&hub.url("/events"), &["-H", "Last-Event-ID: earliest"]).until(|line| line == last);
    lines.retain(|line| line != ":" && !line.is_empty());
    lines
}

#[test]
fn one_event_is_published_and_its_id_printed() {
    let hub = Hub::start(&["serve", "--memory"]);
    let ended = publish(&hub, &["a/b", "c", "-d", "x\ny", "--type", "t", "--retry", "5", "--private"], b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let id = ended.stdout.trim_end();
    let ended = publish(&hub, &["c", "--id", "mine"], b"");
    assert_eq!(ended.stdout, "mine\n");
    let id_line = format!("id: {id}");
    let expected = [&id_line, "event: t", "retry: 5", "data: x", "data: y", "id: mine", "data: "];
    assert_eq!(history(&hub, "data: "), expected);
}

#[test]
fn data_is_read_from_where_it_is_said_to_be() {
    let hub = Hub::start(&["serve", "--memory"]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "from a file").unwrap();
    let path = format!("@{}", file.path().display());
    assert_eq!(publish(&hub, &["a", "-d", &path], b"").code, Some(0));
    assert_eq!(publish(&hub, &["a", "-d", "@-"], "from input".as_bytes()).code, Some(0));
    let seen = history(&hub, "data: from input");
    assert!(seen.contains(&"data: from a file".to_owned()), "{seen:?}");
    let ended = publish(&hub, &["a", "-d", "@-"], b"\xFF");
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn each_line_is_an_event_in_order() {
    let hub = Hub::start(&["serve", "--memory"]);
    let lines: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
    let ended = publish(&hub, &["log", "--lines", "--type", "line"], lines.as_bytes());
    assert_eq!((ended.code, ended.stderr.as_str(), ended.stdout.lines().count()), (Some(0), "", 10_000));
    let seen = history(&hub, "data: line 9999");
    let numbers: Vec<usize> = seen.iter().filter_map(|line| line.strip_prefix("data: line ")?.parse().ok()).collect();
    assert_eq!(numbers, (0..10_000).collect::<Vec<_>>());
    let ids: Vec<&str> = seen.iter().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ended.stdout.lines().collect::<Vec<_>>());
}

#[test]
fn what_goes_wrong_is_said_with_an_exit_code() {
    let hub = Hub::start(&["serve", "--memory"]);
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let here = hub.url("");
    let table: [(&[&str], i32, &str); 7] = [
        (&["publish"], 2, "TOPIC"),
        (&["publish", "a", "--lines", "-d", "x"], 2, "--lines"),
        (&["publish", "a", "--hub", "mailto:x"], 2, "mailto:x"),
        (&["publish", "a", "--hub", &here, "--id", "earliest"], 3, "`earliest`"),
        (&["publish", "/.well-known/mercure", "--hub", &here], 3, "namespace"),
        (&["publish", "a", "--hub", &nobody], 4, "is it running?"),
        (&["publish", "a", "--hub", &here, "-d", "@/nowhere"], 1, "/nowhere"),
    ];
    for (arguments, code, reason) in table {
        let ended = run(&mut fanfare(arguments), b"");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(reason), "{arguments:?} {ended:?}");
    }
    let ended = publish(&hub, &["a", "--lines"], &[b"fits\n".to_vec(), vec![b'x'; 600 << 10]].concat());
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(2), 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("stopped after 1 events: line 2 is longer"), "{}", ended.stderr);
}
