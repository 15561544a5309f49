//! Peers that say nothing, stop, or come in too great a number: what only a paused clock and the hub's own figures show. The
//! attacks that a process must withstand are among the command's tests (`crates/cli/tests/hostile`).

use fanfare_log::Retention;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::{PATIENCE, Running};

/// Sends `bytes` and reads what comes until the hub closes, or has answered.
async fn say(stream: &mut TcpStream, bytes: &[u8]) -> String {
    // The hub may close before all is written.
    let _ = stream.write_all(bytes).await;
    let mut answer = vec![0; 4096];
    let mut length = 0;
    while !answer[..length].windows(4).any(|end| end == b"\r\n\r\n") && length < answer.len() {
        match tokio::time::timeout(PATIENCE, stream.read(&mut answer[length..])).await.unwrap() {
            Ok(0) | Err(_) => break,
            Ok(read) => length += read,
        }
    }
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

/// With the clock paused, time passes at once when nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_or_stops_within_a_head_is_closed() {
    let hub = Running::start().await;
    for said in [
        "",
        "P",
        "PRI * HTTP/2.0",
        "GET /events HTTP/1.1\r\nHost:",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        let mut stream = hub.connect().await;
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect(said);
    }
    let mut idle = hub.connect().await;
    assert_eq!(status(&say(&mut idle, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await), "200");
    let _ = tokio::time::timeout(PATIENCE * 2, idle.read_to_end(&mut Vec::new())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_not_idle() {
    let hub = Running::start().await;
    let mut subscriber = hub.subscribe("/events").await;
    tokio::time::sleep(PATIENCE * 60).await;
    hub.publish("a", "still here").await;
    assert_eq!(subscriber.data(1).await, ["still here"]);
}

#[tokio::test]
async fn a_body_that_is_too_large_still_gets_its_answer() {
    let hub = Running::start().await;
    for _ in 0..20 {
        let mut stream = hub.connect().await;
        let head = format!("POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", 3 << 20);
        let request = [head.as_bytes(), &vec![b'x'; 3 << 20]].concat();
        stream.write_all(&request).await.unwrap();
        assert_eq!(status(&say(&mut stream, b"").await), "413");
    }
}

#[tokio::test]
async fn a_body_that_is_cut_off_publishes_nothing() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    stream.write_all(b"POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(hub.hub.figures().published, 0);
}

#[tokio::test]
async fn connections_past_the_limit_are_told_so_and_places_become_free() {
    let hub = Running::with(|settings| settings.connections_max = 2, Retention::default()).await;
    let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut first = hub.connect().await;
    let mut second = hub.connect().await;
    assert_eq!(status(&say(&mut first, request).await), "200");
    assert_eq!(status(&say(&mut second, request).await), "200");
    let answer = say(&mut hub.connect().await, request).await;
    assert_eq!(status(&answer), "503", "{answer}");
    assert!(answer.contains("retry-after: 5") && answer.contains("connection: close"), "{answer}");
    let page = "Host: localhost\r\nOrigin: http://localhost\r\nAccept: text/event-stream\r\n\r\n";
    let answer = say(&mut hub.connect().await, format!("GET /events HTTP/1.1\r\n{page}").as_bytes()).await;
    assert_eq!(status(&answer), "200", "{answer}");
    for line in ["connection: close", "access-control-allow-origin: http://localhost"] {
        assert!(answer.contains(line), "{answer}");
    }
    // A publisher must not take that for a yes.
    let answer = say(&mut hub.connect().await, format!("POST /events/a HTTP/1.1\r\n{page}").as_bytes()).await;
    assert_eq!(status(&answer), "503", "{answer}");
    drop(first);
    tokio::time::timeout(PATIENCE, async { while status(&say(&mut hub.connect().await, request).await) != "200" {} })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_subscriber_that_goes_away_is_noticed() {
    let hub = Running::start().await;
    let mut stream = hub.connect().await;
    say(&mut stream, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(hub.hub.figures().subscribers, 1);
    drop(stream);
    tokio::time::timeout(PATIENCE, async {
        while hub.hub.figures().subscribers > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
