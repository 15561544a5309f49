//! The application says who may do what.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;
use http::request::Parts;

use crate::access::Access;
use crate::authorization::Authorization;
use crate::grant::InvalidGrant;
use crate::grants::EqualGrants;
use crate::limits::AUTHORIZE_TIMEOUT;

/// What [`Authorization::asking`] asks.
#[derive(Clone)]
pub struct Hook {
    ask: Arc<dyn Fn(Parts) -> Asking + Send + Sync>,
    grants: Arc<EqualGrants>,
}

type Asking = Pin<Box<dyn Future<Output = Result<Access, Refusal>> + Send>>;

impl Authorization {
    /// Has the application say who may do what: `ask` gets the head of each request that publishes or subscribes,
    /// whatever way it came, and gives [`Access`] or a [`Refusal`]. No token is looked for.
    ///
    /// What the application's own middleware has put into the request's extensions is there, and axum's extractors read
    /// such a head. Below a prefix the path is without it. Who publishes is told by the method, `POST`; what, by the
    /// grant alone, because the topics may stand in the body.
    ///
    /// It must not block: with [`Hub::run`](crate::Hub::run) it is polled on threads that serve thousands of streams.
    /// After 10 seconds the request is refused for now.
    ///
    /// Browsers send cookies by themselves, also with what a foreign page posts. So a request to publish whose
    /// `Origin`, or else `Referer`, is neither the name that the request is for nor among
    /// [`Settings::publish_origins`](crate::Settings::publish_origins) is refused, and so is one with a cookie and
    /// neither header, unless the access is good [from any page](Access::from_any_page). Behind a proxy that changes
    /// `Host`, name the origin there. The hub does not look at `Host` otherwise: a hook that lets somebody publish who
    /// shows nothing at all should, or a foreign page can make its own name point here (DNS rebinding).
    ///
    /// ```
    /// use fanfare_hub::{Access, Authorization, Grant, Refusal, Topic};
    ///
    /// #[derive(Clone)]
    /// struct User(String); // what the application's middleware puts there
    ///
    /// let authorization = Authorization::asking(|request| async move {
    ///     let Some(User(name)) = request.extensions.get() else {
    ///         return Err(Refusal::unauthorized("log in first"));
    ///     };
    ///     let own = Topic::new(&format!("users/{name}")).map_err(|_| Refusal::forbidden("no topic can have this name"))?;
    ///     Ok(Access::from(Grant::default().with_subscribe([own])?))
    /// });
    /// ```
    pub fn asking<F, A>(ask: F) -> Self
    where
        F: Fn(Parts) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Access, Refusal>> + Send + 'static,
    {
        let ask = move |head| -> Asking { Box::pin(ask(head)) };
        Self::Application(Hook { ask: Arc::new(ask), grants: Arc::default() })
    }
}

impl Hook {
    /// What whoever sends this may do.
    pub(crate) async fn ask(&self, head: &Parts) -> Result<Access, Refusal> {
        let answer = tokio::time::timeout(AUTHORIZE_TIMEOUT, (self.ask)(head.clone())).await;
        let access = answer.unwrap_or_else(|_| Err(Refusal::unavailable("it took too long to say what you may do")))?;
        if access.revocation.as_ref().is_some_and(crate::Revocation::is_revoked) {
            return Err(Refusal::ended());
        }
        Ok(Access { grant: self.grants.one_for(access.grant), ..access })
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// Why an application does not let somebody in. The reason is told to whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) reason: Cow<'static, str>,
    pub(crate) challenge: Option<HeaderValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    Unauthorized,
    Forbidden,
    Unavailable,
    Failed,
}

/// What [`Refusal::unauthorized`] asks for. A 401 has to say how to do better (RFC 9110, section 15.5.2), and no scheme
/// is registered for the session of an application; this one makes no browser open a window for a password.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Session realm=\"fanfare\"");

impl Refusal {
    /// 401: nobody is logged in, or not any more. A browser's `EventSource` gives up for good, and so it should.
    pub fn unauthorized(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { challenge: Some(CHALLENGE), ..Self::new(RefusalKind::Unauthorized, reason.into()) }
    }

    /// 403: it is known who asks, and they may not.
    pub fn forbidden(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RefusalKind::Forbidden, reason.into())
    }

    /// 503: not now, such as when the sessions can't be read. A browser's `EventSource` is told to come back after some
    /// seconds.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RefusalKind::Unavailable, reason.into())
    }

    /// Sends `challenge` as `WWW-Authenticate`, in place of `Session realm="fanfare"` with a 401 and of nothing else.
    #[must_use]
    pub fn with_challenge(self, challenge: HeaderValue) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    /// What was granted has ended.
    pub(crate) fn ended() -> Self {
        Self::unauthorized("what you were granted has ended")
    }

    fn new(kind: RefusalKind, reason: Cow<'static, str>) -> Self {
        Self { kind, reason, challenge: None }
    }
}

/// 500: a bug of the application, which the log names and the answer does not.
impl From<InvalidGrant> for Refusal {
    fn from(error: InvalidGrant) -> Self {
        tracing::error!(%error, "the application granted what can't be granted");
        Self::new(RefusalKind::Failed, "what you may do could not be found out".into())
    }
}
