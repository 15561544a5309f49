//! What must not reach another origin, a log line or a `Debug` output.

use std::fmt;

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, HeaderName};
use url::Url;

/// Marks what HTTP knows as credentials as sensitive: `Debug` hides such values, and HTTP/2 keeps them out of the
/// compression tables that an attacker can probe (RFC 7541, section 7.1).
pub(crate) fn mark_sensitive(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if is_credential(name) {
            value.set_sensitive(true);
        }
    }
}

/// Removes what HTTP knows as credentials, and whatever the user marked as sensitive, an API key for example.
pub(crate) fn remove(headers: &mut HeaderMap) {
    let is_out = |name: &HeaderName| is_credential(name) || headers.get_all(name).iter().any(|it| it.is_sensitive());
    let names: Vec<_> = headers.keys().filter(|name| is_out(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn is_credential(name: &HeaderName) -> bool {
    [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE].contains(name)
}

/// Shows a URL without its user, password, query and fragment: tokens travel in all four.
pub(crate) struct Redacted<'a>(pub(crate) &'a Url);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.has_host() {
            write!(f, "{}://", self.0.scheme())?;
            f.write_str(self.0.host_str().unwrap_or_default())?;
            if let Some(port) = self.0.port() {
                write!(f, ":{port}")?;
            }
            f.write_str(self.0.path())
        } else {
            // `mailto:who@example.com`: the whole rest is the path.
            write!(f, "{}:", self.0.scheme())
        }
    }
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The same for what does not parse, or not yet: what stands after the last `@` and before the query. In this order: a
/// password with a bare `?` or `#` is a common reason why a URL does not parse.
pub(crate) fn redacted_text(text: &str) -> &str {
    let text = text.rsplit('@').next().unwrap_or_default();
    text.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_text_that_is_no_url_is_shown_without_what_may_be_secret() {
        for (text, expected) in [
            ("http://user:hush#x@example.com/a", "example.com/a"),
            ("http://user:hu?sh@example.com/?t=hush", "example.com/"),
            ("http://exa mple/?t=hush#hush", "http://exa mple/"),
            ("", ""),
        ] {
            assert_eq!(redacted_text(text), expected);
        }
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (url, expected) in [
            ("https://user:hush@example.com:8443/a/b?token=hush#hush", "https://example.com:8443/a/b"),
            ("http://hush@[::1]/", "http://[::1]/"),
            ("http://example.com:80", "http://example.com/"),
            ("mailto:hush@example.com", "mailto:"),
            ("about:blank", "about:"),
        ] {
            assert_eq!(Redacted(&Url::parse(url).unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn text_is_shown_without_what_may_be_secret() {
        for (text, expected) in [
            ("http://user:hush@bad host/a?token=hush", "bad host/a"),
            ("http://this is invalid/", "http://this is invalid/"),
            ("/next?token=hush#hush", "/next"),
            ("", ""),
        ] {
            assert_eq!(redacted_text(text), expected);
        }
    }

    #[test]
    fn credentials_are_what_http_says_and_what_the_user_marks() {
        let mut key = HeaderValue::from_static("hush");
        key.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_static("first"));
        headers.append("x-api-key", key);
        headers.insert("x-trace", HeaderValue::from_static("7"));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer hush"));
        headers.insert(COOKIE, HeaderValue::from_static("a=hush"));
        mark_sensitive(&mut headers);
        assert!(!format!("{headers:?}").contains("hush"), "{headers:?}");
        remove(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-trace"]);
    }
}
