//! Where a request carries its token: the header, else the query, else a cookie.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::http::Problem;
use crate::http::form::Form;

/// A token as it came. It has no `Debug`, and is written to no log.
pub(crate) struct Credential<'a> {
    pub(crate) token: &'a str,
    /// A browser sends cookies by itself, also for a page that is not the user's doing.
    pub(crate) is_cookie: bool,
}

/// The token of a request, if it has one. The first place that has something decides: falling back from a bad token to
/// another one would hide that it is bad.
pub(crate) fn find<'a>(
    headers: &'a HeaderMap,
    query: &'a Form,
    cookie_name: &str,
) -> Result<Option<Credential<'a>>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    if let Some(value) = values.next() {
        let token = bearer(value).filter(|_| values.next().is_none());
        let token = token.ok_or_else(|| Problem::bad_token("send one header `Authorization: Bearer TOKEN`"))?;
        return Ok(Some(Credential { token, is_cookie: false }));
    }
    if let Some(token) = query.one("authorization")? {
        return Ok(Some(Credential { token, is_cookie: false }));
    }
    Ok(cookie(headers, cookie_name).map(|token| Credential { token, is_cookie: true }))
}

/// The scheme's name may be in any case (RFC 9110, section 11.1).
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The first cookie of that name, as other servers take it. An empty one is none: so applications delete it.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // HTTP/2 may carry each pair in a header of its own.
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    let value = value.trim();
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    Some(unquoted).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found: the token, with `cookie:` before one that came so, `none`, or `refused`.
    fn check(headers: &[(&'static str, &'static str)], query: &str, expected: &str) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect::<Vec<_>>()
            .into_iter()
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            });
        let query = Form::parse(query).unwrap();
        let found = match find(&headers, &query, "mercureAuthorization") {
            Ok(Some(Credential { token, is_cookie: true })) => format!("cookie:{token}"),
            Ok(Some(credential)) => credential.token.to_owned(),
            Ok(None) => "none".to_owned(),
            Err(_) => "refused".to_owned(),
        };
        assert_eq!(found, expected, "{headers:?} {query:?}");
    }

    #[test]
    fn the_header_then_the_query_then_the_cookie() {
        const HEADER: (&str, &str) = ("authorization", "Bearer a");
        const COOKIE: (&str, &str) = ("cookie", "mercureAuthorization=c");
        check(&[HEADER, COOKIE], "authorization=b", "a");
        check(&[COOKIE], "authorization=b", "b");
        check(&[COOKIE], "topic=x", "cookie:c");
        check(&[COOKIE], "authorization=", "cookie:c");
        check(&[], "", "none");
    }

    #[test]
    fn the_header_is_a_bearer_token_or_refused() {
        check(&[("authorization", "bearer  a ")], "", "a");
        check(&[("authorization", "BEARER a")], "", "a");
        for value in ["a", "Bearer", "Bearer ", "Basic a", "Bearera", ""] {
            check(&[("authorization", value)], "authorization=b", "refused");
        }
        check(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], "", "refused");
        check(&[], "authorization=a&authorization=b", "refused");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let check = |value, expected| check(&[("cookie", value)], "", expected);
        check("a=b; mercureAuthorization=c; d=e", "cookie:c");
        check("a=b;mercureAuthorization=\"c\"", "cookie:c");
        check("mercureAuthorization=c; mercureAuthorization=d", "cookie:c");
        check("mercureAuthorization=c=d==", "cookie:c=d==");
        check("xmercureAuthorization=c; mercureauthorization=c", "none");
        check("mercureAuthorization=; a", "none");
        check("mercureAuthorization", "none");
    }

    #[test]
    fn cookies_may_come_in_several_headers() {
        check(&[("cookie", "a=b"), ("cookie", "mercureAuthorization=c")], "", "cookie:c");
    }
}
