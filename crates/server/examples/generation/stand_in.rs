//! A model for those who have none: it speaks the protocol, slowly, and has little to say.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use fanfare_server::{Event, EventStream};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

/// A model that makes a word at each pace. Clones share what they count.
#[derive(Clone)]
pub(crate) struct StandIn {
    pace: Duration,
    begun: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
}

/// An answer that is being made.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl StandIn {
    /// A model that makes a word each `pace`.
    pub(crate) fn new(pace: Duration) -> Self {
        Self { pace, begun: Arc::default(), running: Arc::default() }
    }

    /// Serves it on this machine, at the URL that it gives, for as long as the runtime lives.
    pub(crate) async fn serve(&self) -> std::io::Result<String> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/v1/chat/completions", listener.local_addr()?);
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(self.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(url)
    }

    /// How many answers it makes right now.
    #[allow(dead_code, reason = "a test asks")]
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// How many answers it was asked for.
    #[allow(dead_code, reason = "a test asks")]
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }
}

async fn complete(State(model): State<StandIn>, Json(request): Json<Value>) -> impl IntoResponse {
    let number = model.begun.fetch_add(1, Ordering::Relaxed) + 1;
    let prompt = request.pointer("/messages/0/content").and_then(Value::as_str).unwrap_or_default();
    let answer = format!(
        "This is answer {number}. You said: {} I have no more to say about that, but I say it slowly, so that there is \
         time to reload the page.",
        prompt.trim()
    );
    let words: Vec<String> = answer.split_inclusive(' ').map(str::to_owned).collect();
    let pace = model.pace;
    let chunks = stream::iter(words).then(move |word| async move {
        tokio::time::sleep(pace).await;
        json!({ "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "content": word } }] })
    });
    let first =
        json!({ "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "role": "assistant" } }] });
    model.running.fetch_add(1, Ordering::Relaxed);
    let chunks = stream::iter([first]).chain(chunks);
    EventStream::json(chunks).end_with(Event::data("[DONE]")).holding(Running(model.running))
}
