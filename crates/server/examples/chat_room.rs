//! A chat: rooms with a history, for whoever comes late or loses the connection.
//!
//! ```text
//! cargo run -p fanfare-server --features axum,channel,json --example chat_room
//! ```
//!
//! `POST /rooms/{room}` with `{"name":"…","text":"…"}` says something, `GET /rooms/{room}/events` streams what is said,
//! after the last 100 messages or so. Ctrl-C ends the streams before the server.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use fanfare_server::{Channel, PublishError, Subscriber, Subscription};
use serde::{Deserialize, Serialize};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 3000)).await?;
    #[expect(clippy::print_stdout, reason = "an example speaks to the person who runs it")]
    {
        println!("Listening on http://{}", listener.local_addr()?);
    }
    let channel = channel();
    let router = app(channel.clone());
    let stop = async move {
        // Ctrl-C can only fail to be listened to when it can't come either.
        let _ = tokio::signal::ctrl_c().await;
        channel.shutdown(Duration::from_secs(2)).retry(Duration::from_secs(1)).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

/// All rooms together keep so many messages.
pub fn channel() -> Channel {
    Channel::builder().retain_count(1000).build()
}

/// The whole application.
pub fn app(channel: Channel) -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("chat_room.html"))))
        .route("/rooms/{room}", post(say))
        .route("/rooms/{room}/events", get(listen))
        .layer(DefaultBodyLimit::max(4096))
        .with_state(channel)
}

#[derive(Deserialize, Serialize)]
struct Message {
    name: String,
    text: String,
}

async fn say(State(channel): State<Channel>, Path(room): Path<String>, Json(message): Json<Message>) -> StatusCode {
    match channel.publish_json(room, &message) {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(PublishError::Closed) => StatusCode::SERVICE_UNAVAILABLE,
        Err(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// A browser that lost its connection gets what it missed, a new one all that is kept.
async fn listen(State(channel): State<Channel>, Path(room): Path<String>, subscriber: Subscriber) -> Subscription {
    channel.subscribe([room]).to(subscriber).from_start().retry(Duration::from_secs(1))
}
