//! Subscribers that never read: nothing is queued for them.

use crate::peer::{connect, crowd, say_on, status};
use crate::target::Target;
use socket2::SockRef;

/// What each is owed is many times the slack, on each of the paths that a stream can take.
#[tokio::test]
async fn subscribers_that_never_read_take_no_memory() {
    let target = Target::start(&[]).await;
    let data = "x".repeat(100_000);
    for path in ["", "Connection: close\r\n"] {
        let subscribe = format!("GET /events/flood HTTP/1.1\r\nHost: localhost\r\n{path}\r\n");
        target
            .withstands(16 << 20, async |address| {
                let subscribers = crowd(200, async |_| {
                    let mut stream = connect(address).await;
                    SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
                    let answer = say_on(&mut stream, subscribe.as_bytes()).await;
                    assert_eq!(status(&answer), "200", "{answer}");
                    stream
                })
                .await;
                for _ in 0..50 {
                    target.publish("flood", &data).await;
                }
                drop(subscribers);
            })
            .await;
    }
}

/// All history, asked for again and again and never read.
#[tokio::test]
async fn replays_that_nobody_reads_take_no_memory() {
    let target = Target::start(&[]).await;
    for _ in 0..60 {
        target.publish("flood", &"x".repeat(50_000)).await;
    }
    let subscribe = b"GET /events?lastEventID=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n";
    target
        .withstands(32 << 20, async |address| {
            let subscribers = crowd(200, async |_| {
                let mut stream = connect(address).await;
                SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
                assert_eq!(status(&say_on(&mut stream, subscribe).await), "200");
                stream
            })
            .await;
            drop(subscribers);
        })
        .await;
}
