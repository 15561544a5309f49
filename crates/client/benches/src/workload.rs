//! What is streamed: the tokens of a language model, of about 200 bytes each.

/// A stream as it goes over the wire, in a unit that is sent over and over.
pub struct Workload {
    pub name: &'static str,
    /// Its path on the server.
    pub path: &'static str,
    pub head: &'static str,
    /// How one event is framed.
    frame: fn(&str) -> String,
    /// What ends the body.
    pub end: &'static str,
}

pub const WORKLOADS: [Workload; 2] = [
    Workload {
        name: "a chunk an event",
        path: "/chunked",
        head: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        frame: |event| format!("{:x}\r\n{event}\r\n", event.len()),
        end: "0\r\n\r\n",
    },
    Workload {
        name: "without chunks",
        path: "/plain",
        head: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        frame: str::to_owned,
        end: "",
    },
];

/// Events of a unit: no two are the same, and a unit is close to a megabyte.
pub const UNIT_EVENTS: usize = 5_000;

impl Workload {
    pub fn unit(&self) -> String {
        (0..UNIT_EVENTS).map(|n| (self.frame)(&format!("data: {}\n\n", data(n)))).collect()
    }
}

/// The data of all events of a unit, in bytes.
pub fn unit_data_bytes() -> usize {
    (0..UNIT_EVENTS).map(|n| data(n).len()).sum()
}

fn data(n: usize) -> String {
    let words = ["stream", " of", " events", ",", " one", " line", " at", " a", " time", "."];
    let word = words[n % words.len()];
    format!(
        "{{\"id\":\"chatcmpl-7f3a9\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"stand-in\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"n\":{n}}}"
    )
}
