//! The model: anything that streams chat completions as OpenAI's API does.

use std::fmt;
use std::time::Duration;

use axum::http::Method;
use fanfare_client::{Error, EventSource, EventSourceBuilder, Events, RetryPolicy};
use serde::{Deserialize, Serialize};

/// Where answers come from. A clone asks the same model.
#[derive(Clone)]
pub(crate) struct Upstream {
    url: String,
    model: String,
    key: Option<String>,
}

/// Arguments that can't be used, and what to do about them.
#[derive(Debug)]
pub(crate) struct Invalid(String);

impl Upstream {
    /// The model `model` at `url`, which gets the bearer token `key`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if `url` is no URL of HTTP, or the key can be in no header.
    pub(crate) fn new(url: &str, model: &str, key: Option<String>) -> Result<Self, Invalid> {
        let upstream = Self { url: url.to_owned(), model: model.to_owned(), key };
        // Whatever is wrong is told at the start, and not by each answer.
        match upstream.request("").and_then(EventSourceBuilder::stream) {
            Ok(_) => Ok(upstream),
            Err(error) => Err(Invalid(error.to_string())),
        }
    }

    /// Reads `--upstream URL` and `--model NAME`. `None` if there is no `--upstream`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if there is anything else, or it can't be used.
    pub(crate) fn from_arguments(
        arguments: impl IntoIterator<Item = String>,
        key: Option<String>,
    ) -> Result<Option<Self>, Invalid> {
        let (mut url, mut model) = (None, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let place = match argument.as_str() {
                "--upstream" => &mut url,
                "--model" => &mut model,
                _ => {
                    return Err(Invalid(format!(
                        "{argument:?} is not known: there are --upstream URL and --model NAME"
                    )));
                }
            };
            *place = Some(arguments.next().ok_or_else(|| Invalid(format!("{argument} needs a value")))?);
        }
        match (url, model) {
            (Some(url), Some(model)) => Self::new(&url, &model, key).map(Some),
            (Some(_), None) => Err(Invalid("--upstream needs --model NAME: the provider's name of a model".to_owned())),
            (None, Some(_)) => Err(Invalid("--model needs --upstream URL".to_owned())),
            (None, None) => Ok(None),
        }
    }

    /// Asks for an answer to `prompt`. The request is made when the answer is read.
    pub(crate) fn ask(&self, prompt: &str) -> Answer {
        let events = self.request(prompt).and_then(EventSourceBuilder::stream);
        Answer { events: events.map_err(Some) }
    }

    fn request(&self, prompt: &str) -> Result<EventSourceBuilder, Error> {
        let request =
            Request { model: &self.model, stream: true, messages: [Message { role: "user", content: prompt }] };
        let builder = EventSource::builder(&self.url)
            .method(Method::POST)
            .json(&request)?
            // Asked again, a model makes another answer, which does not go on where the first broke off.
            .retry(RetryPolicy::never())
            // A model may think for long before it says anything.
            .idle_timeout(Duration::from_secs(120))
            .max_event_size(1 << 20)
            .stop_after(|event| event.data() == DONE);
        match &self.key {
            Some(key) => builder.bearer_token(key),
            None => Ok(builder),
        }
    }
}

/// How an answer ends that is whole.
const DONE: &str = "[DONE]";

/// An answer as it is made. Dropping it closes the connection, and the model stops.
pub(crate) struct Answer {
    events: Result<Events, Option<Error>>,
}

impl Answer {
    /// The next piece of text; what went wrong, in words for people, after which there is nothing more; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<String, String>> {
        loop {
            let events = match &mut self.events {
                Ok(events) => events,
                Err(error) => return error.take().map(|error| Err(error.to_string())),
            };
            let failure = match events.next().await {
                Some(Ok(event)) if event.data() == DONE => return None,
                None => "the model's stream ended before its answer did".to_owned(),
                Some(Ok(event)) => match event.json::<Chunk>() {
                    Ok(chunk) => match chunk.text() {
                        // The first chunk names the role, the last one the reason for the end.
                        Ok(text) if text.is_empty() => continue,
                        Ok(text) => return Some(Ok(text)),
                        Err(reason) => reason,
                    },
                    Err(error) => error.to_string(),
                },
                Some(Err(error)) => error.to_string(),
            };
            self.events = Err(None);
            return Some(Err(failure));
        }
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    stream: bool,
    messages: [Message<'a>; 1],
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

/// A chunk of an answer, of which only the text is wanted, or the error that providers send within a stream.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Piece,
}

#[derive(Deserialize)]
struct Piece {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

impl Chunk {
    fn text(self) -> Result<String, String> {
        match self.error {
            Some(failure) => Err(failure.message),
            None => Ok(self.choices.into_iter().filter_map(|choice| choice.delta.content).collect()),
        }
    }
}

/// Without the key.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.model, self.url.split(['?', '#']).next().unwrap_or_default())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}
