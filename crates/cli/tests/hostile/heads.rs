//! Heads that are slow, endless or none at all.

use crate::peer::{connect, crowd, dribble, say, status, until_closed};
use crate::target::Target;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn peers_that_say_nothing_or_are_slow_with_it_are_closed() {
    let target = Target::start(&[]).await;
    let beginnings: [&[u8]; 6] = [
        b"",
        b"G",
        b"GET /events HTTP/1.1\r\nHost:",
        b"POST /events/a HTTP/1.1\r\n",
        b"PRI * HTTP/2.0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ];
    let silent = async |address, beginning: &[u8]| {
        let mut stream = connect(address).await;
        stream.write_all(beginning).await.unwrap();
        until_closed(&mut stream).await;
    };
    target
        .withstands(16 << 20, async |address| {
            let silent = crowd(120, async |n| silent(address, beginnings[n % beginnings.len()]).await);
            let slow = crowd(120, async |n| {
                let head = [b"GET /events HTTP/1.1\r\nHost: localhost\r\n", &b"A: b\r\n"[..n % 7]].concat();
                dribble(&mut connect(address).await, &head).await;
            });
            futures_util::future::join(silent, slow).await;
        })
        .await;
}

#[tokio::test]
async fn heads_without_end_are_refused() {
    let target = Target::start(&[]).await;
    let header = "A: b\r\n".repeat(1 << 17);
    let value = "x".repeat(1 << 20);
    let heads = [
        format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{header}"),
        format!("GET /events HTTP/1.1\r\nHost: localhost\r\nX: {value}"),
        format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{value}: x"),
        format!("GET /{value}"),
        format!("POST /events/a HTTP/1.1\r\nHost: localhost\r\nCookie: {value}"),
        value.clone(),
        "\r\n".repeat(1 << 19),
        "\0".repeat(1 << 20),
    ];
    target
        .withstands(32 << 20, async |address| {
            crowd(40, async |n| {
                let answer = say(address, heads[n % heads.len()].as_bytes()).await;
                assert!(["400", "414", "431", "closed"].contains(&status(&answer)), "{answer:?}");
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let target = Target::start(&[]).await;
    let mut random = fastrand::Rng::with_seed(10);
    let noise: Vec<Vec<u8>> = (0..64)
        .map(|_| {
            let length = random.usize(1..3000);
            let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            [&bytes[..], b"\r\n\r\n"].concat()
        })
        .collect();
    target
        .withstands(8 << 20, async |address| {
            crowd(noise.len(), async |n| {
                let answer = say(address, &noise[n]).await;
                assert!(["400", "505", "closed"].contains(&status(&answer)), "{answer:?}");
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn malformed_heads_are_refused_and_nothing_is_published() {
    let target = Target::start(&[]).await;
    let many = format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(500));
    let table: [(&str, &[&str]); 19] = [
        ("\x16\x03\x01\x02\0\x01\0\x01", &["400", "closed"]),
        ("GET\r\n\r\n", &["400"]),
        ("GET /events\r\n\r\n", &["400"]),
        ("GET  /events HTTP/1.1\r\nHost: localhost\r\n\r\n", &["400"]),
        ("GET /events HTTP/9.9\r\n\r\n", &["400", "505"]),
        ("GET /events HTTP/1.1 x\r\nHost: localhost\r\n\r\n", &["400"]),
        ("GET /eve\0nts HTTP/1.1\r\nHost: localhost\r\n\r\n", &["400"]),
        ("G\x07T /events HTTP/1.1\r\nHost: localhost\r\n\r\n", &["400"]),
        ("GET /events HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", &["400"]),
        ("GET /events HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n", &["400"]),
        ("GET /events HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n", &["400"]),
        ("GET /events HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n", &["400"]),
        ("GET /events HTTP/1.1\r\n\r\n", &["400"]),
        ("GET /events HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", &["400"]),
        ("GET /events HTTP/1.1\r\nHost: \u{fffd}\r\n\r\n", &["400", "421"]),
        ("GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n", &["400"]),
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", &["400", "404", "405"]),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", &["200", "400", "404", "405"]),
        (&many, &["400", "431"]),
    ];
    target
        .withstands(8 << 20, async |address| {
            for (head, statuses) in table {
                let answer = say(address, head.as_bytes()).await;
                assert!(statuses.contains(&status(&answer)), "{:?} {answer:?}", &head[..head.len().min(120)]);
            }
        })
        .await;
}
