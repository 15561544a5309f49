//! For which name a hub without keys answers.

use axum::extract::Request;
use http::Version;
use http::header::HOST;
use http::uri::Authority;

use crate::http::Problem;
use crate::origin::is_address_or_localhost;

/// Refuses requests for a name that is not this machine's own: a foreign page can make its own name point to
/// 127.0.0.1, and the browser then takes the hub for a part of that page's site (DNS rebinding).
pub(crate) fn check(request: &Request) -> Result<(), Problem> {
    match authority(request)? {
        Some(authority) if !is_address_or_localhost(&authority) => {
            let detail = "without keys this hub answers to an IP address or localhost, not to";
            Err(Problem::misdirected(format!("{detail} {}", authority.host())))
        }
        _ => Ok(()),
    }
}

/// The name that the request is for. HTTP/1.0 needs none, and no browser speaks it.
fn authority(request: &Request) -> Result<Option<Authority>, Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (request.uri().authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => Ok(Some(authority.clone())),
        (None, Some(host), None) => {
            let authority = Authority::try_from(host.as_bytes());
            authority.map(Some).map_err(|_| Problem::bad_request("the Host header is not a host"))
        }
        (None, None, _) if request.version() < Version::HTTP_11 => Ok(None),
        (None, None, _) => Err(Problem::bad_request("the Host header is missing")),
        (None, Some(_), Some(_)) => Err(Problem::bad_request("there are several Host headers")),
    }
}
