//! A list of things to do that all who look at it share, with htmx: events are HTML, and the page has no script of its own.
//!
//! ```text
//! npm ci --ignore-scripts --prefix crates/server/examples/javascript
//! cargo run -p fanfare-server --features axum,channel --example htmx
//! ```
//!
//! The first command is needed once. `GET /` is the page with the list as it is, `GET /events` an event `items` with the
//! whole list at each change, which htmx's extension for server-sent events puts in the old one's place. So nobody has to
//! be told what they missed: the newest event is all there is to know, and each connection begins with it.
//!
//! This is htmx 2, whose extension is a package of its own. In htmx 4 it is part of htmx, and wants `hx-sse:connect` and events
//! without a type.

#[path = "../javascript/mod.rs"]
mod javascript;

#[path = "../server.rs"]
mod server;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use fanfare_server::{Channel, Event, EventType, PublishError, Subscriber, Subscription};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use javascript::Scripts;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (router, channel) = app()?;
    server::serve(router, channel).await
}

/// More than these are refused: the list is one event.
const ITEMS_MAX: usize = 100;
const TEXT_CHARACTERS_MAX: usize = 200;

#[derive(Clone)]
struct Page {
    channel: Channel,
    items: Arc<Mutex<Vec<Item>>>,
    scripts: Arc<Scripts>,
}

struct Item {
    text: String,
    is_done: bool,
}

#[derive(Deserialize)]
struct NewItem {
    text: String,
}

/// The whole application, and the channel that its streams end with.
///
/// # Errors
///
/// If htmx is not installed.
pub(crate) fn app() -> std::io::Result<(Router, Channel)> {
    let scripts = Scripts::default()
        .with_installed("htmx", "htmx.org/dist/htmx.min.js")?
        .with_installed("sse", "htmx-ext-sse/dist/sse.min.js")?;
    let channel = Channel::builder().retain_count(1).build();
    let page = Page { channel: channel.clone(), items: Arc::default(), scripts: Arc::new(scripts) };
    let router = Router::new()
        .route("/", get(show))
        .route("/scripts/{name}", get(script))
        .route("/events", get(events))
        .route("/items", post(add))
        .route("/items/{number}/toggle", post(toggle))
        .layer(DefaultBodyLimit::max(4096))
        .with_state(page);
    Ok((router, channel))
}

async fn show(State(page): State<Page>) -> Markup {
    let items = list(&page.items());
    html! {
        (DOCTYPE)
        html lang="en" {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { "To do" }
            link rel="icon" href="data:,";
            // No attribute is run as a script, in the page or in an event.
            meta name="htmx-config" content=r#"{"allowEval":false,"includeIndicatorStyles":false}"#;
            style { (PreEscaped(include_str!("page.css"))) }
            script src="/scripts/htmx" {}
            script src="/scripts/sse" {}
            body hx-ext="sse" sse-connect="/events" {
                h1 { "To do, for all of us" }
                (form())
                ol id="items" sse-swap="items" { (items) }
            }
        }
    }
}

/// An empty form, which takes its own place once an item was added.
fn form() -> Markup {
    html! {
        form hx-post="/items" hx-swap="outerHTML" {
            input #text name="text" maxlength=(TEXT_CHARACTERS_MAX) placeholder="What is there to do?" required;
            " "
            button { "Add" }
        }
    }
}

/// The list's items. Text stays text, whatever is in it: that is `maud`'s doing.
fn list(items: &[Item]) -> Markup {
    html! {
        @for (number, item) in items.iter().enumerate() {
            li {
                button.done[item.is_done] hx-post={ "/items/" (number) "/toggle" } hx-swap="none" { (item.text) }
            }
        }
    }
}

async fn add(State(page): State<Page>, Form(NewItem { text }): Form<NewItem>) -> Result<Markup, StatusCode> {
    let status = page.change(|items| {
        let is_taken =
            items.len() < ITEMS_MAX && !text.trim().is_empty() && text.chars().count() <= TEXT_CHARACTERS_MAX;
        if is_taken {
            items.push(Item { text, is_done: false });
        }
        is_taken
    });
    if status.is_success() { Ok(form()) } else { Err(status) }
}

async fn toggle(State(page): State<Page>, Path(number): Path<usize>) -> StatusCode {
    page.change(|items| match items.get_mut(number) {
        Some(item) => {
            item.is_done = !item.is_done;
            true
        }
        None => false,
    })
}

impl Page {
    fn items(&self) -> MutexGuard<'_, Vec<Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the list and tells everybody, while nobody else changes it: the newest event is the newest list.
    fn change(&self, change: impl FnOnce(&mut Vec<Item>) -> bool) -> StatusCode {
        let mut items = self.items();
        if !change(&mut items) {
            return StatusCode::UNPROCESSABLE_ENTITY;
        }
        let Ok(event_type) = EventType::new("items") else { return StatusCode::INTERNAL_SERVER_ERROR };
        match self.channel.publish("items", Event::data(list(&items).into_string()).with_type(event_type)) {
            Ok(_) => StatusCode::NO_CONTENT,
            Err(PublishError::Closed) => StatusCode::SERVICE_UNAVAILABLE,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

async fn events(State(page): State<Page>, subscriber: Subscriber) -> Subscription {
    page.channel.subscribe(["items"]).to(subscriber).from_start().retry(Duration::from_secs(1))
}

async fn script(State(page): State<Page>, Path(name): Path<String>) -> Response {
    page.scripts.response(&name)
}
