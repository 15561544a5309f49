//! What happens on a connection, written down beforehand.

use std::io;
use std::time::Duration;

use bytes::Bytes;

use crate::Peer;
use crate::response::{CHUNKED_EVENT_STREAM, EVENT_STREAM, LAST_CHUNK, chunk, redirect, status};

/// The steps of one connection, from the request's last byte on, and how it ends: cleanly, unless something else is
/// said.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_scripted_server::Script;
///
/// let falls_silent = Script::event_stream().send("data: a\n\n").hang();
/// let is_slow = Script::event_stream().pause(Duration::from_secs(10)).send("data: a\n\n");
/// let dies_in_a_character = Script::event_stream().send(&b"data: \xe2\x82"[..]).reset();
/// let has_half_a_head = Script::new().send("HTTP/1.1 200 O");
/// let comes_in_chunks = Script::chunked_event_stream().chunk("data: ").chunk("a\n\n").last_chunk();
/// let moved = Script::redirect(307, "/other");
/// # let _ = (falls_silent, is_slow, dies_in_a_character, has_half_a_head, comes_in_chunks, moved);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a script does nothing until a server plays it"]
pub struct Script {
    steps: Vec<Step>,
    ending: Ending,
}

#[derive(Debug, Clone)]
enum Step {
    Send(Bytes),
    Pause(Duration),
}

#[derive(Debug, Clone, Copy, Default)]
enum Ending {
    #[default]
    End,
    Reset,
    Hang,
}

/// How it begins.
impl Script {
    /// Nothing yet: the head is to be sent too.
    pub fn new() -> Self {
        Self::default()
    }

    /// The head of an event stream that ends with its connection.
    pub fn event_stream() -> Self {
        Self::new().send(EVENT_STREAM)
    }

    /// The head of an event stream in chunks: go on with [`chunk`](Self::chunk).
    pub fn chunked_event_stream() -> Self {
        Self::new().send(CHUNKED_EVENT_STREAM)
    }

    /// A whole response without a body, as of the function [`status`](crate::status()).
    pub fn status(code: u16) -> Self {
        Self::new().send(status(code))
    }

    /// A whole redirect, as of the function [`redirect`](crate::redirect()).
    pub fn redirect(code: u16, location: &str) -> Self {
        Self::new().send(redirect(code, location))
    }
}

/// What it does.
impl Script {
    /// Sends exactly these bytes.
    pub fn send(mut self, bytes: impl Into<Bytes>) -> Self {
        self.steps.push(Step::Send(bytes.into()));
        self
    }

    /// Sends `bytes` as one chunk of a body in chunks. Clients get to see where one ends, which TCP alone does not
    /// promise. An empty chunk would be the end, and is not sent.
    pub fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        self.send(chunk(bytes.as_ref()))
    }

    /// Sends the end of a body in chunks.
    pub fn last_chunk(self) -> Self {
        self.send(LAST_CHUNK)
    }

    /// Says nothing for a while, by tokio's clock.
    pub fn pause(mut self, duration: Duration) -> Self {
        self.steps.push(Step::Pause(duration));
        self
    }
}

/// How it ends. The last one that is said counts.
impl Script {
    /// Breaks the connection off with a reset after the last step. What was sent may be lost on the way.
    pub fn reset(mut self) -> Self {
        self.ending = Ending::Reset;
        self
    }

    /// Says nothing more after the last step, until the client closes the connection.
    pub fn hang(mut self) -> Self {
        self.ending = Ending::Hang;
        self
    }
}

impl Script {
    /// Plays it to the end, or until the client closes the connection.
    ///
    /// # Errors
    ///
    /// As the steps of [`Peer`].
    pub async fn play(self, mut peer: Peer) -> io::Result<()> {
        for step in self.steps {
            match step {
                Step::Send(bytes) => peer.send(bytes).await?,
                Step::Pause(duration) => tokio::select! {
                    () = tokio::time::sleep(duration) => {}
                    () = peer.closed() => return Ok(()),
                },
            }
        }
        match self.ending {
            Ending::End => peer.end().await,
            Ending::Reset => peer.reset(),
            Ending::Hang => {
                peer.closed().await;
                Ok(())
            }
        }
    }
}
