//! A proxy to a language model whose answers outlast a page's reload.
//!
//! ```text
//! cargo run -p fanfare-server --features axum,channel,json --example generation
//! ```
//!
//! That runs alone: without `--upstream` it asks a stand-in of its own. A real model is any that speaks the streaming
//! protocol of OpenAI's chat completions, at a provider or on this machine:
//!
//! ```text
//! UPSTREAM_KEY=… cargo run -p fanfare-server --features axum,channel,json --example generation -- \
//!     --upstream http://127.0.0.1:11434/v1/chat/completions --model llama3.2
//! ```
//!
//! `PUT /generations/{id}` with the prompt as its body starts an answer; `GET /generations/{id}` streams it, from the start
//! or from where the client was: messages with `{"text":"…"}`, at last `[DONE]`, or an event `failed` with the reason. The page
//! chooses the id and keeps it for the time of a visit, so that a reload finds its answer again. When nobody has listened
//! for 30 seconds the connection to the model is closed, which is what makes it stop.

mod stand_in;
mod upstream;

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, Response};
use axum::routing::get;
use fanfare_server::{Event, EventType, Generations, StartError, Subscriber};
use serde::Serialize;

pub(crate) use stand_in::StandIn;
pub(crate) use upstream::Upstream;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example speaks to the person who runs it")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = match Upstream::from_arguments(std::env::args().skip(1), std::env::var("UPSTREAM_KEY").ok())? {
        Some(upstream) => upstream,
        None => Upstream::new(&StandIn::new(Duration::from_millis(150)).serve().await?, "stand-in", None)?,
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 3000)).await?;
    println!("Listening on http://{}, asking {upstream}", listener.local_addr()?);
    axum::serve(listener, app(upstream, Duration::from_secs(30))).await?;
    Ok(())
}

#[derive(Clone)]
struct Proxy {
    generations: Generations,
    upstream: Upstream,
}

/// The whole application. An answer to which nobody has listened for as long as `patience` is given up.
pub(crate) fn app(upstream: Upstream, patience: Duration) -> Router {
    let generations = Generations::builder().retain_bytes(1 << 20).retain_count(1000).patience(patience).build();
    Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/generations/{id}", get(listen).put(start))
        .layer(DefaultBodyLimit::max(64 << 10))
        .with_state(Proxy { generations, upstream })
}

/// What the page gets of an answer at a time, whoever made it.
#[derive(Serialize)]
struct Delta {
    text: String,
}

async fn start(State(proxy): State<Proxy>, Path(id): Path<String>, prompt: String) -> StatusCode {
    let Proxy { generations, upstream } = proxy;
    let started = generations.start(id, |producer| async move {
        let mut answer = upstream.ask(&prompt);
        // Dropped with this future, the answer closes its connection.
        while let Some(piece) = answer.next().await {
            match piece {
                Ok(text) => producer.send_json(&Delta { text })?,
                Err(reason) => {
                    let failed = EventType::new("failed").map(|failed| Event::data(&reason).with_type(failed));
                    producer.send(failed.unwrap_or_else(|_| Event::data(&reason)))?;
                    return Ok(());
                }
            };
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
