//! From a token to its claims.

use fanfare_log::Timestamp;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};

use crate::limits::{GRANT_SELECTORS_MAX, TEMPLATES_MAX, TOKEN_BYTES_MAX};
use crate::token::claims::{Claims, Written};
use crate::token::keeper::{KeySet, KeySource};
use crate::token::{Algorithm, VerifyingKey};
use crate::topic::InvalidTopic;

/// Checks tokens: with one key, or with those that an issuer publishes. A handle: clones share the keys.
#[derive(Debug, Clone)]
pub struct Verifier(Keys);

#[derive(Debug, Clone)]
enum Keys {
    One(Box<VerifyingKey>),
    Published(KeySet),
}

impl Verifier {
    /// Checks tokens with this key.
    #[must_use]
    pub fn new(key: VerifyingKey) -> Self {
        Self::of(Keys::One(Box::new(key)))
    }

    /// Checks tokens with the keys that `source` gives, a JSON Web Key Set (RFC 7517). Those of another algorithm than
    /// `algorithm` are passed over; without it each key is for its own, which must not be a symmetric one.
    #[must_use]
    pub fn published(source: impl KeySource + 'static, algorithm: Option<Algorithm>) -> Self {
        Self::of(Keys::Published(KeySet::new(Box::new(source), algorithm)))
    }

    fn of(keys: Keys) -> Self {
        // An application may have the library built with several, and it would then panic for want of a choice. Where
        // one was chosen before, that is as good.
        let _ = DEFAULT_PROVIDER.install_default();
        Self(keys)
    }

    /// Begins to fetch the keys and keeps them fresh, as long as there is a verifier. Must be called in a tokio
    /// runtime. A [`Hub`](crate::Hub) does it for its own.
    pub fn keep_fresh(&self) {
        if let Keys::Published(keys) = &self.0 {
            keys.keep_fresh();
        }
    }

    /// Checks `token` at the time `now`. Waits only if it is signed with a key that was not seen yet.
    ///
    /// # Errors
    ///
    /// [`TokenError`] says as much of the reason as its holder may know.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        // What it names must be understood, and nothing of it is (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        match &self.0 {
            Keys::One(key) => check(token, &header, key, now),
            Keys::Published(keys) => keys.verify(token, &header, now).await,
        }
    }
}

/// Checks `token` with one key.
pub(super) fn check(token: &str, header: &Header, key: &VerifyingKey, now: Timestamp) -> Result<Claims, TokenError> {
    // A public key used as a secret is the classic forgery, so what the token says of its algorithm is only compared.
    if header.alg != key.algorithm().0 {
        return Err(TokenError::Signature);
    }
    let mut validation = Validation::new(key.algorithm().0);
    // The time is checked below, by the hub's own clock. An audience belongs to version 1.0 of the protocol.
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    let written = decode::<Written>(token, key.key(), &validation).map_err(|error| match error.kind() {
        ErrorKind::InvalidToken | ErrorKind::Base64(_) => TokenError::Malformed,
        // The signature was right before the claims were looked at.
        ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::InvalidClaimFormat(_) => TokenError::Claims,
        _ => TokenError::Signature,
    })?;
    written.claims.at(now)
}

/// A token that is not believed, in words that its holder may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is too large to be looked at.
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It is no token.
    #[error("the token is not a signed JSON Web Token")]
    Malformed,
    /// It was signed with another key or in another way than this hub takes.
    #[error("the token's signature is not one that this hub accepts")]
    Signature,
    /// Its time is over.
    #[error("the token has expired: get a new one")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet: is a clock wrong?")]
    NotYetValid,
    /// Its claims have another form.
    #[error(
        "the token's claims are not as they must be: `mercure` holds lists of strings, `exp` and `nbf` are numbers"
    )]
    Claims,
    /// It has more selectors than are taken.
    #[error(
        "the token has too many selectors: at most {GRANT_SELECTORS_MAX} each, {TEMPLATES_MAX} of them URI Templates"
    )]
    Selectors,
    /// One of its selectors is none.
    #[error("a selector in the token can't be: {0}")]
    Selector(InvalidTopic),
    /// It may be a good one, but the issuer's keys can't be had now.
    #[error("the keys that tokens are checked with can't be fetched now: try again")]
    KeysUnavailable,
}
