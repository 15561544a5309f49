//! How tokens are signed.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
use jsonwebtoken::AlgorithmFamily;

/// A signature algorithm of RFC 7518, or EdDSA with Ed25519. `none` is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithm(pub(super) jsonwebtoken::Algorithm);

impl Algorithm {
    /// HMAC with SHA-256: one secret signs and verifies. What the protocol's examples use.
    pub const HS256: Self = Self(HS256);

    /// Those whose signatures a public key verifies.
    pub(super) const ASYMMETRIC: [Self; 9] = [
        Self(RS256),
        Self(RS384),
        Self(RS512),
        Self(PS256),
        Self(PS384),
        Self(PS512),
        Self(ES256),
        Self(ES384),
        Self(EdDSA),
    ];

    /// Whether its key is a secret that both sides hold.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        self.family() == AlgorithmFamily::Hmac
    }

    pub(super) fn family(self) -> AlgorithmFamily {
        self.0.family()
    }

    /// The length of the hash, in bytes: a shorter secret is easier to guess than the hash (RFC 7518, section 3.2).
    pub(super) fn hash_bytes(self) -> usize {
        match self.0 {
            HS384 | RS384 | PS384 | ES384 => 48,
            HS512 | RS512 | PS512 => 64,
            _ => 32,
        }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        text.parse().map(Self).map_err(|_| UnknownAlgorithm(text.to_owned()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its variants are named as RFC 7518 names the algorithms.
        write!(f, "{:?}", self.0)
    }
}

/// Not an algorithm that tokens are signed with here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an algorithm: use HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
)]
pub struct UnknownAlgorithm(String);
