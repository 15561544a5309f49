//! `fanfare bench`: against a hub, and against servers that lose, double and reorder.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::running::{Ended, Hub, fanfare, run};
use crate::token::{KEY, file, made};

/// Small and short, and without a warm-up.
fn bench(url: &str, arguments: &[&str]) -> Ended {
    let load = ["--subscribers", "20", "--topics", "2", "--rate", "20", "--duration", "1s"];
    let mut command = fanfare(&["bench", url]);
    command.args(load);
    if !arguments.contains(&"--warm-up") {
        command.args(["--warm-up", "0"]);
    }
    run(command.args(arguments), b"")
}

fn figures(ended: &Ended) -> Value {
    assert_eq!(ended.stdout.lines().count(), 1, "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

/// Each subscriber has a grant of its own, and every second event needs one.
#[test]
fn subscribers_take_the_tokens_of_a_file_in_turn() {
    let hub = Hub::start(&["serve", "--memory", "--publisher-key", KEY]);
    let token = |kind: &str, selector: &str| made(&[kind, selector, "--key", KEY]);
    let publisher = token("--publish", "*");
    let own =
        |allowed: &str| (0..5).map(|n| token("--subscribe", &format!("{allowed}/{{{n}}}")) + "\n").collect::<String>();
    let load = |tokens: &str| {
        let (_file, path) = file(tokens);
        let path = path.trim_start_matches('@').to_owned();
        bench(&hub.url(""), &["--json", "--publish-token", &publisher, "--token-file", &path, "--private", "50"])
    };
    let figures = |ended: &Ended| ["delivered", "lost"].map(|name| figures(ended)[name].as_u64().unwrap());
    let all = load(&own("bench"));
    assert_eq!((all.code, figures(&all)), (Some(0), [200, 0]), "{all:?}");
    let public_alone = load(&own("elsewhere"));
    assert_eq!((public_alone.code, figures(&public_alone)), (Some(5), [100, 100]), "{public_alone:?}");
    assert_eq!(load("\n").code, Some(2), "a line is empty");
}

#[test]
fn the_object_for_scripts_adds_up() {
    let hub = Hub::start(&["serve", "--memory"]);
    let pid = hub.id().to_string();
    let ended = bench(&hub.url(""), &["--json", "--server-pid", &pid]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let figures = figures(&ended);
    let names: Vec<&str> = ended.stdout.split('"').skip(1).step_by(2).collect();
    let promised = [
        "subscribers",
        "connect_per_s",
        "published",
        "delivered",
        "lost",
        "duplicated",
        "reordered",
        "deliveries_per_s",
        "latency_us",
        "p50",
        "p99",
        "p999",
        "max",
        "server",
        "cpu_us_per_delivery",
        "pss_bytes_per_subscriber",
    ];
    assert_eq!(names, promised);
    let counts =
        ["subscribers", "published", "delivered", "lost", "duplicated", "reordered"].map(|name| &figures[name]);
    // Ten subscribers of each topic, and every event on one topic.
    assert_eq!(counts, [20, 20, 200, 0, 0, 0]);
    for name in ["connect_per_s", "deliveries_per_s"] {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{figures}");
    }
    let latency = ["p50", "p99", "p999", "max"].map(|name| figures["latency_us"][name].as_u64().unwrap());
    assert!(latency.is_sorted() && latency[0] > 0, "{figures}");
    assert!(figures["server"]["cpu_us_per_delivery"].as_f64().is_some_and(|us| us > 0.0), "{figures}");
    assert!(figures["server"]["pss_bytes_per_subscriber"].is_number(), "{figures}");
}

#[test]
fn the_warm_up_counts_and_slow_subscribers_do_not() {
    let hub = Hub::start(&["serve", "--memory"]);
    let ended = bench(&hub.url("/"), &["--json", "--slow", "20", "--warm-up", "500ms", "--size", "1KiB"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let figures = figures(&ended);
    // 20 in a second and 10 in the half before it, each to 8 of 10.
    let counts = ["subscribers", "published", "delivered", "lost", "server"].map(|name| &figures[name]);
    assert_eq!(counts, [&json!(20), &json!(30), &json!(240), &json!(0), &Value::Null]);
}

#[test]
fn with_events_in_flight_all_of_them_come() {
    let hub = Hub::start(&["serve", "--memory"]);
    let arguments = [
        "bench",
        &hub.url(""),
        "--json",
        "--subscribers",
        "20",
        "--topics",
        "2",
        "--in-flight",
        "3",
        "--duration",
        "300ms",
    ];
    let ended = run(&mut fanfare(&arguments), b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let figures = figures(&ended);
    let published = figures["published"].as_u64().unwrap();
    assert!(published > 3, "{figures}");
    assert_eq!(figures["delivered"], published * 10);
}

#[test]
fn people_get_text_and_a_picture() {
    let hub = Hub::start(&["serve", "--memory"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("load.svg");
    let ended = bench(&hub.url(""), &["--plot", path.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in ["20 subscribers, 2 topics, 20 events/s of 100 bytes, 1 s", "delivered", "latency p50", "p99.9", "lost"]
    {
        assert!(ended.stdout.contains(line), "{}", ended.stdout);
    }
    let svg = std::fs::read_to_string(path).unwrap();
    assert_well_formed(&svg);
    for text in ["Latency", "Deliveries per second", "p50 ", "max ", "20 subscribers", "0 s"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
}

#[test]
fn a_server_that_loses_doubles_or_reorders_is_found_out() {
    // What each of the ten subscribers of a topic receives of its ten events.
    let table: [(Fault, [u64; 4]); 5] = [
        (Fault::None, [200, 0, 0, 0]),
        (Fault::Lose, [180, 20, 0, 0]),
        (Fault::Double, [200, 0, 20, 0]),
        (Fault::Swap, [200, 0, 0, 20]),
        (Fault::End, [60, 140, 0, 0]),
    ];
    for (fault, expected) in table {
        let address = scripted(fault);
        let ended = bench(&format!("http://{address}/nested"), &["--json", "--drain", "100ms"]);
        let code = if expected[1..] == [0, 0, 0] { 0 } else { 5 };
        assert_eq!(ended.code, Some(code), "{fault:?} {ended:?}");
        let figures = figures(&ended);
        let counts = ["delivered", "lost", "duplicated", "reordered"].map(|name| figures[name].as_u64().unwrap());
        assert_eq!(counts, expected, "{fault:?} {ended:?}");
        assert_eq!(figures["published"], 20, "{fault:?}");
        assert_eq!(ended.stderr.contains("20 streams ended early"), fault == Fault::End, "{fault:?} {ended:?}");
    }
}

#[test]
fn a_gap_and_a_wrong_topic_are_named() {
    let ended = bench(&format!("{}", scripted(Fault::Gap)), &[]);
    assert!(ended.stderr.contains("told subscribers 20 times"), "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = bench(&format!("{}", scripted(Fault::Leak)), &[]);
    assert!(ended.stderr.contains("reached subscribers of another topic"), "{ended:?}");
    assert_eq!(ended.code, Some(5), "{ended:?}");
}

#[test]
fn what_goes_wrong_is_said_with_what_to_do() {
    let hub = Hub::start(&["serve", "--memory", "--max-body", "2KB"]);
    let (here, full) = (hub.url(""), Hub::start(&["serve", "--memory", "--max-connections", "15"]));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let table: [(&[&str], i32, &str); 12] = [
        (&[], 2, "<URL>"),
        (&["https://localhost"], 2, "plain http"),
        (&["ftp://localhost"], 2, "http://127.0.0.1:3000"),
        (&[&here, "--size", "35"], 2, "36"),
        (&[&here, "--slow", "101"], 2, "0 to 100"),
        (&[&here, "--rate", "0"], 2, "above 0"),
        (&[&here, "--rate", "1", "--in-flight", "1"], 2, "--in-flight"),
        (&[&here, "--server-pid", "4294967295"], 2, "--server-pid"),
        (&[&here, "--plot", "/nowhere/plot.svg"], 2, "/nowhere/plot.svg"),
        (&[&full.url(""), "--subscribers", "30"], 3, "fewer --subscribers"),
        (&[&format!("{here}/nowhere"), "--subscribers", "1"], 3, "404"),
        (&[&nobody], 4, "is it running?"),
    ];
    for (arguments, code, reason) in table {
        let ended = run(fanfare(&["bench"]).args(arguments), b"");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(reason), "{arguments:?} {ended:?}");
    }
    // What there is so far is reported, and then why there is no more.
    let ended = bench(&here, &["--size", "4KB", "--json"]);
    assert_eq!((ended.code, &figures(&ended)["published"]), (Some(3), &json!(0)), "{ended:?}");
    assert!(ended.stderr.contains("smaller --size"), "{ended:?}");
}

#[test]
fn the_limit_on_open_files_is_raised_or_named() {
    let hub = Hub::start(&["serve", "--memory"]);
    let with_limits = |limits: &str| {
        let load = ["bench", &hub.url(""), "--subscribers", "20", "--duration", "100ms", "--warm-up", "0"];
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limits} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_fanfare")]).args(load);
        run(command.stdout(Stdio::piped()).stderr(Stdio::piped()), b"")
    };
    let ended = with_limits("ulimit -Sn 25");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = with_limits("ulimit -Sn 25 && ulimit -Hn 70");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.stderr.contains("ulimit -Hn 84") && ended.stderr.contains("--subscribers 6"), "{ended:?}");
}

#[test]
fn an_interrupt_ends_it_with_the_report_so_far() {
    let hub = Hub::start(&["serve", "--memory"]);
    let arguments =
        ["bench", &hub.url(""), "--subscribers", "5", "--rate", "50", "--duration", "1h", "--warm-up", "0", "--json"];
    let child = fanfare(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut events = crate::running::Curl::follow(&hub.url("/events/bench/0"), &[]);
    events.until(|line| line.starts_with("data: "));
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    let published = figures["published"].as_u64().unwrap();
    assert!(published > 0);
    assert_eq!((&figures["delivered"], &figures["lost"]), (&json!(published * 5), &json!(0)));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stopped early"), "{output:?}");
}

/// What a scripted server does to the ten events of each topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The fourth never arrives.
    Lose,
    /// The fourth arrives twice.
    Double,
    /// The fifth arrives before the fourth.
    Swap,
    /// The stream ends after the third.
    End,
    /// There is a gap event before the fourth, and nothing is missing.
    Gap,
    /// The fourth goes to both topics.
    Leak,
}

/// A server nested at `/nested` or at the root, of `bench` alone.
fn scripted(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Arc::new(Mutex::new(HashMap::<String, Topic>::new()));
    std::thread::spawn(move || {
        for connection in listener.incoming().map(Result::unwrap) {
            let streams = Arc::clone(&streams);
            // It ends with its connection.
            std::thread::spawn(move || serve(connection, &streams, fault));
        }
    });
    address
}

#[derive(Default)]
struct Topic {
    subscribers: Vec<TcpStream>,
    events: usize,
    held: Option<String>,
}

/// Answers requests until the peer closes, or is a subscriber.
fn serve(connection: TcpStream, topics: &Mutex<HashMap<String, Topic>>, fault: Fault) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut connection = connection;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().trim_start_matches("/nested");
        if let Some(topic) = path.strip_prefix("/events/") {
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:\n\n";
            connection.write_all(answer.as_bytes()).unwrap();
            topics.lock().unwrap().entry(topic.to_owned()).or_default().subscribers.push(connection);
            return;
        }
        assert!(head.starts_with("POST ") && path == "/events", "{head}");
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap()];
        reader.read_exact(&mut body).unwrap();
        let mut topics = topics.lock().unwrap();
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            let block = format!("data: {}\n\n", line["data"].as_str().unwrap());
            publish(&mut topics, line["topic"].as_str().unwrap(), block, fault);
        }
        drop(topics);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nid\n").unwrap();
    }
}

fn publish(topics: &mut HashMap<String, Topic>, name: &str, block: String, fault: Fault) {
    let topic = topics.get_mut(name).unwrap();
    topic.events += 1;
    let blocks = match (fault, topic.events) {
        (Fault::Lose, 4) => String::new(),
        (Fault::Double, 4) => block.repeat(2),
        (Fault::Swap, 4) => {
            topic.held = Some(block);
            String::new()
        }
        (Fault::Swap, 5) => block + &topic.held.take().unwrap(),
        (Fault::End, 4) => {
            topic.subscribers.clear();
            String::new()
        }
        (Fault::Gap, 4) => format!("event: fanfare-gap\ndata: {{}}\n\n{block}"),
        (Fault::Leak, 4) => {
            topics.values_mut().flat_map(|topic| &mut topic.subscribers).for_each(|subscriber| {
                subscriber.write_all(block.as_bytes()).unwrap();
            });
            return;
        }
        _ => block,
    };
    for subscriber in &mut topic.subscribers {
        subscriber.write_all(blocks.as_bytes()).unwrap();
    }
}

/// That every tag is closed in its turn, every `&` begins an entity and no `<` stands in text: what a parser of XML would refuse.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    let mut rest = xml;
    while let Some((text, after)) = rest.split_once('<') {
        assert!(!text.contains('>'), "{text}");
        let entities = text.split('&').skip(1);
        entities
            .for_each(|entity| assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|name| entity.starts_with(name))));
        let (tag, next) = after.split_once('>').expect("a tag ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = next;
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
}
