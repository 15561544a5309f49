//! The hub over HTTP: which request goes where.

mod problem;

mod form;

mod access;
mod cors;

pub(crate) mod subscribe;

mod batch;
mod mercure;
mod plain;
mod publish;

mod console;
mod health;

pub(crate) use problem::Problem;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use http::{Method, Uri};

use crate::Hub;
use crate::figures::Refusal;

impl Hub {
    /// The hub's HTTP interface, to be nested in an application or served as it is.
    ///
    /// [`run`](Self::run) adds what a server of its own needs: the check of `Host`, limits on connections, the drain.
    pub fn router(&self) -> Router {
        let routes = Router::new()
            .route("/", get(console::page))
            .route("/console/types", get(console::types))
            .route("/events", get(subscribe::any).post(batch::publish))
            .route("/events/{*topic}", get(subscribe::one).post(plain::publish))
            .route("/.well-known/mercure", get(mercure::subscribe).post(mercure::publish))
            .route("/metrics", get(health::metrics))
            .route("/health/live", get(health::live))
            .route("/health/ready", get(health::ready))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(from_fn_with_state(self.clone(), count_refusals))
            .with_state(self.clone());
        cors::guard(routes, &self.shared.settings)
    }
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}: see / for what there is", uri.path()))
}

async fn method_not_allowed(method: Method) -> Problem {
    Problem::method_not_allowed(format!("{method} is not among the methods that this path takes: see the header Allow"))
}

async fn count_refusals(
    State(hub): State<Hub>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        hub.shared.counters.refused.get_or_create(&Refusal { status: status.as_u16() }).inc();
    }
    response
}
