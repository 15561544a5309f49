//! The server, seen from a socket.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use fanfare_scripted_server::{CHUNKED_EVENT_STREAM, EVENT_STREAM, Script, ScriptedServer, Watchdog};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const LIMIT: Duration = Duration::from_secs(120);

async fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

async fn answer(address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    ask(address, path).await.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(start_paused = true)]
async fn each_request_has_its_script_and_then_204() {
    let _watchdog = Watchdog::start(LIMIT);
    let server = ScriptedServer::start().await.unwrap().play([
        Script::event_stream().send("data: a\n\n"),
        Script::chunked_event_stream().chunk("data").chunk("").chunk(": b\n\n").last_chunk(),
        Script::status(503),
        Script::redirect(307, "/there"),
        Script::new().send("HTTP/1.1 2"),
        Script::new(),
    ]);
    assert_eq!(answer(server.address(), "/0").await, format!("{EVENT_STREAM}data: a\n\n"));
    let chunked = format!("{CHUNKED_EVENT_STREAM}4\r\ndata\r\n5\r\n: b\n\n\r\n0\r\n\r\n");
    assert_eq!(answer(server.address(), "/1").await, chunked);
    assert!(answer(server.address(), "/2").await.starts_with("HTTP/1.1 503 "));
    assert!(answer(server.address(), "/3").await.contains("\r\nLocation: /there\r\n"));
    assert_eq!(answer(server.address(), "/4").await, "HTTP/1.1 2");
    assert_eq!(answer(server.address(), "/5").await, "");
    for path in ["/6", "/7"] {
        assert!(answer(server.address(), path).await.starts_with("HTTP/1.1 204 "));
    }
    let targets: Vec<_> = server.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"]);
}

#[tokio::test(start_paused = true)]
async fn pauses_take_the_time_of_tokio() {
    let _watchdog = Watchdog::start(LIMIT);
    let hour = Duration::from_secs(60 * 60);
    let server = ScriptedServer::start().await.unwrap().play([Script::new().send("a").pause(hour).send("b")]);
    let started = Instant::now();
    let mut stream = ask(server.address(), "/").await;
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    assert_eq!((&byte, started.elapsed() < hour), (b"a", true));
    stream.read_exact(&mut byte).await.unwrap();
    assert_eq!((&byte, started.elapsed() >= hour), (b"b", true));
}

#[tokio::test(start_paused = true)]
async fn endings() {
    let _watchdog = Watchdog::start(LIMIT);
    let server = ScriptedServer::start().await.unwrap().play([
        Script::new().pause(Duration::from_secs(1)).reset(),
        Script::new().send("a").hang(),
        Script::new().send("b").hang(),
    ]);
    let mut byte = [0];
    let reset = ask(server.address(), "/").await.read(&mut byte).await.unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);

    let mut hanging = ask(server.address(), "/").await;
    hanging.read_exact(&mut byte).await.unwrap();
    let silence = timeout(Duration::from_secs(60 * 60), hanging.read(&mut byte)).await;
    assert!(silence.is_err(), "an hour of nothing");
    // Another connection is served meanwhile, and both end with the server.
    let mut other = ask(server.address(), "/").await;
    other.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"b");
    drop(server);
    assert!(matches!(hanging.read(&mut byte).await, Ok(0) | Err(_)));
    assert!(matches!(other.read(&mut byte).await, Ok(0) | Err(_)));
}

#[tokio::test(start_paused = true)]
async fn scripts_may_go_on_for_ever_and_requests_are_waited_for() {
    let _watchdog = Watchdog::start(LIMIT);
    let scripts = std::iter::repeat(Script::event_stream());
    let server = ScriptedServer::start().await.unwrap().play(scripts);
    let clients = async {
        for number in 0..20 {
            assert_eq!(answer(server.address(), &format!("/{number}")).await, EVENT_STREAM);
        }
    };
    let ((), request) = tokio::join!(clients, server.request(19));
    assert_eq!(request.unwrap().target(), "/19");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_stops_is_stopped() {
    let _watchdog = Watchdog::start(LIMIT);
    let server = ScriptedServer::start().await.unwrap().play(std::iter::repeat(Script::status(200)));
    let body = vec![b'x'; 1 << 20];
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut taken = 0;
    // It may be refused, broken off while it writes, or not answered.
    while let Ok(mut stream) = TcpStream::connect(server.address()).await {
        let mut answer = String::new();
        if stream.write_all(head.as_bytes()).await.is_err()
            || stream.write_all(&body).await.is_err()
            || stream.read_to_string(&mut answer).await.is_err()
            || answer.is_empty()
        {
            break;
        }
        taken += 1;
        assert!(taken < 100, "somebody remembers without end");
    }
    assert!(server.request(taken + 10).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_told_so_and_takes_no_script() {
    let _watchdog = Watchdog::start(LIMIT);
    let server = ScriptedServer::start().await.unwrap().play([Script::new().send("script")]);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"EHLO example.com\r\n\r\n").await.unwrap();
    let mut refusal = String::new();
    stream.read_to_string(&mut refusal).await.unwrap();
    assert!(refusal.starts_with("HTTP/1.1 400 ") && refusal.contains("no HTTP/1 request"), "{refusal}");
    assert_eq!(answer(server.address(), "/").await, "script");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_test_may_take_each_connection_itself() {
    let _watchdog = Watchdog::start(LIMIT);
    let server = ScriptedServer::start().await.unwrap();
    let mut client = ask(server.address(), "/events?a=b").await;
    let mut peer = server.accept().await.unwrap();
    assert_eq!((peer.request().method(), peer.request().target()), ("GET", "/events?a=b"));
    peer.send(CHUNKED_EVENT_STREAM).await.unwrap();
    peer.chunk("data: a\n\n").await.unwrap();
    peer.last_chunk().await.unwrap();
    peer.end().await.unwrap();
    let mut seen = String::new();
    client.read_to_string(&mut seen).await.unwrap();
    assert_eq!(seen, format!("{CHUNKED_EVENT_STREAM}9\r\ndata: a\n\n\r\n0\r\n\r\n"));

    let client = ask(server.address(), "/").await;
    let mut peer = server.accept().await.unwrap();
    drop(client);
    peer.closed().await;
}
