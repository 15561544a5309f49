//! Bodies that are slow, endless or cut off.

use crate::peer::{connect, crowd, post, say_on, status};
use crate::target::Target;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::interval;

/// The hub waits for them half a minute (its own tests have that, with a paused clock); meanwhile they take nothing from
/// others, and when they give up nothing is left.
#[tokio::test]
async fn slow_bodies_hold_nobody_up() {
    let target = Target::start(&[]).await;
    let lengths = ["Content-Length: 1000\r\n", "Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"];
    target
        .withstands(16 << 20, async |address| {
            crowd(150, async |n| {
                let mut stream = connect(address).await;
                stream.write_all(post("/events/a", lengths[n % lengths.len()]).as_bytes()).await.unwrap();
                let mut pace = interval(Duration::from_millis(100));
                for _ in 0..20 {
                    pace.tick().await;
                    let _ = stream.write_all(if n % 3 == 2 { b"1\r\nx\r\n" } else { b"x" }).await;
                }
            })
            .await;
        })
        .await;
    assert!(target.history("a").await.is_empty());
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused_before_they_are_held() {
    let target = Target::start(&[]).await;
    let chunks = b"10000\r\n".iter().chain(&[b'x'; 0x10000]).chain(b"\r\n").copied().collect::<Vec<_>>();
    target
        .withstands(64 << 20, async |address| {
            crowd(20, async |n| {
                let (fields, body) = match n % 3 {
                    0 => ("Content-Length: 3145728\r\n", vec![b'x'; 3 << 20]),
                    1 => ("Content-Length: 18446744073709551615\r\n", vec![b'x'; 1 << 20]),
                    _ => ("Transfer-Encoding: chunked\r\n", chunks.repeat(48)),
                };
                let said = [post("/events/a", fields).as_bytes(), &body].concat();
                let answer = say_on(&mut connect(address).await, &said).await;
                // A length that is no length in practice is to hyper a head that is too large.
                assert!(["413", "431"].contains(&status(&answer)), "{answer}");
            })
            .await;
        })
        .await;
    assert!(target.history("a").await.is_empty());
}

#[tokio::test]
async fn bodies_that_are_cut_off_publish_nothing() {
    let target = Target::start(&[]).await;
    target
        .withstands(64 << 20, async |address| {
            crowd(200, async |n| {
                let mut stream = connect(address).await;
                let fields = if n % 2 == 0 { "Content-Length: 900000\r\n" } else { "Transfer-Encoding: chunked\r\n" };
                let body = if n % 2 == 0 { "x".repeat(n * 1000) } else { format!("ffff\r\n{}", "x".repeat(n * 100)) };
                let _ = stream.write_all((post("/events/a", fields) + &body).as_bytes()).await;
            })
            .await;
        })
        .await;
    assert!(target.history("a").await.is_empty());
}
