//! Nothing is left behind: C23, C29.

use fanfare_client::ListenerOptions;
use tokio::runtime::Handle;
use tokio::task::yield_now;

use crate::server::{OK, Server};

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// A connection's task ends when it is next run. The watchdog bounds the wait.
async fn no_tasks_but(expected: usize) {
    while tasks() > expected {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn c23_c29_closing_or_dropping_a_source_leaves_no_task() {
    let server = Server::start().await;
    let before = tasks();
    for closes in [true, false] {
        // Before the answer, in the stream, in a refusal's body, and in the wait for the next attempt.
        for answer in ["", OK, "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", "hang up"] {
            let source = server.builder().connect().unwrap();
            source.add_event_listener("message", |_| {}, ListenerOptions::default());
            let peer = server.accept().await;
            assert!(tasks() > before, "the source's own task, and its connection's");
            let mut peer = Some(peer);
            match answer {
                "hang up" => drop(peer.take()),
                answer => peer.as_mut().unwrap().send(answer).await,
            }
            yield_now().await;
            if closes {
                source.close();
                no_tasks_but(before).await;
            }
            drop(source);
            no_tasks_but(before).await;
            assert_eq!(tasks(), before);
            if let Some(peer) = peer {
                peer.expect_closed().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c23_c29_closing_or_dropping_a_stream_leaves_no_task() {
    let server = Server::start().await;
    let before = tasks();
    for closes in [true, false] {
        let mut client = server.builder().news().unwrap();
        let peer = server.open(&mut client).await;
        assert!(tasks() > before, "its connection's");
        if closes {
            client.close();
            no_tasks_but(before).await;
        }
        drop(client);
        no_tasks_but(before).await;
        peer.expect_closed().await;

        let mut events = server.builder().stop_after(|_| true).stream().unwrap();
        let answer = format!("{OK}data\n\n");
        let (peer, first) = tokio::join!(server.answer(&answer), events.next());
        first.unwrap().unwrap();
        no_tasks_but(before).await;
        peer.expect_closed().await;
        assert!(events.next().await.is_none());
    }
    assert_eq!(tasks(), before);
}
