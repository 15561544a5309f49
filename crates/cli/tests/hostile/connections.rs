//! Connections by the hundred: up to the limit, past it, and gone at once.

use crate::peer::{connect, crowd, say, say_on, status, until_closed};
use crate::target::Target;
use tokio::io::AsyncWriteExt;

const SUBSCRIBE: &[u8] = b"GET /events/a HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Places are for whoever holds them: those who were there are served, whoever comes is told to come back, and can.
#[tokio::test]
async fn a_flood_up_to_the_limit_costs_nobody_a_place_that_has_one() {
    let target = Target::start(&["--max-connections", "200"]).await;
    let address = target.address();
    for _ in 0..3 {
        let before = target.memory_bytes();
        let mut held = Vec::new();
        for _ in 0..200 {
            held.push(connect(address).await);
        }
        for stream in &mut held {
            stream.write_all(SUBSCRIBE).await.unwrap();
        }
        // Some are told 503, some find the door shut; nobody waits.
        let answers = crowd(150, async |_| say(address, SUBSCRIBE).await).await;
        assert!(answers.iter().all(|answer| ["503", "closed"].contains(&status(answer))), "{answers:?}");
        assert!(answers.iter().any(|answer| status(answer) == "503" && answer.contains("retry-after: ")));
        target.serves_the_bystander().await;
        assert!(target.memory_bytes() < before + (64 << 20));
        drop(held);
        target.everybody_has_gone().await;
        target.serves_others().await;
    }
}

#[tokio::test]
async fn connections_that_go_as_soon_as_they_come_leave_nothing() {
    let target = Target::start(&[]).await;
    target
        .withstands(16 << 20, async |address| {
            for _ in 0..4 {
                crowd(250, async |n| {
                    let mut stream = connect(address).await;
                    // With a reset, before, within or after a request; or in good order.
                    if n % 2 == 0 {
                        socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                    }
                    let said = [&SUBSCRIBE[..0], &SUBSCRIBE[..10], SUBSCRIBE][n % 3];
                    let _ = stream.write_all(said).await;
                })
                .await;
            }
        })
        .await;
}

/// Half-open as far as loopback can have it: the peer has nothing more to say and never reads.
#[tokio::test]
async fn peers_that_shut_one_half_are_let_go() {
    let target = Target::start(&[]).await;
    target
        .withstands(16 << 20, async |address| {
            crowd(200, async |n| {
                let mut stream = connect(address).await;
                if n % 2 == 0 {
                    stream.write_all(SUBSCRIBE).await.unwrap();
                }
                stream.shutdown().await.unwrap();
                until_closed(&mut stream).await;
            })
            .await;
        })
        .await;
}

/// A subscriber has nothing to say. Whoever talks on and on is let go.
#[tokio::test]
async fn subscribers_that_talk_are_let_go() {
    let target = Target::start(&[]).await;
    target
        .withstands(16 << 20, async |address| {
            crowd(50, async |_| {
                let mut stream = connect(address).await;
                assert_eq!(status(&say_on(&mut stream, SUBSCRIBE).await), "200");
                let _ = stream.write_all(&[b'x'; 1 << 20]).await;
                until_closed(&mut stream).await;
            })
            .await;
        })
        .await;
}

/// Requests in one segment, more than their answers have room for, and the answers never read.
#[tokio::test]
async fn requests_without_end_whose_answers_nobody_reads_are_held_up() {
    let target = Target::start(&[]).await;
    let requests = b"POST /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx".repeat(2000);
    let pages = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2000);
    target
        .withstands(64 << 20, async |address| {
            crowd(40, async |n| {
                let mut stream = connect(address).await;
                let said = if n % 2 == 0 { &requests } else { &pages };
                for _ in 0..5 {
                    // As much as is taken at once: the hub stops to read, and this one does not wait for it.
                    let write = stream.write_all(said);
                    if tokio::time::timeout(std::time::Duration::from_millis(300), write).await.is_err() {
                        break;
                    }
                }
            })
            .await;
        })
        .await;
}
