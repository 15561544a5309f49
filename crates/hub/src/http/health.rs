//! What orchestrators and Prometheus ask.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::Hub;

/// The process answers.
pub(crate) async fn live() -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], "live\n")
}

/// New subscribers and publishers are welcome.
pub(crate) async fn ready(State(hub): State<Hub>) -> impl IntoResponse {
    let trouble = if hub.is_draining() { Some("the hub is stopping".to_owned()) } else { hub.shared.engine.unready() };
    let (status, line) = match trouble {
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
        None => (StatusCode::OK, "ready".to_owned()),
    };
    (status, [(CACHE_CONTROL, "no-store")], line + "\n")
}

/// Prometheus metrics.
pub(crate) async fn metrics(State(hub): State<Hub>) -> impl IntoResponse {
    let headers =
        [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (headers, hub.exposition())
}
