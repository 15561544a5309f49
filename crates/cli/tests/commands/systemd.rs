//! Sockets that are handed over, as systemd does it, and what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::port::Port;
use crate::running::{Curl, Hub, PATIENCE, curl, fanfare, run, without_settings};

/// A hub that gets `listener` as its file 3.
fn handed(listener: &TcpListener, variables: &str, arguments: &str) -> Command {
    let mut command = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_fanfare");
    // The shell makes its input the file 3; its number is the hub's once that takes its place.
    let script = format!("exec 3<&0 </dev/null; exec env {variables} '{binary}' serve --memory {arguments}");
    command.args(["-c", &script]).stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    without_settings(&mut command);
    command
}

const FOR_THIS: &str = "LISTEN_PID=$$ LISTEN_FDS=1";

#[test]
fn a_socket_that_is_handed_over_is_used_in_place_of_listen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = Hub::spawn(&mut handed(&listener, FOR_THIS, "--listen 127.0.0.1:1"));
    assert_eq!(hub.address, listener.local_addr().unwrap());
    assert_eq!(curl(&[&hub.url("/health/ready")]), "ready\n");
}

/// A restart refuses nobody: who connects in between waits.
#[test]
fn who_connects_between_two_hubs_is_served_by_the_second() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut first = Hub::spawn(&mut handed(&listener, FOR_THIS, "--drain 10ms"));
    let mut follower = Curl::follow(&first.url("/events/a"), &[]);
    follower.until(|line| line == ":");
    first.signal("TERM");
    assert_eq!(first.ended().code(), Some(0));
    assert!(follower.ended().success());
    let mut between = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    between.set_read_timeout(Some(PATIENCE)).unwrap();
    between.write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let _second = Hub::spawn(&mut handed(&listener, FOR_THIS, ""));
    let mut answer = String::new();
    between.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// systemd's own tool opens the socket, and starts the hub when somebody has connected: who comes first is not refused.
#[test]
fn systemd_starts_the_hub_for_who_has_connected() {
    let port = Port::of_its_own();
    let address = port.address;
    let client = std::thread::spawn(move || {
        let mut client = port.connect(|| ());
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    });
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(address.to_string()).arg(env!("CARGO_BIN_EXE_fanfare"));
    // The address that is not handed over would not do: the port is taken.
    command.args(["serve", "--memory", "--drain", "10ms", "--listen"]).arg(address.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut hub = Hub::spawn(without_settings(&mut command));
    assert_eq!(hub.address, address);
    assert!(client.join().unwrap().starts_with("HTTP/1.1 200"));
    hub.signal("TERM");
    assert_eq!(hub.ended().code(), Some(0));
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = Hub::spawn(&mut handed(&listener, "LISTEN_PID=1 LISTEN_FDS=1", "--listen 127.0.0.1:0"));
    assert_ne!(hub.address, listener.local_addr().unwrap());
}

#[test]
fn a_socket_that_others_can_reach_needs_a_key() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut command = handed(&listener, FOR_THIS, "");
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && stderr.contains("without a publisher key"), "{stderr}");
}

/// A file that is no socket is said.
#[test]
fn what_is_no_socket_is_said() {
    let script = format!("exec 3</dev/null; exec env {FOR_THIS} '{}' serve --memory", env!("CARGO_BIN_EXE_fanfare"));
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = run(without_settings(&mut command), b"");
    assert!(ended.code == Some(1) && ended.stderr.contains("LISTEN_FDS"), "{ended:?}");
}

#[test]
fn the_manager_is_told_when_it_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = fanfare(&["serve", "--memory", "--drain", "10ms", "--listen", "127.0.0.1:0"]);
    let mut hub = Hub::spawn(command.env("NOTIFY_SOCKET", &path));
    let told = || {
        let mut room = [0; 256];
        let length = manager.recv(&mut room).unwrap();
        BufReader::new(&room[..length]).lines().next().unwrap().unwrap()
    };
    assert_eq!(told(), "READY=1");
    hub.signal("TERM");
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(hub.ended().code(), Some(0));
}
