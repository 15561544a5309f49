//! A completion of a language model, printed as its tokens arrive: POST, a bearer token, and `[DONE]` at the end.
//!
//! ```text
//! cargo run -p fanfare-client --example chat
//! API_KEY=… cargo run -p fanfare-client --example chat https://api.example.com/v1/chat/completions MODEL
//! ```
//!
//! Without a URL it talks to a stand-in that answers as such APIs do.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use fanfare_client::{EventSource, RetryPolicy};
use fanfare_scripted_server::{Playback, Script, ScriptedServer};
use http::Method;
use serde::Deserialize;
use serde_json::json;

/// The part of a chunk that has the text.
#[derive(Deserialize)]
struct Chunk {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stand_in = stand_in().await?;
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| stand_in.url("/v1/chat/completions"));
    let model = arguments.next().unwrap_or_else(|| "stand-in".to_owned());
    let key = std::env::var("API_KEY").unwrap_or_else(|_| "none".to_owned());

    let mut tokens = EventSource::builder(&url)
        .method(Method::POST)
        .bearer_token(&key)?
        .json(&json!({
            "model": model,
            "stream": true,
            "messages": [{"role": "user", "content": "What is an event stream?"}],
        }))?
        // An answer is asked for once: asking again would be paid again, and begin from the start.
        .retry(RetryPolicy::never())
        .idle_timeout(Duration::from_secs(60))
        .stream()?;

    let mut out = std::io::stdout().lock();
    while let Some(event) = tokens.next().await {
        let event = event?;
        if event.data() == "[DONE]" {
            writeln!(out)?;
            return Ok(());
        }
        let chunk: Chunk = event.json()?;
        for choice in chunk.choices {
            write!(out, "{}", choice.delta.content.unwrap_or_default())?;
        }
        // A terminal shows a token when it is there, and not at the end of the line.
        out.flush()?;
    }
    Err("the answer ended before [DONE]: it is not whole".into())
}

/// An API that says one sentence, a word at a time, with the comments and the empty first chunk that real ones send.
async fn stand_in() -> std::io::Result<Playback> {
    let chunk = |delta: serde_json::Value| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]}));
    let start = Script::chunked_event_stream().chunk(": processing\n\n").chunk(chunk(json!({"role": "assistant"})));
    let answer = "An event stream is a response that goes on: one block of lines for each thing that happens.";
    let script = answer
        .split_inclusive(' ')
        .fold(start, |script, word| script.pause(Duration::from_millis(20)).chunk(chunk(json!({"content": word}))));
    // It stays open after the end: what ends the program is `[DONE]`.
    Ok(ScriptedServer::start().await?.play([script.chunk("data: [DONE]\n\n").hang()]))
}
