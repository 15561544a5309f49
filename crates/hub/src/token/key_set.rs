//! The keys that an issuer publishes (JSON Web Key Set, RFC 7517).

use fanfare_log::Timestamp;
use jsonwebtoken::Header;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;

use crate::limits::{KEY_SET_BYTES_MAX, KEY_SET_KEYS_MAX};
use crate::token::claims::Claims;
use crate::token::verifier::check;
use crate::token::{Algorithm, TokenError, VerifyingKey};

/// The keys of a set that may be used.
#[derive(Debug, Default)]
pub(super) struct PublishedKeys(Vec<PublishedKey>);

#[derive(Debug)]
struct PublishedKey {
    id: Option<String>,
    key: VerifyingKey,
}

impl PublishedKeys {
    /// Reads a set. A key that can't be used is passed over, as the standard asks: it may be for something else.
    pub(super) fn parse(text: &[u8], algorithm: Option<Algorithm>) -> Result<Self, InvalidKeySet> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        if text.len() > KEY_SET_BYTES_MAX {
            return Err(InvalidKeySet::TooLong);
        }
        let set: Set = serde_json::from_slice(text).map_err(|_| InvalidKeySet::Malformed)?;
        if set.keys.len() > KEY_SET_KEYS_MAX {
            return Err(InvalidKeySet::TooMany);
        }
        let keys: Vec<_> = set.keys.into_iter().filter_map(|key| usable(key, algorithm)).collect();
        // Taken at its word, a set without keys would shut everybody out; more likely somebody made a mistake.
        if keys.is_empty() { Err(InvalidKeySet::NoKey) } else { Ok(Self(keys)) }
    }

    /// Checks `token` with the key that its header names, or without a name with each that is for its algorithm. `None`
    /// if a key that was published since may be the right one.
    pub(super) fn verify(&self, token: &str, header: &Header, now: Timestamp) -> Option<Result<Claims, TokenError>> {
        let named = |one: &&PublishedKey| header.kid.is_none() || one.id == header.kid;
        let mut answer = None;
        for one in self.0.iter().filter(named) {
            match check(token, header, &one.key, now) {
                Err(TokenError::Signature) if header.kid.is_none() => {}
                Err(TokenError::Signature) => answer = Some(Err(TokenError::Signature)),
                checked => return Some(checked),
            }
        }
        answer
    }
}

fn usable(key: Value, algorithm: Option<Algorithm>) -> Option<PublishedKey> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let common = &jwk.common;
    let is_for_signatures = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let verifies = common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let own = match common.key_algorithm {
        Some(own) => Algorithm(own.try_into().ok()?),
        None => algorithm.or_else(|| usual_algorithm(&jwk.algorithm))?,
    };
    let is_allowed = algorithm.map_or_else(|| Algorithm::ASYMMETRIC.contains(&own), |allowed| own == allowed);
    if !is_for_signatures || !verifies || !is_allowed {
        return None;
    }
    let key = VerifyingKey::from_jwk(&jwk, own).ok()?;
    Some(PublishedKey { id: jwk.common.key_id, key })
}

/// The algorithm of a key that does not say which it is for.
fn usual_algorithm(parameters: &AlgorithmParameters) -> Option<Algorithm> {
    let algorithm = match parameters {
        AlgorithmParameters::RSA(_) => jsonwebtoken::Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
            EllipticCurve::P256 => jsonwebtoken::Algorithm::ES256,
            EllipticCurve::P384 => jsonwebtoken::Algorithm::ES384,
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => jsonwebtoken::Algorithm::EdDSA,
        _ => return None,
    };
    Some(Algorithm(algorithm))
}

/// What was fetched is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidKeySet {
    #[error("it is longer than {KEY_SET_BYTES_MAX} bytes")]
    TooLong,
    #[error("it is not a JSON Web Key Set: an object with the member `keys`")]
    Malformed,
    #[error("it has more than {KEY_SET_KEYS_MAX} keys")]
    TooMany,
    #[error("it has no key that verifies signatures of the algorithm that is set")]
    NoKey,
}
