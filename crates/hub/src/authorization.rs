//! Who may publish and subscribe.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fanfare_log::Timestamp;
use serde_json::value::RawValue;

use crate::access::{Access, Expiry};
use crate::clock::Clock;
use crate::grant::Grant;
use crate::grants::Grants;
use crate::hook::{Hook, Refusal};
use crate::party::Party;
use crate::revocation::Revocation;
use crate::token::{TokenError, Verifier};

/// How a hub decides what somebody may do. Every request that publishes or subscribes asks it, on whatever path.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Authorization {
    /// Everyone may do everything: for a hub that only its own machine can reach.
    #[default]
    Open,
    /// Tokens say who may do what.
    Tokens(Tokens),
    /// The application says, request by request: what [`asking`](Self::asking) makes.
    Application(Hook),
}

impl Authorization {
    /// Whether nobody is asked who they are.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether a key or an application says who may publish.
    pub(crate) fn guards_publishing(&self) -> bool {
        match self {
            Self::Open => false,
            Self::Tokens(tokens) => tokens.publisher.is_some(),
            Self::Application(_) => true,
        }
    }

    /// Begins to fetch published keys.
    pub(crate) fn keep_fresh(&self) {
        let Self::Tokens(tokens) = self else { return };
        [&tokens.publisher, &tokens.subscriber].into_iter().flatten().for_each(Verifier::keep_fresh);
    }
}

/// What somebody may do, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub(crate) grant: Arc<Grant>,
    pub(crate) left: Option<Duration>,
    pub(crate) revocation: Option<Revocation>,
    /// What its token says of it to others.
    pub(crate) payload: Option<Arc<RawValue>>,
    /// Whom limits are for, in place of an address.
    pub(crate) subject: Option<Party>,
}

impl Admission {
    /// Everything, for good: what everyone has on an open hub.
    pub(crate) fn to_everything() -> Self {
        Self::lasting(everything())
    }

    fn lasting(grant: Arc<Grant>) -> Self {
        Self { grant, left: None, revocation: None, payload: None, subject: None }
    }

    /// What `access` amounts to at the time `now`, if it has not ended.
    pub(crate) fn of(access: Access, now: Timestamp) -> Result<Self, Refusal> {
        let Access { grant, expiry, revocation, payload, .. } = access;
        let left = expiry.map(|expiry| match expiry {
            Expiry::In(left) => left,
            Expiry::At(time) => until(time, now),
        });
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Refusal::ended());
        }
        Ok(Self { grant, left, revocation, payload, subject: None })
    }
}

fn until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(time.0.saturating_sub(now.0))
}

/// Somebody who may not, or not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    NoToken,
    Token(TokenError),
    NobodyPublishes,
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// Which tokens are believed, and how they come.
#[derive(Debug, Clone)]
pub struct Tokens {
    publisher: Option<Verifier>,
    subscriber: Option<Verifier>,
    anonymous: bool,
    cookie_name: Arc<str>,
    grants: Arc<Grants>,
}

/// The cookie in which a page has its token, by the protocol.
const COOKIE_NAME: &str = "mercureAuthorization";

impl Tokens {
    /// Tokens that `verifier` believes let their holders publish and, until [`with_subscriber`](Self::with_subscriber)
    /// says otherwise, subscribe.
    #[must_use]
    pub fn of_publishers(verifier: Verifier) -> Self {
        Self::new(Some(verifier), None)
    }

    /// Tokens that `verifier` believes let their holders subscribe. Over HTTP nobody may publish.
    #[must_use]
    pub fn of_subscribers(verifier: Verifier) -> Self {
        Self::new(None, Some(verifier))
    }

    fn new(publisher: Option<Verifier>, subscriber: Option<Verifier>) -> Self {
        Self { publisher, subscriber, anonymous: false, cookie_name: COOKIE_NAME.into(), grants: Arc::default() }
    }

    /// Has `verifier` alone say who may subscribe.
    #[must_use]
    pub fn with_subscriber(self, verifier: Verifier) -> Self {
        Self { subscriber: Some(verifier), ..self }
    }

    /// Lets subscribers without a token have the public updates.
    #[must_use]
    pub fn with_anonymous(self) -> Self {
        Self { anonymous: true, ..self }
    }

    /// Takes the token of a page from this cookie, in place of `mercureAuthorization`.
    ///
    /// # Errors
    ///
    /// [`InvalidCookieName`] if no cookie can have it.
    pub fn with_cookie_name(self, name: &str) -> Result<Self, InvalidCookieName> {
        // A token in the sense of RFC 6265, section 4.1.1, and of HTTP.
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(InvalidCookieName(name.to_owned()));
        }
        Ok(Self { cookie_name: name.into(), ..self })
    }

    pub(crate) fn cookie_name(&self) -> &str {
        &self.cookie_name
    }

    /// What whoever publishes with `token` may do.
    pub(crate) async fn publisher(&self, token: Option<&str>, clock: &dyn Clock) -> Result<Admission, Refused> {
        // A key that is for subscribers alone lets nobody publish.
        let verifier = self.publisher.as_ref().ok_or(Refused::NobodyPublishes)?;
        let claims = verifier.verify(token.ok_or(Refused::NoToken)?, clock.now()).await?;
        Ok(Admission { subject: claims.subject, ..Admission::lasting(self.grants.of(claims.selectors)?) })
    }

    /// What whoever subscribes with `token` may see, and for how long.
    pub(crate) async fn subscriber(&self, token: Option<&str>, clock: &dyn Clock) -> Result<Admission, Refused> {
        let Some(token) = token else {
            return if self.anonymous { Ok(Admission::lasting(public_only())) } else { Err(Refused::NoToken) };
        };
        let claims = match self.subscriber.as_ref().or(self.publisher.as_ref()) {
            Some(verifier) => verifier.verify(token, clock.now()).await?,
            None => return Err(TokenError::Signature.into()),
        };
        // Keys may have had to be waited for.
        let left = claims.expires().map(|expires| until(expires, clock.now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(TokenError::Expired.into());
        }
        let (grant, payload) = (self.grants.of(claims.selectors)?, claims.payload);
        Ok(Admission { grant, left, revocation: None, payload, subject: claims.subject })
    }
}

/// Not the name of a cookie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` can't be the name of a cookie: use letters, digits, `-` and `_`")]
pub struct InvalidCookieName(String);

fn everything() -> Arc<Grant> {
    static EVERYTHING: LazyLock<Arc<Grant>> = LazyLock::new(|| Arc::new(Grant::everything()));
    EVERYTHING.clone()
}

fn public_only() -> Arc<Grant> {
    static PUBLIC: LazyLock<Arc<Grant>> = LazyLock::new(|| Arc::new(Grant::default()));
    PUBLIC.clone()
}
