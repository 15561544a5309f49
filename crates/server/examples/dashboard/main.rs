//! What this very program uses and does, as plots that move.
//!
//! ```text
//! cargo run -p fanfare-server --features axum,channel,json --example dashboard
//! ```
//!
//! `GET /events` streams a sample each second, and first the last five minutes of them: a page that was reloaded has its
//! plots back at once, and one that lost its connection gets what it missed. `POST /notes` with `{"text":"…"}` marks a
//! moment for all who look. Open the page a few times, and see what a subscriber costs.

mod figures;

#[path = "../server.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use fanfare_server::{Channel, Event, EventType, Subscriber, Subscription};
use serde::{Deserialize, Serialize};

use figures::Process;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dashboard = Dashboard::start(Duration::from_secs(1))?;
    let (router, channel) = (dashboard.app(), dashboard.channel.clone());
    Ok(server::serve(router, channel).await?)
}

/// The samples and notes of a while, and who gets them.
#[derive(Clone)]
pub(crate) struct Dashboard {
    pub(crate) channel: Channel,
    published: Arc<AtomicU64>,
    sample: EventType,
    note: EventType,
}

/// What is measured each time.
#[derive(Serialize)]
struct Sample {
    /// Milliseconds since 1970.
    time: u64,
    /// Of one processor, since the sample before: 100 is all of it.
    cpu_percent: f64,
    /// In memory; `null` where the system does not tell.
    memory_bytes: Option<u64>,
    subscribers: usize,
    /// Since the start.
    published: u64,
}

#[derive(Deserialize)]
struct NoteRequest {
    text: String,
}

#[derive(Serialize)]
struct Note {
    time: u64,
    text: String,
}

impl Dashboard {
    /// Takes a sample at each `pace`, until the channel is closed.
    ///
    /// # Errors
    ///
    /// If a type of event has a line break, which it has not.
    pub(crate) fn start(pace: Duration) -> Result<Self, fanfare_server::InvalidField> {
        let channel = Channel::builder().retain_age(Duration::from_secs(300)).retain_bytes(4 << 20).build();
        let (sample, note) = (EventType::new("sample")?, EventType::new("note")?);
        let dashboard = Self { channel, published: Arc::default(), sample, note };
        tokio::spawn(dashboard.clone().run(pace));
        Ok(dashboard)
    }

    /// The whole application.
    pub(crate) fn app(&self) -> Router {
        Router::new()
            .route("/", get(async || Html(include_str!("page.html"))))
            .route("/events", get(events))
            .route("/notes", post(take_note))
            .layer(DefaultBodyLimit::max(1024))
            .with_state(self.clone())
    }

    async fn run(self, pace: Duration) {
        let mut process = Process::new();
        let mut ticks = tokio::time::interval(pace);
        loop {
            ticks.tick().await;
            let sample = Sample {
                time: now(),
                cpu_percent: process.cpu_percent(),
                memory_bytes: figures::memory_bytes(),
                subscribers: self.channel.subscribers(),
                published: self.published.load(Ordering::Relaxed),
            };
            if !self.publish(&self.sample, &sample) {
                return;
            }
        }
    }

    /// Whether it was published: not while the program stops.
    fn publish(&self, event_type: &EventType, value: &impl Serialize) -> bool {
        let Ok(json) = serde_json::to_string(value) else { return false };
        let is_published = self.channel.publish("dashboard", Event::data(json).with_type(event_type.clone())).is_ok();
        self.published.fetch_add(u64::from(is_published), Ordering::Relaxed);
        is_published
    }
}

async fn events(State(dashboard): State<Dashboard>, subscriber: Subscriber) -> Subscription {
    dashboard.channel.subscribe(["dashboard"]).to(subscriber).from_start().retry(Duration::from_secs(1))
}

async fn take_note(State(dashboard): State<Dashboard>, Json(NoteRequest { text }): Json<NoteRequest>) -> StatusCode {
    let is_published = dashboard.publish(&dashboard.note, &Note { time: now(), text });
    if is_published { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[expect(clippy::disallowed_methods, reason = "a sample is of a time of day")]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
