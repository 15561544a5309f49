//! What a browser's JavaScript does with `EventSource`, line by line.
//!
//! ```text
//! cargo run -p fanfare-client --example browser [URL]
//! ```
//!
//! Without a URL it connects to a stand-in that sends a counter, and a heartbeat now and then. It closes itself after
//! five messages.

use std::error::Error;
use std::time::Duration;

use fanfare_client::{EventSource, ListenerOptions, ReadyState};
use fanfare_scripted_server::{Playback, Script, ScriptedServer};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "an example speaks to the person who runs it")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stand_in = stand_in().await?;
    let url = std::env::args().nth(1).unwrap_or_else(|| stand_in.url("/events"));

    // const source = new EventSource(url);
    let source = EventSource::new(&url)?;
    let (closed, mut wait_closed) = mpsc::channel(1);

    // source.onopen = () => console.log(`open: ${source.url}`);
    source.on_open(|event| println!("open: {}", event.origin()));

    // source.onmessage = (event) => { …; if (++messages === 5) source.close(); };
    let (itself, done) = (source.clone(), closed.clone());
    let mut messages = 0;
    source.on_message(move |event| {
        messages += 1;
        println!("message: {} (id {})", event.data(), event.last_event_id());
        if messages == 5 {
            itself.close();
            println!("closed: {}", itself.ready_state() == ReadyState::Closed);
            // A second message is one too many for this channel, and there is none after `close`.
            let _ = done.try_send(());
        }
    });

    // source.addEventListener("heartbeat", (event) => …, { once: true });
    source.add_event_listener(
        "heartbeat",
        |event| println!("first heartbeat: {}", event.data()),
        ListenerOptions::default().once(),
    );

    // source.onerror = () => console.log(source.readyState === EventSource.CLOSED ? "failed" : "reconnecting");
    source.on_error(move |event| match event.interruption() {
        Some(interruption) if interruption.retry_in().is_none() => {
            println!("failed: {}", interruption.error());
            let _ = closed.try_send(());
        }
        Some(interruption) => println!("reconnecting: {}", interruption.error()),
        // A server may send events of this name too.
        None => println!("error, says the server: {}", event.data()),
    });

    // A browser's page lives on; a program has to wait.
    wait_closed.recv().await;
    Ok(())
}

/// A server that counts, and breaks off once, so that there is something to see.
async fn stand_in() -> std::io::Result<Playback> {
    let tick = Duration::from_millis(100);
    let heartbeat = "event: heartbeat\ndata: OK\n\n";
    let count = |from: u32, to: u32| {
        let start = Script::event_stream().send("retry: 200\n\n");
        (from..=to).fold(start, |script, n| script.pause(tick).send(format!("id: {n}\ndata: {n}\n\n")).send(heartbeat))
    };
    Ok(ScriptedServer::start().await?.play([count(1, 3), count(4, 100)]))
}
