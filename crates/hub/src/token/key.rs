//! The key that a token's signature is checked with.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind};

use crate::token::Algorithm;

/// A key and the one algorithm that it is for: no token can have it used with another one.
///
/// Its `Debug` shows no key.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: DecodingKey,
    is_short: bool,
}

impl VerifyingKey {
    /// Reads a key as operators write it: for the HS algorithms the secret itself, for all others a public key or
    /// certificate in PEM form.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if it is not a key for `algorithm`. In particular a key in PEM form is no secret: whoever has the
    /// public key could sign with it.
    pub fn new(text: &[u8], algorithm: Algorithm) -> Result<Self, InvalidKey> {
        let trimmed = text.trim_ascii();
        if trimmed.is_empty() {
            return Err(InvalidKey::Empty);
        }
        let is_pem = trimmed.starts_with(b"-----BEGIN ");
        if algorithm.is_symmetric() {
            if is_pem {
                return Err(InvalidKey::NoSecret(algorithm));
            }
            return Self::checked(DecodingKey::from_secret(text), algorithm);
        }
        if !is_pem {
            return Err(InvalidKey::NotPem(algorithm));
        }
        if trimmed.windows(b"PRIVATE KEY-----".len()).any(|part| part == b"PRIVATE KEY-----") {
            return Err(InvalidKey::Private);
        }
        let key = match algorithm.family() {
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(trimmed),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(trimmed),
            _ => DecodingKey::from_ed_pem(trimmed),
        };
        Self::checked(key.map_err(|_| InvalidKey::Kind(algorithm))?, algorithm)
    }

    /// A key that an issuer publishes.
    pub(super) fn from_jwk(jwk: &Jwk, algorithm: Algorithm) -> Result<Self, InvalidKey> {
        let curve = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(parameters) => Some(&parameters.curve),
            AlgorithmParameters::OctetKeyPair(parameters) => Some(&parameters.curve),
            _ => None,
        };
        if curve.is_some_and(|curve| Some(curve) != curve_of(algorithm).as_ref()) {
            return Err(InvalidKey::Kind(algorithm));
        }
        Self::checked(DecodingKey::from_jwk(jwk).map_err(|_| InvalidKey::Kind(algorithm))?, algorithm)
    }

    /// Finds now what would make each verification fail later.
    fn checked(key: DecodingKey, algorithm: Algorithm) -> Result<Self, InvalidKey> {
        let kind = InvalidKey::Kind(algorithm);
        if key.family() != algorithm.family() {
            return Err(kind);
        }
        let bytes = key.try_get_as_bytes().map(<[u8]>::len);
        let mut is_short = false;
        match (key.kind(), bytes) {
            (DecodingKeyKind::RsaModulusExponent { n, .. }, _) => check_rsa(n, algorithm)?,
            (DecodingKeyKind::SecretOrDer(der), _) if algorithm.family() == AlgorithmFamily::Rsa => {
                let components = (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der);
                check_rsa(&components.map_err(|_| kind)?.0, algorithm)?;
            }
            (_, Ok(0)) => return Err(InvalidKey::Empty),
            (_, Ok(length)) => match curve_of(algorithm) {
                None => is_short = length < algorithm.hash_bytes(),
                Some(curve) if length == public_bytes(&curve) => {}
                Some(_) => return Err(kind),
            },
            (_, Err(_)) => return Err(kind),
        }
        Ok(Self { algorithm, key, is_short })
    }

    /// The algorithm that it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it is a secret that is shorter than its algorithm's hash, and so may be guessed from a token. It works
    /// all the same: there are applications with such secrets.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.is_short
    }

    pub(super) fn key(&self) -> &DecodingKey {
        &self.key
    }
}

fn check_rsa(modulus: &[u8], algorithm: Algorithm) -> Result<(), InvalidKey> {
    let significant = modulus.iter().skip_while(|byte| **byte == 0).count();
    if (256..=1024).contains(&significant) { Ok(()) } else { Err(InvalidKey::Length(algorithm, significant * 8)) }
}

fn curve_of(algorithm: Algorithm) -> Option<EllipticCurve> {
    match algorithm.0 {
        jsonwebtoken::Algorithm::ES256 => Some(EllipticCurve::P256),
        jsonwebtoken::Algorithm::ES384 => Some(EllipticCurve::P384),
        jsonwebtoken::Algorithm::EdDSA => Some(EllipticCurve::Ed25519),
        _ => None,
    }
}

/// A public key on `curve`: a point without compression, or Ed25519's 32 bytes.
fn public_bytes(curve: &EllipticCurve) -> usize {
    match curve {
        EllipticCurve::P256 => 65,
        EllipticCurve::P384 => 97,
        _ => 32,
    }
}

/// A text that is no key for its algorithm. It never shows the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// There is nothing in it.
    #[error("the key is empty: make a secret with `openssl rand -base64 32`")]
    Empty,
    /// A PEM text where a secret belongs.
    #[error("a key in PEM form is no secret for {0}: set the algorithm that the key is for, such as RS256 or ES256")]
    NoSecret(Algorithm),
    /// Something else where a PEM text belongs.
    #[error("{0} takes a public key in PEM form, which begins with -----BEGIN PUBLIC KEY-----")]
    NotPem(Algorithm),
    /// The half that must stay with whoever signs.
    #[error("this is a private key: give the hub the public one alone, as `openssl pkey -pubout` writes it")]
    Private,
    /// A key of another kind or curve.
    #[error("this is not a key for {0}: set the algorithm that the key is for")]
    Kind(Algorithm),
    /// An RSA key of a length that is not safe.
    #[error("{0} takes RSA keys of 2048 to 8192 bits, and this one has about {1}")]
    Length(Algorithm, usize),
}
