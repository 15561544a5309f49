//! One stream, and when what of it arrived.

use std::error::Error;
use std::time::Duration;

use fanfare_wire::{Decoded, Decoder};
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response, StatusCode, Version};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::limits::{DATA_CHARS_MAX, REFUSAL_BYTES_MAX, REFUSAL_TIMEOUT, REMEMBERED_MAX};
use crate::refusal::detail;

/// A request whose answer is being watched. It is ended with its handle.
#[derive(Debug)]
pub(super) struct Stream {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

/// What has arrived so far.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) started: Instant,
    pub(super) head: Option<Head>,
    /// Why there is no head and never will be.
    pub(super) failure: Option<Failure>,
    /// The first ones.
    pub(super) pieces: Vec<Piece>,
    /// The first ones.
    pub(super) events: Vec<Event>,
    /// Of the body, in all.
    pub(super) bytes: usize,
    /// The longest time without a byte before the last one.
    pub(super) silence_max: Duration,
    pub(super) end: Option<End>,
}

#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) at: Instant,
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    /// What a refusal says, after a colon.
    pub(super) reason: String,
}

#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) text: String,
    /// Nobody was there to ask.
    pub(super) is_connect: bool,
}

/// Bytes that were read together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) at: Instant,
    pub(super) bytes: usize,
    /// Whether it ends in the middle of a line, where no server ends a write.
    pub(super) cuts_a_line: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) at: Instant,
    pub(super) event_type: String,
    /// The start of it.
    pub(super) data: String,
    pub(super) id: String,
}

#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) at: Instant,
    /// What broke it off, if it did not end as HTTP ends a body.
    pub(super) cut: Option<String>,
}

impl Stream {
    pub(super) fn open(request: RequestBuilder) -> Self {
        let (sender, seen) = watch::channel(Seen::new(Instant::now()));
        Self { seen, task: tokio::spawn(async move { follow(request, &sender).await }) }
    }

    /// Waits until `is_seen`, the end of `until` or of the stream; says whether it came to be.
    pub(super) async fn wait(&self, until: Instant, is_seen: impl FnMut(&Seen) -> bool) -> bool {
        let mut seen = self.seen.clone();
        timeout_at(until, seen.wait_for(is_seen)).await.is_ok_and(|seen| seen.is_ok())
    }

    /// What has arrived by now.
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    pub(super) fn new(started: Instant) -> Self {
        let (pieces, events, silence_max) = (Vec::new(), Vec::new(), Duration::ZERO);
        Self { started, head: None, failure: None, pieces, events, bytes: 0, silence_max, end: None }
    }

    /// There is a head, or there will be none.
    pub(super) fn is_answered(&self) -> bool {
        self.head.is_some() || self.failure.is_some()
    }

    /// When the last byte came, of the head if there is none of the body.
    pub(super) fn last_at(&self) -> Instant {
        let piece = self.pieces.last().map(|piece| piece.at);
        piece.or_else(|| self.head.as_ref().map(|head| head.at)).unwrap_or(self.started)
    }

    /// The value of a header of the answer.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.as_ref().and_then(|head| head.headers.get(name)).and_then(|value| value.to_str().ok())
    }
}

async fn follow(request: RequestBuilder, seen: &watch::Sender<Seen>) {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            let failure = Failure { is_connect: error.is_connect(), text: root(&error) };
            seen.send_modify(|seen| seen.failure = Some(failure));
            return;
        }
    };
    let (status, version, headers) = (response.status(), response.version(), response.headers().clone());
    let reason = if status == StatusCode::OK { String::new() } else { reason(&mut response).await };
    seen.send_modify(|seen| {
        seen.head = Some(Head { at: Instant::now(), status, version, headers, reason });
    });
    if status != StatusCode::OK {
        return;
    }
    let mut decoder = Decoder::new().with_comments();
    let cut = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => seen.send_modify(|seen| seen.take(&bytes, &mut decoder)),
            Ok(None) => break None,
            Err(error) => break Some(root(&error)),
        }
    };
    seen.send_modify(|seen| seen.end = Some(End { at: Instant::now(), cut }));
}

impl Seen {
    fn take(&mut self, bytes: &[u8], decoder: &mut Decoder) {
        let at = Instant::now();
        self.bytes += bytes.len();
        self.silence_max = self.silence_max.max(at - self.last_at());
        let cuts_a_line = !bytes.ends_with(b"\n") && !bytes.ends_with(b"\r");
        let piece = Piece { at, bytes: bytes.len(), cuts_a_line };
        // The last one always, because the silence after it is counted from it.
        if self.pieces.len() == REMEMBERED_MAX {
            self.pieces.pop();
        }
        self.pieces.push(piece);
        let mut rest = bytes;
        while let Some(decoded) = decoder.decode(&mut rest) {
            if let Decoded::Event(message) = decoded
                && self.events.len() < REMEMBERED_MAX
            {
                let (event_type, id) = (message.event_type.to_owned(), message.last_event_id.to_owned());
                let data = message.data.chars().take(DATA_CHARS_MAX).collect();
                self.events.push(Event { at, event_type, data, id });
            }
        }
    }
}

async fn reason(response: &mut Response) -> String {
    let mut body = Vec::new();
    let read = async {
        while body.len() < REFUSAL_BYTES_MAX
            && let Ok(Some(bytes)) = response.chunk().await
        {
            body.extend_from_slice(&bytes);
        }
    };
    let _ = timeout(REFUSAL_TIMEOUT, read).await;
    detail(&body)
}

/// The root of an error, without the URL, which may hold a token.
pub(super) fn root(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(Error::source(error), |&cause| cause.source());
    causes.last().map_or_else(|| "it failed".to_owned(), ToString::to_string)
}

/// A time for people.
pub(super) fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More pieces than are remembered are no silence.
    #[tokio::test(start_paused = true)]
    async fn the_longest_silence_is_between_two_pieces_that_followed_each_other() {
        let (mut seen, mut decoder) = (Seen::new(Instant::now()), Decoder::new());
        for piece in 0..3 * REMEMBERED_MAX {
            tokio::time::advance(Duration::from_millis(if piece == 1500 { 700 } else { 10 })).await;
            seen.take(b"data: x\n\n", &mut decoder);
        }
        assert_eq!((seen.silence_max, seen.last_at()), (Duration::from_millis(700), Instant::now()));
        assert_eq!((seen.pieces.len(), seen.events.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }
}
