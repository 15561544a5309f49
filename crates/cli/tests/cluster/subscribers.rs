use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use crate::hubs::Hubs;

/// An event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) data: String,
}

/// What a subscriber saw on its way.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) events: Vec<Came>,
    pub(crate) hops: usize,
    /// Hubs that could not serve it just then.
    pub(crate) refusals: usize,
}

/// Follows everything from the beginning, some events from one hub and some from the next, with the last id as its
/// cursor, until the event with the data `last`.
pub(crate) async fn hop(hubs: Arc<Hubs>, last: &'static str) -> Seen {
    let client = reqwest::Client::new();
    let (mut seen, mut cursor) = (Seen::default(), "earliest".to_owned());
    loop {
        let request = client.get(hubs.somewhere("/events")).header("Last-Event-ID", &cursor);
        let answer = match request.send().await {
            Ok(answer) if answer.status().is_success() => answer,
            Ok(answer) => {
                assert!(answer.status().is_server_error(), "{}", answer.status());
                seen.refusals += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(_) => {
                seen.refusals += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        seen.hops += 1;
        let mut events = Events::of(answer);
        for _ in 0..fastrand::usize(1..100) {
            // A hub that is cut off has nothing: the next one may.
            let Ok(Some(came)) = timeout(Duration::from_millis(500), events.next()).await else { break };
            cursor.clone_from(&came.id);
            let is_last = came.data == last;
            seen.events.push(came);
            if is_last {
                return seen;
            }
        }
    }
}

/// The events of one response.
pub(crate) struct Events {
    chunks: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: Vec<u8>,
}

impl Events {
    pub(crate) fn of(answer: reqwest::Response) -> Self {
        Self { chunks: Box::pin(answer.bytes_stream()), text: Vec::new() }
    }

    /// The next event that has data. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Came> {
        loop {
            while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                let block = String::from_utf8(block).unwrap();
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim_start().to_owned()
                };
                if block.contains("data:") {
                    return Some(Came { id: field("id:"), event_type: field("event:"), data: field("data:") });
                }
            }
            self.text.extend_from_slice(&self.chunks.next().await?.ok()?);
        }
    }
}
