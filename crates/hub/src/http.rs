//! The hub over HTTP: which request goes where.

mod problem;

mod form;

mod credentials;

mod access;
mod cors;
mod host;

mod journal;
mod request_id;

mod guard;

mod subscribe;
mod subscriptions;

mod batch;
mod mercure;
mod plain;
mod publish;

mod console;
mod health;

pub(crate) use guard::Server;
pub(crate) use journal::RefusalLines;
pub(crate) use problem::Problem;
pub(crate) use request_id::{REQUEST_ID, RequestId};
pub(crate) use subscribe::{Accepted, Declined, TakesOver};

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::Hub;
use crate::http::guard::Guard;
use crate::run::Excess;

impl Hub {
    /// The hub's HTTP interface, for an application that serves it with its own, merged or nested under a prefix.
    ///
    /// It asks the hub's [`Authorization`](crate::Authorization), and who may reach it otherwise is the application's
    /// to decide: what [`run`](Self::run) adds is, without keys, the check of `Host`, limits on connections, and the
    /// drain, for which there is [`stop`](Self::stop). Streams take the general path, not a shard's: some 30 KiB each,
    /// and a task for each connection.
    ///
    /// Nested at `/live`, the page is at `/live`; nested at `/live/`, at `/live/`. All else is the same, and links
    /// nowhere else.
    pub fn router(&self) -> Router {
        Arc::new(Guard::new(self, false)).before(self.routes())
    }

    /// The interface with nothing else around it, as a server of its own.
    pub(crate) fn server(&self) -> Server {
        Server { guard: Arc::new(Guard::new(self, true)), routes: self.routes().fallback(not_found) }
    }

    /// What a connection that is one too many is told, whatever it asks.
    pub(crate) fn full_server(&self, excess: Excess) -> Server {
        let problem = match excess {
            Excess::Hub => Problem::unavailable("the hub has as many connections as it takes: come back later"),
            Excess::Address => Problem::crowded("this address"),
        };
        let answer = move |State(hub): State<Self>, method: Method, headers: HeaderMap| {
            let problem = problem.clone();
            let mut response = if method == Method::GET {
                subscribe::refuse(&hub, &headers, &problem)
            } else {
                problem.into_response()
            };
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            std::future::ready(response)
        };
        let routes = Router::new().fallback(answer).with_state(self.clone());
        Server { guard: Arc::new(Guard::new(self, true)), routes }
    }

    fn routes(&self) -> Router {
        Router::new()
            .route("/", get(console::page))
            .route("/console/figures", get(console::figures))
            .route("/console/types", get(console::types))
            .route("/events", get(subscribe::any).post(batch::publish))
            .route("/events/{*topic}", get(subscribe::one).post(plain::publish))
            .route("/.well-known/mercure", get(mercure::subscribe).post(mercure::publish))
            .route("/.well-known/mercure/subscriptions", get(subscriptions::list))
            .route("/.well-known/mercure/subscriptions/{*rest}", get(subscriptions::list))
            .route("/metrics", get(health::metrics))
            .route("/health/live", get(health::live))
            .route("/health/ready", get(health::ready))
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(self.clone())
    }
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}: see / for what there is", uri.path()))
}

async fn method_not_allowed(method: Method) -> Problem {
    Problem::method_not_allowed(format!("{method} is not among the methods that this path takes: see the header Allow"))
}
