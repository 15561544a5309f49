//! The server: a process of its own, so that its work is not counted, which does nothing but write what was made
//! beforehand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::workload::{WORKLOADS, Workload};

/// The server from the side of the benchmark. Dropping it ends it.
pub struct Server {
    child: Child,
    pub origin: String,
}

impl Server {
    /// Starts this program once more, as a server of streams of that many units.
    pub fn start(units: usize) -> Self {
        let program = std::env::current_exe().expect("a program has a path");
        let mut child = Command::new(program)
            .args(["serve", &units.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("what was started once can be started twice");
        let mut origin = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut origin).expect("it says where it listens");
        Self { child, origin: origin.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server itself: a connection at a time, for the clients have their turns.
pub fn serve(units: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    println!("http://{}", listener.local_addr().expect("it is bound"));
    let made = WORKLOADS.each_ref().map(|workload| (workload, workload.unit()));
    for stream in listener.incoming() {
        // A client that leaves early is not the server's affair.
        let _ = answer(stream.expect("it was accepted"), &made, units);
    }
}

fn answer(mut stream: TcpStream, made: &[(&Workload, String)], units: usize) -> std::io::Result<()> {
    let mut request = [0; 4096];
    // Requests are one segment here.
    let length = stream.read(&mut request)?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let Some((workload, unit)) = made.iter().find(|(workload, _)| workload.path == path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    stream.write_all(workload.head.as_bytes())?;
    for _ in 0..units {
        stream.write_all(unit.as_bytes())?;
    }
    stream.write_all(workload.end.as_bytes())
}
