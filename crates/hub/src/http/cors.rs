//! Which pages of other origins may call: one policy for reading, a stricter one for publishing.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::Method;
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, VARY,
};
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};

use crate::AllowedOrigin;
use crate::http::REQUEST_ID;
use crate::http::access::may_publish_from;
use crate::http::subscriptions::NODE;
use crate::origin::{is_loopback_origin, is_named};
use crate::settings::Settings;

/// How long a browser may remember the answer to a preflight. Longer than two hours no browser does.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(7200);

/// What pages of other origins may do.
#[derive(Debug)]
pub(crate) struct Policies {
    reading: CorsLayer,
    publishing: CorsLayer,
}

impl Policies {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { reading: reading(settings), publishing: publishing(settings) }
    }

    /// Has browsers let allowed pages read the answer, and no others.
    pub(crate) async fn answer<S>(&self, request: Request, mut routes: S) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        // A browser that publishes says for which page. Nobody else pays for the policy, of which each request takes a
        // copy; but the answer says that another one could have been given.
        if request.method() == Method::POST && !request.headers().contains_key(ORIGIN) {
            let Ok(mut response) = routes.call(request).await;
            response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
            return response;
        }
        let policy = if is_publish(&request) { &self.publishing } else { &self.reading };
        let Ok(response) = policy.layer(routes).oneshot(request).await;
        response
    }
}

/// A preflight asks on behalf of the method that will follow.
fn is_publish(request: &Request) -> bool {
    match request.headers().get(ACCESS_CONTROL_REQUEST_METHOD) {
        Some(asked) if request.method() == Method::OPTIONS => asked == "POST",
        _ => request.method() == Method::POST,
    }
}

fn reading(settings: &Settings) -> CorsLayer {
    let (origins, is_open) = (settings.cors_origins.clone(), settings.authorization.is_open());
    let is_any = |origin: &AllowedOrigin| origin.is_any();
    let allowed = if origins.iter().any(is_any) && (is_open || origins.iter().all(is_any)) {
        AllowOrigin::any()
    } else {
        AllowOrigin::predicate(move |origin, _| {
            let may = |origin| is_open && is_loopback_origin(origin) || origins.iter().any(|one| one.allows(origin));
            text(origin).is_some_and(may)
        })
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_credentials(credentials(settings, &settings.cors_origins))
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([AUTHORIZATION, CACHE_CONTROL, LAST_EVENT_ID])
        .expose_headers([LAST_EVENT_ID, NODE, REQUEST_ID])
        .max_age(PREFLIGHT_MAX_AGE)
}

fn publishing(settings: &Settings) -> CorsLayer {
    let (origins, authorization) = (settings.publish_origins.clone(), settings.authorization.clone());
    let allowed = AllowOrigin::predicate(move |origin, _| {
        text(origin).is_some_and(|origin| may_publish_from(origin, &authorization, &origins))
    });
    let headers = ["event-type", "event-id", "idempotency-key"].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_credentials(credentials(settings, &settings.publish_origins))
        .allow_methods([Method::POST])
        .allow_headers(headers.into_iter().chain([AUTHORIZATION, CONTENT_TYPE]).collect::<Vec<_>>())
        .expose_headers([REQUEST_ID])
        .max_age(PREFLIGHT_MAX_AGE)
}

/// Cookies are let through for origins that are named, never for any at all: a page that anyone can make would read what
/// its visitor may. Without keys there are none to send.
fn credentials(settings: &Settings, named: &[AllowedOrigin]) -> AllowCredentials {
    let (named, is_open) = (named.to_vec(), settings.authorization.is_open());
    AllowCredentials::predicate(move |origin, _| {
        !is_open && text(origin).is_some_and(|origin| is_named(origin, &named))
    })
}

const LAST_EVENT_ID: HeaderName = fanfare_server::LastEventId::HEADER;

fn text(origin: &HeaderValue) -> Option<&str> {
    origin.to_str().ok()
}
