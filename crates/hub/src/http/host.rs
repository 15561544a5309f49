//! For which name a hub without keys answers.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Version};

use crate::http::Problem;
use crate::origin::is_address_or_localhost;

/// Refuses requests for a name that is not this machine's own: a foreign page can make its own name point to
/// 127.0.0.1, and the browser then takes the hub for a part of that page's site (DNS rebinding).
pub(crate) async fn check(request: Request, next: Next) -> Response {
    match authority(&request) {
        Ok(Some(authority)) if !is_address_or_localhost(&authority) => {
            let detail = "without keys this hub answers to an IP address or localhost, not to";
            Problem::misdirected(format!("{detail} {}", authority.host())).into_response()
        }
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The name that the request is for. HTTP/1.0 needs none, and no browser speaks it.
fn authority(request: &Request) -> Result<Option<Authority>, Problem> {
    let hosts: Vec<&HeaderValue> = request.headers().get_all(HOST).iter().collect();
    match (request.uri().authority(), hosts.as_slice()) {
        (Some(authority), _) => Ok(Some(authority.clone())),
        (None, [host]) => {
            let authority = Authority::try_from(host.as_bytes());
            authority.map(Some).map_err(|_| Problem::bad_request("the Host header is not a host"))
        }
        (None, []) if request.version() < Version::HTTP_11 => Ok(None),
        (None, []) => Err(Problem::bad_request("the Host header is missing")),
        (None, _) => Err(Problem::bad_request("there are several Host headers")),
    }
}
