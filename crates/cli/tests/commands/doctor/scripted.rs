//! Faults that nginx does not have, and servers that are no hub.

use std::time::Duration;

use fanfare_scripted_server::{Peer, ScriptedServer};

use super::{Diagnosis, IMPATIENT, PATIENT, diagnose};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n";

/// Examines a server that treats each connection as `play` says: whether it has a cursor, whether it offers codings.
async fn examine<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    arguments: &'static [&'static str],
    play: impl Fn(Peer, Option<String>, bool) -> F,
) -> Diagnosis {
    let server = ScriptedServer::start().await.unwrap();
    let url = server.url("/ticks");
    let mut diagnosis = tokio::task::spawn_blocking(move || diagnose(&url, arguments));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            diagnosis = &mut diagnosis => return diagnosis.unwrap(),
            peer = server.accept() => {
                let peer = peer.unwrap();
                let cursor = peer.request().header("last-event-id").map(str::to_owned);
                let is_coded = peer.request().header("accept-encoding") != Some("identity");
                connections.spawn(play(peer, cursor, is_coded));
            }
        }
    }
}

/// Longer than the pause that tells one write from the next.
const PAUSE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_stranger_is_watched() {
    let diagnosis = examine(&PATIENT, |mut peer, cursor, _| async move {
        peer.send(format!("{HEAD}\r\n")).await?;
        let first: usize = cursor.map_or(1, |id| id.parse::<usize>().unwrap() + 1);
        for n in first.. {
            peer.send(format!("id: {n}\ndata: tick\n\n")).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    })
    .await;
    assert_eq!((diagnosis.code, &diagnosis.report["published"]), (Some(0), &false.into()), "{diagnosis:?}");
    diagnosis.assert("delivery", "ok", "pieces").assert("resume", "ok", "").assert("compression", "ok", "");
    diagnosis.assert("last-event-id", "unknown", "");
}

#[tokio::test]
async fn a_compressor_that_does_not_flush_is_found() {
    let diagnosis = examine(&IMPATIENT, |mut peer, _, is_coded| async move {
        if is_coded {
            peer.send(format!("{HEAD}Content-Encoding: gzip\r\n\r\n")).await?;
            // The head of the gzip file goes out, and then the compressor waits for more.
            peer.send(&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..]).await?;
            peer.closed().await;
        } else {
            peer.send(format!("{HEAD}\r\n")).await?;
            for n in 1.. {
                peer.send(format!("id: {n}\ndata: tick\n\n")).await?;
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    })
    .await;
    diagnosis.assert("delivery", "ok", "").assert("compression", "problem", "without flushing");
    let cures = diagnosis.check("compression")["cures"].as_array().unwrap();
    // HAProxy compresses too, and flushes it.
    let of: Vec<_> = cures.iter().map(|cure| cure["for"].as_str().unwrap()).collect();
    assert_eq!(of, ["nginx", "Apache", "Caddy"], "nothing says which proxy it is: {diagnosis:?}");
}

#[tokio::test]
async fn a_stream_that_is_kept_until_its_end_is_found() {
    let diagnosis = examine(&PATIENT, |mut peer, _, _| async move {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        peer.send(format!("{HEAD}\r\ndata: a\n\ndata: b\n\n")).await?;
        peer.end().await
    })
    .await;
    assert_eq!(diagnosis.code, Some(1));
    diagnosis.assert("delivery", "problem", "with the end").assert("idle", "unknown", "");
}

#[tokio::test]
async fn a_buffer_that_is_handed_on_when_it_is_full_is_found() {
    let diagnosis = examine(&PATIENT, |mut peer, _, _| async move {
        peer.send(format!("{HEAD}\r\n")).await?;
        let event = "data: an event of forty bytes, all told.\n\n";
        let events = event.repeat(1_000);
        for buffer in events.as_bytes().chunks(4_096) {
            peer.send(buffer.to_vec()).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    })
    .await;
    diagnosis.assert("delivery", "problem", "middle of a line");
}

#[tokio::test]
async fn a_reset_is_a_cut() {
    let diagnosis = examine(&PATIENT, |mut peer, _, is_coded| async move {
        let chunked = "Transfer-Encoding: chunked\r\n\r\n8\r\ndata: a\n\r\n";
        peer.send(format!("{HEAD}{chunked}")).await?;
        tokio::time::sleep(PAUSE).await;
        if is_coded {
            peer.closed().await;
        }
        // In the middle of a chunk.
        peer.send("8\r\ndat").await?;
        peer.end().await
    })
    .await;
    diagnosis.assert("idle", "problem", "cut off");
}

#[tokio::test]
async fn a_refusal_that_does_not_end_is_told_all_the_same() {
    let diagnosis = examine(&PATIENT, |mut peer, _, _| async move {
        peer.send("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno such stream\n").await?;
        peer.closed().await;
        Ok(())
    })
    .await;
    assert_eq!(diagnosis.code, Some(1));
    diagnosis.assert("connect", "problem", "404 Not Found: no such stream");
}
