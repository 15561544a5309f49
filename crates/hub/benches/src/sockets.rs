//! The same for the shards, whose subscribers have sockets: ten topics a connection, since a process may open so many
//! files only.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::matching::Random;
use crate::median;
use crate::process::{self, Server};

const CONNECTIONS: [usize; 3] = [100, 1_000, 9_000];
const TOPICS: usize = 10;
const TEMPLATES: usize = 1_000;
/// Of one subscription.
const TEMPLATES_AT_ONCE: usize = 100;
const UPDATES: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(60);

pub fn matching(rounds: usize) {
    println!("\nShards: connections over loopback, {TOPICS} topics each.\n");
    println!("| exact topics | connections | CPU µs an update to one | wall µs | bytes a connection |");
    println!("|---:|---:|---:|---:|---:|");
    let mut crowds: Vec<_> = CONNECTIONS.map(Crowd::gather).into();
    // Not before the servers are started, which stay on the other processor.
    process::stay_on(1);
    let mut runs = vec![Vec::new(); crowds.len()];
    for round in 0..rounds {
        for turn in 0..crowds.len() {
            let at = (turn + round) % crowds.len();
            runs[at].push(crowds[at].run());
        }
    }
    for (crowd, runs) in crowds.iter().zip(&runs) {
        let of = |pick: fn(&(Duration, Duration)) -> Duration| {
            median(runs.iter().map(|run| pick(run).as_secs_f64() * 1e6 / UPDATES as f64))
        };
        let connections = crowd.members.len();
        println!(
            "| {} | {connections} | {:.2} | {:.2} | {:.0} |",
            connections * TOPICS,
            of(|run| run.0),
            of(|run| run.1),
            crowd.bytes_per_connection,
        );
    }
}

/// A server and those who are subscribed to it.
struct Crowd {
    server: Server,
    publisher: TcpStream,
    members: Vec<TcpStream>,
    _others: Vec<TcpStream>,
    bytes_per_connection: f64,
    published: usize,
}

impl Crowd {
    fn gather(connections: usize) -> Self {
        let program = std::env::current_exe().expect("a program has a path");
        let server = Server::start(&program, &["hub", "plain"], "");
        let connect = |topics: &mut dyn Iterator<Item = String>| {
            let query: Vec<_> = topics.map(|topic| format!("topic={topic}")).collect();
            let mut stream = TcpStream::connect(&server.address).expect("the server accepts");
            stream.set_nodelay(true).expect("a socket");
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            let head = format!("GET /events?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", query.join("&"));
            stream.write_all(head.as_bytes()).expect("it reads");
            read_while(&mut stream, |text| !text.ends_with("\n\n\r\n"));
            stream
        };
        let template = |n: usize| format!("https://example.com/rooms/{n}/%7B%2Bany%7D");
        let others: Vec<_> = (0..TEMPLATES / TEMPLATES_AT_ONCE)
            .map(|n| connect(&mut (n * TEMPLATES_AT_ONCE..(n + 1) * TEMPLATES_AT_ONCE).map(template)))
            .collect();
        let before = server.memory_bytes();
        let members: Vec<_> =
            (0..connections).map(|n| connect(&mut (n * TOPICS..(n + 1) * TOPICS).map(topic))).collect();
        let bytes_per_connection = (server.memory_bytes() - before) / connections as f64;
        let publisher = TcpStream::connect(&server.address).expect("the server accepts");
        publisher.set_nodelay(true).expect("a socket");
        publisher.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self { server, publisher, members, _others: others, bytes_per_connection, published: 0 }
    }

    /// Publishes, one after the other, on topics at random, and waits until the subscriber has each event. The CPU time
    /// of the server and the time in all.
    fn run(&mut self) -> (Duration, Duration) {
        let mut random = Random(self.published as u64 + 1);
        let (cpu, started) = (self.server.processor_time(), Instant::now());
        for _ in 0..UPDATES {
            self.published += 1;
            let (number, data) = (random.below(self.members.len() * TOPICS), format!("event {}", self.published));
            let head = format!("POST /events/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ", topic(number));
            let request = format!("{head}{}\r\n\r\n{data}", data.len());
            self.publisher.write_all(request.as_bytes()).expect("it reads");
            let text = read_while(&mut self.members[number / TOPICS], |text| !text.ends_with("\n\n\r\n"));
            // Its stream is read at each of its events, so that one that was lost or not for it would be seen here.
            assert!(text.contains(&format!("data: {data}\n\n")) && text.matches("data:").count() == 1, "{text}");
            let answer = read_while(&mut self.publisher, |text| !is_whole(text));
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        (self.server.processor_time() - cpu, started.elapsed())
    }
}

fn topic(number: usize) -> String {
    format!("user-{number}")
}

/// Whether an answer is there with its body.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    length == Some(body.len())
}

fn read_while(stream: &mut TcpStream, more: impl Fn(&str) -> bool) -> String {
    let (mut text, mut room) = (String::new(), [0; 4096]);
    while more(&text) {
        let length = stream.read(&mut room).expect("it comes in time");
        assert!(length > 0, "the stream ended after {text}");
        text += std::str::from_utf8(&room[..length]).expect("text");
    }
    text
}
