//! Whether a browser lets a page of another origin read the stream.

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url};
use tokio::time::{Instant, timeout_at};

use super::cure::Fault;
use super::report::Check;
use super::stream::{Head, root};

/// The answer to a simple request, which is all that an `EventSource` makes (C5, C19).
pub(super) fn of_stream(head: &Head, origin: &HeaderValue) -> Check {
    let name = "cors";
    let origin = shown(origin);
    match allowed(&head.headers, &origin) {
        Allowed::Origin => {
            let cookies = head.headers.get("access-control-allow-credentials").is_some_and(|value| value == "true");
            let cookies = if cookies { ", with cookies" } else { ", without cookies" };
            Check::ok(name, format!("pages of {origin} may read it{cookies}"))
        }
        Allowed::Any => Check::ok(name, "pages of any origin may read it, without cookies"),
        Allowed::Other(other) => {
            let text = format!("only pages of {other} may read it, and {origin} is another: browsers refuse it");
            Check::problem(name, text, Fault::OriginRefused(origin))
        }
        Allowed::Twice => {
            let text = "Access-Control-Allow-Origin is there twice, and browsers refuse that";
            Check::problem(name, text, Fault::OriginTwice)
        }
        Allowed::No => {
            let text = format!("there is no Access-Control-Allow-Origin: browsers keep it from pages of {origin}");
            Check::problem(name, text, Fault::OriginRefused(origin))
        }
    }
}

/// Whether a page may send a token in a header, for which a browser asks beforehand. An `EventSource` can't, so that
/// nobody needs it who has no token.
pub(super) async fn preflight(client: &Client, url: Url, origin: &HeaderValue, until: Instant) -> Check {
    let name = "preflight";
    let request = client
        .request(Method::OPTIONS, url)
        .header("origin", origin.clone())
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization,last-event-id");
    let origin = shown(origin);
    let response = match timeout_at(until, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Check::unknown(name, format!("OPTIONS got no answer: {}", root(&error))),
        Err(_) => return Check::unknown(name, "OPTIONS got no answer in time"),
    };
    let headers = response.headers();
    let named = |name: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(|value| value.trim().to_ascii_lowercase()).collect::<Vec<_>>()
    };
    let may_send = named("access-control-allow-headers");
    let is_allowed = matches!(allowed(headers, &origin), Allowed::Origin | Allowed::Any);
    // `*` does not stand for Authorization (Fetch, CORS-preflight fetch).
    if response.status().is_success() && is_allowed && may_send.iter().any(|name| name == "authorization") {
        return Check::ok(name, format!("pages of {origin} may send a token in a header"));
    }
    let text = format!(
        "OPTIONS is answered with {} and does not allow {origin} the header Authorization: a page can't send a token in it",
        response.status()
    );
    Check::problem(name, text, Fault::PreflightRefused(origin))
}

enum Allowed {
    Origin,
    Any,
    Other(String),
    Twice,
    No,
}

fn allowed(headers: &HeaderMap, origin: &str) -> Allowed {
    let mut values = headers.get_all("access-control-allow-origin").iter();
    match (values.next(), values.next()) {
        (None, _) => Allowed::No,
        (Some(_), Some(_)) => Allowed::Twice,
        (Some(value), None) if value == "*" => Allowed::Any,
        (Some(value), None) if value == origin => Allowed::Origin,
        (Some(value), None) => Allowed::Other(String::from_utf8_lossy(value.as_bytes()).into_owned()),
    }
}

fn shown(origin: &HeaderValue) -> String {
    String::from_utf8_lossy(origin.as_bytes()).into_owned()
}
