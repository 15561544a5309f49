//! Tokens: signed statements of what their holder may do (JWT, RFC 7519), in the dialect of Mercure 0.x.
//!
//! In reading order: which [`Algorithm`] signs, the key that checks it, keys that an issuer publishes and how they are
//! kept fresh, what a token claims, and the [`Verifier`] that puts these together.
//!
//! Nothing of a token is believed before its signature: of the header only `alg` and `kid` are read, the first to be
//! compared with what the operator set and the second to pick among the operator's keys. Keys and addresses in a token
//! (`jwk`, `jku`, `x5u`) are never looked at.

mod algorithm;
mod key;

mod keeper;
mod key_set;

pub(crate) mod claims;
mod verifier;

#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::Claims;
pub use keeper::{FetchError, Fetching, KeySource};
pub use key::{InvalidKey, VerifyingKey};
pub use verifier::{TokenError, Verifier};
