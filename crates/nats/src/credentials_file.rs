//! A credentials file: a user's token, and the seed of the key that it is about. It is read for each connection, so that
//! a token that was renewed in place is used without a restart.
//!
//! ```text
//! -----BEGIN NATS USER JWT-----
//! eyJ0eXAi…
//! ------END NATS USER JWT------
//!
//! -----BEGIN USER NKEY SEED-----
//! SUAIO3FH…
//! ------END USER NKEY SEED------
//! ```

use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError};
use nkeys::KeyPair;

use crate::unusable_file::UnusableFile;

/// What stands in one.
pub(crate) struct CredentialsFile {
    token: String,
    key: KeyPair,
}

impl CredentialsFile {
    pub(crate) fn read(path: &Path) -> Result<Self, UnusableFile> {
        let text = std::fs::read_to_string(path).map_err(|error| UnusableFile::unread(path, error))?;
        Self::parse(&text).ok_or_else(|| UnusableFile::new(path, "it is no credentials file, as `nsc` writes it"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let mut after = |heading: &str| {
            lines.find(|line| line.starts_with("---") && line.contains("BEGIN") && line.contains(heading))?;
            lines.next()
        };
        let (token, seed) = (after("JWT")?, after("SEED")?);
        let is_token = token.split('.').filter(|part| !part.is_empty()).count() == 3;
        Some(Self { token: is_token.then(|| token.to_owned())?, key: KeyPair::from_seed(seed).ok()? })
    }

    /// What a server is given that sent `nonce`.
    fn sign(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let mut auth = Auth::new();
        auth.jwt = Some(self.token.clone());
        // Of the client's own error nothing is known but that it can't happen with a seed.
        auth.signature = Some(self.key.sign(nonce).map_err(|_| AuthError::new("the seed does not sign"))?);
        Ok(auth)
    }
}

/// Reads the file, and answers a server with it.
pub(crate) async fn answer(path: PathBuf, nonce: Vec<u8>) -> Result<Auth, AuthError> {
    let read = tokio::task::spawn_blocking(move || {
        CredentialsFile::read(&path).map_err(|error| AuthError::new(error.to_string()))?.sign(&nonce)
    });
    read.await.unwrap_or_else(|_| Err(AuthError::new("the node is stopping")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_a_seed_make_a_file_and_less_does_not() {
        let seed = KeyPair::new_user().seed().unwrap();
        let part =
            |name: &str, value: &str| format!("-----BEGIN {name}-----\r\n{value}\r\n------END {name}------\r\n\r\n");
        let token = part("NATS USER JWT", "ab.cd.e-_");
        let file = format!("{token}*** IMPORTANT ***\n{}", part("USER NKEY SEED", &seed));
        let parsed = CredentialsFile::parse(&file).unwrap();
        assert_eq!((parsed.token.as_str(), parsed.key.seed().unwrap()), ("ab.cd.e-_", seed.clone()));
        assert!(parsed.sign(b"nonce").unwrap().signature.is_some());
        for wrong in [
            String::new(),
            token.clone(),
            part("USER NKEY SEED", &seed),
            part("USER NKEY SEED", &seed) + &token,
            token.clone() + &part("USER NKEY SEED", &seed[1..]),
            file.replace("ab.cd.e-_", "ab.cd"),
            file.replace("ab.cd.e-_", ""),
            "-----BEGIN NATS USER JWT-----".to_owned(),
        ] {
            assert!(CredentialsFile::parse(&wrong).is_none(), "{wrong}");
        }
    }
}
