//! A vote that all who look at it see change, with Datastar: events patch elements and signals, and the page has no script
//! of its own.
//!
//! ```text
//! npm ci --ignore-scripts --prefix crates/server/examples/javascript
//! cargo run -p fanfare-server --features axum,channel,json --example datastar
//! ```
//!
//! The first command is needed once. `GET /events` streams the list and the sum of its votes at each change; posts are
//! answered by a stream too, of one event. npm has Datastar up to 1.0.0-beta.11. What came after it is one file to be
//! had from its authors, and other names for the same things; with `DATASTAR_JS=path/to/datastar.js` in the environment
//! the example serves that file and speaks as it wants.

mod patch;

#[path = "../javascript/mod.rs"]
mod javascript;

#[path = "../server.rs"]
mod server;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fanfare_server::{Channel, Event, EventStream, Subscriber, Subscription};
use futures_util::stream;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

pub(crate) use javascript::Scripts;
pub(crate) use patch::Version;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (router, channel) = match std::env::var_os("DATASTAR_JS") {
        Some(path) => app(Version::One, Scripts::default().with_file(ENTRY, std::path::Path::new(&path))?),
        None => app(Version::Beta, installed()?),
    };
    server::serve(router, channel).await
}

/// The module that the page loads.
const ENTRY: &str = "bundles/datastar";

/// More than these are refused: the list is one event.
const OPTIONS_MAX: usize = 100;
const NAME_CHARACTERS_MAX: usize = 100;

#[derive(Clone)]
struct Page {
    version: Version,
    channel: Channel,
    options: Arc<Mutex<Vec<Choice>>>,
    scripts: Arc<Scripts>,
}

struct Choice {
    name: String,
    votes: u64,
}

/// What Datastar sends along: the page's signals.
#[derive(Deserialize)]
struct Signals {
    name: String,
}

/// Datastar as npm installed it.
///
/// # Errors
///
/// If it did not.
pub(crate) fn installed() -> std::io::Result<Scripts> {
    Scripts::default().with_modules("@starfederation/datastar/dist")
}

/// The whole application for a version of Datastar, and the channel that its streams end with.
pub(crate) fn app(version: Version, scripts: Scripts) -> (Router, Channel) {
    // A change is two events, and the newest change is all there is to know.
    let channel = Channel::builder().retain_count(2).build();
    let page = Page { version, channel: channel.clone(), options: Arc::default(), scripts: Arc::new(scripts) };
    let router = Router::new()
        .route("/", get(show))
        .route("/scripts/{*name}", get(script))
        .route("/events", get(events))
        .route("/options", post(add))
        .route("/options/{number}/votes", post(vote))
        .layer(DefaultBodyLimit::max(4096))
        .with_state(page);
    (router, channel)
}

async fn show(State(page): State<Page>) -> Html<String> {
    Html(page.version.page(include_str!("page.html")))
}

/// The list. Text stays text, whatever is in it: that is `maud`'s doing.
fn list(options: &[Choice]) -> Markup {
    html! {
        ul id="options" {
            @for (number, Choice { name, votes }) in options.iter().enumerate() {
                li { button value=(number) { (name) } " " output { (votes) } }
            }
        }
    }
}

async fn add(State(page): State<Page>, Json(Signals { name }): Json<Signals>) -> Response {
    let is_changed = page.change(|options| {
        let is_taken =
            options.len() < OPTIONS_MAX && !name.trim().is_empty() && name.chars().count() <= NAME_CHARACTERS_MAX;
        if is_taken {
            options.push(Choice { name, votes: 0 });
        }
        is_taken
    });
    if !is_changed {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    page.answer(&json!({ "name": "" }))
}

async fn vote(State(page): State<Page>, Path(number): Path<usize>) -> Response {
    let is_changed = page.change(|options| options.get_mut(number).map(|option| option.votes += 1).is_some());
    if is_changed { page.answer(&json!({})) } else { StatusCode::NOT_FOUND.into_response() }
}

impl Page {
    fn options(&self) -> MutexGuard<'_, Vec<Choice>> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the list and tells everybody, while nobody else changes it: the newest event is the newest list.
    fn change(&self, change: impl FnOnce(&mut Vec<Choice>) -> bool) -> bool {
        let mut options = self.options();
        let votes = |options: &[Choice]| options.iter().map(|option| option.votes).sum::<u64>();
        let events = change(&mut options).then(|| -> [Event; 2] {
            let signals = json!({ "total": votes(&options) });
            [self.version.patch_elements(&list(&options).into_string()), self.version.patch_signals(&signals)]
        });
        // Only a channel that shuts down takes none, and then nobody is there to be told.
        events.is_some_and(|events| events.into_iter().all(|event| self.channel.publish("options", event).is_ok()))
    }

    /// Patches the signals of the page that asked.
    fn answer(&self, signals: &serde_json::Value) -> Response {
        EventStream::new(stream::iter([self.version.patch_signals(signals)])).into_response()
    }
}

async fn events(State(page): State<Page>, subscriber: Subscriber) -> Subscription {
    page.channel.subscribe(["options"]).to(subscriber).from_start().retry(Duration::from_secs(1))
}

async fn script(State(page): State<Page>, Path(name): Path<String>) -> Response {
    page.scripts.response(&name)
}
