//! The classic tutorial on server-sent events, as an axum application on port 3000.
//!
//! ```text
//! cargo run -p fanfare-server --features axum --example counter
//! ```
//!
//! * `/` is a page that logs what it hears, with a button that calls `close()`;
//! * `/events` sends `retry: 1000` and then a counter each second;
//! * `/api/heartbeat` sends events named `heartbeat` with the data `OK`;
//! * `/api/my-events` sends JSON data.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use fanfare_server::{Event, EventStream};
use futures_util::{Stream, StreamExt, stream};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 3000)).await?;
    #[expect(clippy::print_stdout, reason = "an example speaks to the person who runs it")]
    {
        println!("Listening on http://{}", listener.local_addr()?);
    }
    axum::serve(listener, app()).await
}

/// The whole application.
pub fn app() -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("counter.html"))))
        .route("/events", get(counter))
        .route("/api/heartbeat", get(heartbeat))
        .route("/api/my-events", get(my_events))
}

/// 1, 2, 3 and so on, one each second, counted for each connection anew.
async fn counter() -> impl IntoResponse {
    let events = seconds().map(|second| Event::data(second.to_string()));
    classic(EventStream::new(events).retry(Duration::from_secs(1)))
}

async fn heartbeat() -> impl IntoResponse {
    let events = seconds().filter_map(async |_| Some(Event::data("OK").with_type("heartbeat".try_into().ok()?)));
    classic(EventStream::new(events))
}

async fn my_events() -> impl IntoResponse {
    let events = seconds().map(|second| Event::data(serde_json::json!({ "second": second, "unit": "s" }).to_string()));
    classic(EventStream::new(events))
}

/// The headers that the tutorials set. `*` is for streams that anyone may read: a browser then sends no cookies.
fn classic(events: impl IntoResponse) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-cache"), (CONNECTION, "keep-alive"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")], events)
}

fn seconds() -> impl Stream<Item = u64> {
    stream::unfold(1, async |second| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((second, second + 1))
    })
}
