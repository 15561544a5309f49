//! Where a redirect leads (C14), as section 4.4 of the Fetch standard says: "HTTP-redirect fetch".

use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, LOCATION, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use crate::credentials::{self, Redacted, redacted_text};
use crate::{Error, Kind};

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Turns `request` into the one that `response`, a redirect, asks for.
///
/// Credentials stay behind when it leads to another origin: what is meant for one server is not for whomever it
/// names. The last event id goes along, as in browsers. The client would add its `client_credentials` again, were there
/// no header of the same name: an empty one.
pub(crate) fn follow(
    mut request: reqwest::Request,
    response: &reqwest::Response,
    client_credentials: &[HeaderName],
) -> Result<reqwest::Request, Error> {
    let status = response.status();
    let url = target(request.url(), response.headers()).map_err(|error| {
        let mut headers = response.headers().clone();
        credentials::mark_sensitive(&mut headers);
        error.with_head(status, headers)
    })?;
    tracing::debug!(status = status.as_u16(), to = %Redacted(&url), "redirected");
    if becomes_get(status, request.method()) {
        *request.method_mut() = Method::GET;
        *request.body_mut() = None;
        for name in
            [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, TRANSFER_ENCODING]
        {
            request.headers_mut().remove(name);
        }
    }
    if url.origin() != request.url().origin() {
        credentials::remove(request.headers_mut());
        for name in client_credentials {
            request.headers_mut().insert(name, HeaderValue::from_static(""));
        }
    }
    *request.url_mut() = url;
    Ok(request)
}

/// `Location`, resolved against the URL that named it. Empty would mean the same URL for ever.
fn target(from: &Url, headers: &HeaderMap) -> Result<Url, Error> {
    let location = headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let location = location.as_deref().unwrap_or_default().trim();
    if location.is_empty() {
        return Err(Error::new(Kind::Redirect, "the server redirects without saying where"));
    }
    let refused = || {
        let shown = redacted_text(location);
        Error::new(Kind::Redirect, format!("the server redirects to {shown:?}, which is no HTTP URL"))
    };
    let mut url = from.join(location).map_err(|error| refused().with_source(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused());
    }
    if url.fragment().is_none() {
        url.set_fragment(from.fragment());
    }
    Ok(url)
}

fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301 | 302 => method == Method::POST,
        303 => method != Method::GET && method != Method::HEAD,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c14_a_location_is_resolved_or_refused() {
        let from = Url::parse("http://a.example/x/y?q#part").unwrap();
        for (location, expected) in [
            (Some("http://b.example/z"), Some("http://b.example/z#part")),
            (Some("z"), Some("http://a.example/x/z#part")),
            (Some("/z#other"), Some("http://a.example/z#other")),
            (Some("//b.example"), Some("http://b.example/#part")),
            (Some("?r"), Some("http://a.example/x/y?r#part")),
            (Some("/é"), Some("http://a.example/%C3%A9#part")),
            (Some(""), None),
            (Some("  "), None),
            (None, None),
            (Some("ftp://a.example/"), None),
            (Some("http://this is invalid/"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(location) = location {
                headers.insert(LOCATION, HeaderValue::from_bytes(location.as_bytes()).unwrap());
            }
            let url = target(&from, &headers);
            assert_eq!(url.as_ref().ok().map(Url::as_str), expected, "{location:?}");
            assert!(url.is_ok() || url.unwrap_err().kind() == Kind::Redirect, "{location:?}");
        }
    }

    #[test]
    fn c14_the_method_changes_as_fetch_says() {
        for (status, method, expected) in [
            (301, Method::POST, true),
            (302, Method::POST, true),
            (302, Method::PUT, false),
            (303, Method::PUT, true),
            (303, Method::GET, false),
            (307, Method::POST, false),
            (308, Method::POST, false),
        ] {
            assert_eq!(becomes_get(StatusCode::from_u16(status).unwrap(), &method), expected, "{status} {method}");
        }
    }
}
