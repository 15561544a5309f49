//! The page at `/`, in one file, and what it needs beside the public interface.

use axum::Json;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;

use crate::Hub;
use crate::http::form::Form;
use crate::http::{Problem, access};

const PAGE: &str = include_str!("../console/page.html");

/// Nothing is loaded from anywhere, nothing is sent anywhere but here, and no other page may frame this one and trick
/// a person into publishing.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn page() -> impl IntoResponse {
    let headers: [(HeaderName, &str); 4] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(PAGE))
}

/// The hub's figures, for whoever may subscribe.
pub(crate) async fn figures(State(hub): State<Hub>, head: Parts) -> Result<impl IntoResponse, Problem> {
    let query = Form::parse(head.uri.query().unwrap_or_default())?;
    access::subscriber(&hub, &head, &query).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(hub.figures())))
}

/// The types of public events published lately, the oldest first, for whoever may subscribe.
pub(crate) async fn types(State(hub): State<Hub>, head: Parts) -> Result<impl IntoResponse, Problem> {
    let query = Form::parse(head.uri.query().unwrap_or_default())?;
    access::subscriber(&hub, &head, &query).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(hub.shared.recent_types.list())))
}
