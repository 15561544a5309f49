//! A proxy to a language model whose answers outlast a page's reload, with a stand-in for the model.
//!
//! ```text
//! cargo run -p fanfare-server --features axum,channel,json --example generation
//! ```
//!
//! `PUT /generations/{id}` with the prompt as its body starts an answer; `GET /generations/{id}` streams it, from the start
//! or from where the client was, to `[DONE]`. The page chooses the id and keeps it for the time of a visit, so
//! that a reload finds its answer again. When nobody has listened for 30 seconds the model is stopped.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, Response};
use axum::routing::get;
use fanfare_server::{Event, Generations, StartError, Subscriber};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 3000)).await?;
    #[expect(clippy::print_stdout, reason = "an example speaks to the person who runs it")]
    {
        println!("Listening on http://{}", listener.local_addr()?);
    }
    axum::serve(listener, app(Duration::from_millis(150))).await
}

#[derive(Clone)]
struct Proxy {
    generations: Generations,
    /// Answers that the model has begun.
    answers: Arc<AtomicUsize>,
    pace: Duration,
}

/// The whole application, with a model that makes a word each `pace`.
pub fn app(pace: Duration) -> Router {
    let generations = Generations::builder().retain_bytes(1 << 20).retain_count(1000).build();
    Router::new()
        .route("/", get(async || Html(include_str!("generation.html"))))
        .route("/generations/{id}", get(listen).put(start))
        .layer(DefaultBodyLimit::max(64 << 10))
        .with_state(Proxy { generations, answers: Arc::default(), pace })
}

/// As the model's own stream would say it.
#[derive(Serialize)]
struct Delta {
    text: String,
}

async fn start(State(proxy): State<Proxy>, Path(id): Path<String>, prompt: String) -> StatusCode {
    let Proxy { generations, answers, pace } = proxy;
    let started = generations.start(id, |producer| async move {
        let number = answers.fetch_add(1, Ordering::Relaxed) + 1;
        let mut words = std::pin::pin!(model(number, &prompt, pace));
        while let Some(text) = words.next().await {
            producer.send_json(&Delta { text })?;
        }
        producer.send(Event::data("[DONE]"))?;
        Ok(())
    });
    match started {
        Ok(()) => StatusCode::CREATED,
        // The same page asked twice.
        Err(StartError::Exists) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn listen(State(proxy): State<Proxy>, Path(id): Path<String>, subscriber: Subscriber) -> Response {
    proxy.generations.response(&id, subscriber).map(Body::new)
}

/// A stand-in for a model. A real one is asked over HTTP here, and hangs up when this stream is dropped.
fn model(number: usize, prompt: &str, pace: Duration) -> impl Stream<Item = String> {
    let answer = format!(
        "This is answer {number}. You said: {} I have no more to say about that, but I say it slowly, so that there is \
         time to reload the page.",
        prompt.trim()
    );
    let words: Vec<String> = answer.split_inclusive(' ').map(str::to_owned).collect();
    stream::iter(words).then(move |word| async move {
        tokio::time::sleep(pace).await;
        word
    })
}
