//! A consumer of a stream that never ends, which goes on where it stopped: the last event id is kept in a file.
//!
//! ```text
//! cargo run -p fanfare-client --example firehose [FILE [URL]]
//! ```
//!
//! Takes 500 events a run; run it twice. Without a URL it reads from a stand-in that has 1,000 events, breaks off
//! after every 200, and knows what `Last-Event-ID` means. Without a FILE the id is kept in the directory for
//! temporary files.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use fanfare_client::{EventId, EventSource, RetryPolicy};
use fanfare_scripted_server::{EVENT_STREAM, Peer, ScriptedServer, status};

/// A run ends after this many events, so that there is another one to go on with.
const EVENTS_A_RUN: usize = 500;

/// After a crash at most this many events are seen twice, and none is missed: an id is saved when its event has been
/// dealt with.
const EVENTS_A_SAVE: usize = 100;

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "an example speaks to the person who runs it")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().map_or_else(|| std::env::temp_dir().join("fanfare-firehose.id"), PathBuf::from);
    let url = match arguments.next() {
        Some(url) => url,
        None => stand_in().await?,
    };

    // Firehoses are behind proxies that answer 502 now and then. That is no reason to stop.
    let mut builder = EventSource::builder(&url).retry(RetryPolicy::default().on_transient_statuses());
    if let Some(id) = load(&file)? {
        println!("going on after {id}");
        builder = builder.last_event_id(id);
    }
    let mut events = builder.stream()?;

    let mut seen = 0;
    while seen < EVENTS_A_RUN
        && let Some(event) = events.next().await
    {
        let event = event?;
        seen += 1;
        if matches!(seen, 1 | EVENTS_A_RUN) {
            println!("event {}: {}", event.last_event_id(), event.data());
        }
        if seen % EVENTS_A_SAVE == 0 {
            save(&file, events.last_event_id())?;
        }
    }
    save(&file, events.last_event_id())?;
    println!("{seen} events, up to {}", events.last_event_id());
    Ok(())
}

/// The id that an earlier run saved.
fn load(file: &Path) -> Result<Option<EventId>, Box<dyn Error>> {
    match fs::read_to_string(file) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(EventId::new(text)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the file in one step: whatever happens meanwhile, it holds the old id or the new one.
fn save(file: &Path, id: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut writer = File::create(&new)?;
    writer.write_all(id.as_bytes())?;
    writer.sync_all()?;
    fs::rename(new, file)
}

/// Where the stand-in can be asked.
async fn stand_in() -> io::Result<String> {
    let server = ScriptedServer::start().await?;
    let url = server.url("/firehose");
    tokio::spawn(async move {
        loop {
            // A consumer that has left is no reason to stop.
            if let Ok(peer) = server.accept().await {
                drop(serve(peer).await);
            }
        }
    });
    Ok(url)
}

/// Up to 200 events after the one that was seen last; after all of them 204, which means "do not come back".
async fn serve(mut peer: Peer) -> io::Result<()> {
    let last: u32 = peer.request().header("last-event-id").and_then(|id| id.parse().ok()).unwrap_or_default();
    if last >= 1_000 {
        return peer.send(status(204)).await;
    }
    peer.send(EVENT_STREAM).await?;
    peer.send("retry: 100\n\n").await?;
    for n in (last + 1..=1_000).take(200) {
        peer.send(format!("id: {n}\ndata: {{\"change\":{n}}}\n\n")).await?;
    }
    peer.end().await
}
