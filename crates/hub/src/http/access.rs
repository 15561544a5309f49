//! Who is asking, and what they may do.

use std::sync::Arc;

use http::header::{COOKIE, HOST, ORIGIN, REFERER};
use http::request::Parts;
use http::{HeaderMap, Uri};

use crate::Hub;
use crate::authorization::{Admission, Authorization, Refused};
use crate::client_address::ClientAddress;
use crate::grant::Grant;
use crate::hook::{Refusal, RefusalKind};
use crate::http::form::Form;
use crate::http::{Problem, credentials};
use crate::origin::{AllowedOrigin, is_loopback_origin, is_named};
use crate::party::Party;
use crate::token::TokenError;

/// What whoever subscribes may see, or a refusal.
pub(crate) async fn subscriber(hub: &Hub, head: &Parts, query: &Form) -> Result<Admission, Problem> {
    let clock = &*hub.shared.clock;
    match &hub.shared.settings.authorization {
        Authorization::Open => Ok(Admission::to_everything()),
        Authorization::Tokens(tokens) => {
            let credential = credentials::find(&head.headers, query, tokens.cookie_name())?;
            let token = credential.as_ref().map(|credential| credential.token);
            Ok(tokens.subscriber(token, clock).await?)
        }
        Authorization::Application(hook) => Ok(Admission::of(hook.ask(head).await?, clock.now())?),
    }
}

/// Somebody who publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) grant: Arc<Grant>,
    /// Whom limits are for: the subject of its token, else its address.
    pub(crate) party: Party,
}

/// Whoever publishes, or a refusal.
pub(crate) async fn publisher(hub: &Hub, head: &Parts) -> Result<Publisher, Problem> {
    let (settings, headers) = (&hub.shared.settings, &head.headers);
    let admission = admit_publisher(hub, head).await?;
    let address =
        || ClientAddress::of_request(settings, &head.extensions, headers).map_or(Party::Unknown, ClientAddress::party);
    Ok(Publisher { grant: admission.grant, party: admission.subject.unwrap_or_else(address) })
}

async fn admit_publisher(hub: &Hub, head: &Parts) -> Result<Admission, Problem> {
    let (settings, clock) = (&hub.shared.settings, &*hub.shared.clock);
    let Parts { uri, headers, .. } = head;
    match &settings.authorization {
        Authorization::Open => {
            check_origin(headers, &settings.publish_origins)?;
            Ok(Admission::to_everything())
        }
        Authorization::Tokens(tokens) => {
            let query = Form::parse(uri.query().unwrap_or_default())?;
            let credential = credentials::find(headers, &query, tokens.cookie_name())?;
            if credential.as_ref().is_some_and(|credential| credential.is_cookie) {
                check_page(uri, headers, &settings.publish_origins)?;
            }
            let token = credential.map(|credential| credential.token);
            Ok(tokens.publisher(token, clock).await?)
        }
        Authorization::Application(hook) => {
            let access = hook.ask(head).await?;
            // What the application looked at is its own affair: any of it may be what a browser sends by itself.
            let may_be_a_page = [ORIGIN, REFERER, COOKIE].iter().any(|name| headers.contains_key(name));
            if may_be_a_page && !access.is_for_any_page {
                check_page(uri, headers, &settings.publish_origins)?;
            }
            Ok(Admission::of(access, clock.now())?)
        }
    }
}

/// The grant does not cover what was to be published.
pub(crate) fn may_not_publish(hub: &Hub) -> Problem {
    match hub.shared.settings.authorization {
        Authorization::Application(_) => Problem::forbidden("you may not publish on every one of these topics"),
        _ => Problem::insufficient_token("the token does not allow publishing on every one of these topics"),
    }
}

/// What somebody may do has ended, or does too soon for a stream to begin.
pub(crate) fn has_ended(hub: &Hub) -> Problem {
    match hub.shared.settings.authorization {
        Authorization::Application(_) => Refusal::ended().into(),
        _ => Problem::bad_token(TokenError::Expired),
    }
}

/// On an open hub a page of a foreign origin may not publish: browsers send a plain POST without asking first, so CORS
/// alone would only hide the answer from the page that has already published.
fn check_origin(headers: &HeaderMap, allowed: &[AllowedOrigin]) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    if origin.to_str().is_ok_and(|origin| is_loopback_origin(origin) || allowed.iter().any(|one| one.allows(origin))) {
        return Ok(());
    }
    Err(Problem::forbidden("pages of this origin may not publish: allow it with --publish-origin"))
}

/// A browser sends the cookie with whatever any page posts here (cross-site request forgery). So it counts only from a
/// page of the hub's own origin, or of one that was named, and that a page is asking must be said.
fn check_page(uri: &Uri, headers: &HeaderMap, allowed: &[AllowedOrigin]) -> Result<(), Problem> {
    let origin = match headers.get(ORIGIN) {
        Some(origin) => origin.to_str().ok().map(str::to_owned),
        None => headers.get(REFERER).and_then(|referer| origin_of(referer.to_str().ok()?)),
    };
    let Some(origin) = origin else {
        return Err(Problem::forbidden("a cookie publishes only with the header Origin or Referer"));
    };
    if is_own(&origin, uri, headers) || is_named(&origin, allowed) {
        return Ok(());
    }
    let detail = "pages of this origin may not publish with a cookie: name it with --publish-origin";
    Err(Problem::forbidden(detail))
}

/// The origin of the page at `url`, as a browser would write it.
fn origin_of(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    let authority = url.authority()?.as_str();
    (!authority.contains('@')).then(|| format!("{}://{authority}", url.scheme_str().unwrap_or_default()))
}

/// Whether `origin` has the name that the request is for. A hub behind a proxy does not know its own scheme.
fn is_own(origin: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let host = uri.authority().map(http::uri::Authority::as_str);
    let host = host.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()));
    let name = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    host.zip(name).is_some_and(|(host, name)| host.eq_ignore_ascii_case(name))
}

/// Whether CORS lets a page of `origin` publish.
pub(crate) fn may_publish_from(origin: &str, authorization: &Authorization, allowed: &[AllowedOrigin]) -> bool {
    authorization.is_open() && is_loopback_origin(origin) || allowed.iter().any(|one| one.allows(origin))
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoToken => Self::no_token(),
            Refused::Token(TokenError::KeysUnavailable) => Self::unavailable(TokenError::KeysUnavailable),
            Refused::Token(error) => Self::bad_token(error),
            Refused::NobodyPublishes => {
                Self::forbidden("nobody may publish here: the hub has a key for subscribers alone")
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(Refusal { kind, reason, challenge }: Refusal) -> Self {
        let problem = match kind {
            RefusalKind::Unauthorized => Self::unauthorized(reason),
            RefusalKind::Forbidden => Self::forbidden(reason),
            RefusalKind::Unavailable => Self::unavailable(reason),
            RefusalKind::Failed => Self::internal(reason),
        };
        problem.with_challenge(challenge)
    }
}
