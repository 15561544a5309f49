//! What every request passes before the routes, and what every answer passes after them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::Method;
use tower::Service;

use crate::Hub;
use crate::http::{cors, host};

/// The checks of `Host` and `Origin`, and the count of refusals.
///
/// One layer, and not one for each: around every layer axum puts a box for the service, one for the request on its way and
/// one for the answer, which took three times as long as the publish itself.
#[derive(Debug)]
pub(crate) struct Guard {
    hub: Hub,
    policies: cors::Policies,
    /// Whether the name matters that the hub is asked under. Who has to show a token can't be made to lend it to a page
    /// under a foreign name, since cookies are bound to names; and an application that embeds the hub has its own names.
    checks_host: bool,
}

impl Guard {
    pub(crate) fn new(hub: &Hub, is_server: bool) -> Self {
        let settings = &hub.shared.settings;
        let checks_host = is_server && settings.authorization.is_open();
        Self { hub: hub.clone(), policies: cors::Policies::new(settings), checks_host }
    }

    /// Puts it before `routes`.
    pub(crate) fn before(self: Arc<Self>, routes: Router) -> Router {
        let pass = async |State(guard): State<Arc<Self>>, request: Request, next: Next| guard.pass(request, next).await;
        routes.layer(from_fn_with_state(self, pass))
    }

    /// Has `routes` answer, if the request may pass.
    pub(crate) async fn pass<S>(&self, request: Request, routes: S) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let is_publish = request.method() == Method::POST;
        let checked = if self.checks_host { host::check(&request) } else { Ok(()) };
        let response = match checked {
            Ok(()) => self.policies.answer(request, routes).await,
            Err(problem) => problem.into_response(),
        };
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            self.hub.shared.counters.count_refusal(status, is_publish, self.hub.is_draining());
        }
        response
    }
}

/// The interface with nothing else around it, as a server of its own.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) guard: Arc<Guard>,
    pub(crate) routes: Router,
}

impl Server {
    /// For hyper.
    pub(crate) fn router(&self) -> Router {
        self.guard.clone().before(self.routes.clone())
    }

    /// The answer to a request: what the router gives, without the boxes that a layer of a router takes.
    pub(crate) fn answer(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let Self { guard, routes } = self.clone();
        async move { guard.pass(request, routes).await }
    }
}
