//! What every request passes before the routes, and what every answer passes after them.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use tower::Service;
use tracing::Instrument;

use crate::Hub;
use crate::client_address::ClientAddress;
use crate::http::journal::Entry;
use crate::http::request_id::{REQUEST_ID, RequestId, RequestIds};
use crate::http::{Problem, cors, host};

/// The checks of `Host` and `Origin`, the name of the request, its line in the log, and the count of refusals.
///
/// One layer, and not one for each: around every layer axum puts a box for the service, one for the request on its way and
/// one for the answer, which took three times as long as the publish itself.
#[derive(Debug)]
pub(crate) struct Guard {
    hub: Hub,
    policies: cors::Policies,
    ids: RequestIds,
    /// Whether the name matters that the hub is asked under. Who has to show a token can't be made to lend it to a page
    /// under a foreign name, since cookies are bound to names; and an application that embeds the hub has its own names.
    checks_host: bool,
}

impl Guard {
    pub(crate) fn new(hub: &Hub, is_server: bool) -> Self {
        let settings = &hub.shared.settings;
        let checks_host = is_server && settings.authorization.is_open();
        let ids = RequestIds::new(hub.shared.seed());
        Self { hub: hub.clone(), policies: cors::Policies::new(settings), ids, checks_host }
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
        let id = RequestId::of(request.headers()).unwrap_or_else(|| self.ids.fresh());
        let settings = &self.hub.shared.settings;
        let client = ClientAddress::of_request(settings, request.extensions(), request.headers());
        let entry = Entry::begin(id, &request, client.map(ClientAddress::address));
        let is_head = request.method() == Method::HEAD;
        let answer = async {
            match if self.checks_host { host::check(&request) } else { Ok(()) } {
                Ok(()) => self.policies.answer(request, routes).await,
                Err(problem) => problem.into_response(),
            }
        };
        let mut response = answer.instrument(entry.span()).await;
        response.headers_mut().insert(REQUEST_ID, entry.id().header());
        self.note(&entry, &mut response, is_head);
        response
    }

    /// Counts a refusal, and names the request in it; has the log say what came of it.
    fn note(&self, entry: &Entry, response: &mut Response, is_head: bool) {
        let shared = &self.hub.shared;
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        if is_error {
            shared.counters.count_refusal(status, entry.is_publish(), self.hub.is_draining());
        }
        let problem = response.extensions_mut().remove::<Problem>();
        entry.end(response, problem.as_ref(), &shared.refusal_lines, shared.clock.now());
        if is_error
            && !is_head
            && let Some(problem) = problem
        {
            // Its length is another than what the routes have noted.
            response.headers_mut().remove(CONTENT_LENGTH);
            *response.body_mut() = Body::from(problem.document(Some(entry.id())));
        }
    }

    /// Counts and names what is no request, and so does not come by here.
    pub(crate) fn refuse_bytes(&self, peer: IpAddr) -> RequestId {
        let (id, shared) = (self.ids.fresh(), &self.hub.shared);
        let status = StatusCode::BAD_REQUEST;
        shared.counters.count_refusal(status, false, false);
        if shared.refusal_lines.may_say(shared.clock.now()).is_some() {
            let client = tracing::field::display(peer);
            tracing::info!(
                id = id.as_str(),
                status = status.as_u16(),
                client,
                "refused: no request that can be told apart"
            );
        }
        id
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
