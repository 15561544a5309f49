//! Certificates, and what they are shown with.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::{self, Ticketer};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error as RustlsError, InconsistentKeys, ServerConfig};

/// The certificate that [`Hub::run_tls`](crate::Hub::run_tls) shows, and its key. A handle: clones are the same, and
/// another certificate can take its place while the hub runs.
///
/// TLS 1.2 and 1.3; HTTP/2 or HTTP/1.1, as the client prefers (ALPN).
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// Shows the certificates of `certificates`, the server's own first, with the key of `key`. Both are PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says which of the two can't be used, and why.
    pub fn new(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(config(certificates, key)?))))
    }

    /// Shows others to connections from now on. If they can't be used nothing changes.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn replace(&self, certificates: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let config = config(certificates, key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// What accepts the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn config(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Pem(error.into()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey,
        error => TlsError::KeyPem(error.into()),
    })?;
    let unusable = |error: RustlsError| TlsError::Unusable(error.into());
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| match error {
        RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyMismatch,
        error => unusable(error),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Whoever comes back, as every subscriber does after a restart of something between, saves both sides the
    // signature. The client keeps the session, so that a crowd takes no memory here.
    config.ticketer = Ticketer::new().map_err(unusable)?;
    Ok(Arc::new(config))
}

/// A certificate or key that can't be used. A source may be an error of rustls, which is not named here: its next version need
/// not be ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is none.
    #[error("there is no certificate in it: it must be PEM, `-----BEGIN CERTIFICATE-----`, the server's own first")]
    NoCertificate,
    /// The certificates can't be read.
    #[error("the certificates can't be read: {0}")]
    Pem(#[source] Box<dyn Error + Send + Sync>),
    /// There is no key.
    #[error("there is no key in it: it must be PEM, `-----BEGIN PRIVATE KEY-----`, without a passphrase")]
    NoKey,
    /// The key can't be read.
    #[error("the key can't be read: {0}")]
    KeyPem(#[source] Box<dyn Error + Send + Sync>),
    /// They do not belong together.
    #[error("the key does not belong to the certificate: the first certificate must be the server's own")]
    KeyMismatch,
    /// They are well-formed and still can't be used.
    #[error("they can't be used: {0}")]
    Unusable(#[source] Box<dyn Error + Send + Sync>),
}

impl TlsError {
    /// Whether it is the key's alone, for whoever names the file.
    #[must_use]
    pub fn is_of_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::KeyPem(_) | Self::KeyMismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    fn pair() -> (String, String) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    fn check(certificates: &str, key: &str, expected: &str) {
        let text =
            Tls::new(certificates.as_bytes(), key.as_bytes()).map_or_else(|error| error.to_string(), |_| "".into());
        assert!(text.contains(expected) && text.is_empty() == expected.is_empty(), "{text:?} {expected:?}");
    }

    #[test]
    fn what_can_not_be_shown_is_said() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        check(&certificate, &key, "");
        check(&(certificate.clone() + &other), &key, "");
        check(&(certificate.clone() + &key), &(certificate.clone() + &key), "");
        check("", &key, "no certificate");
        check(&key, &key, "no certificate");
        check(&certificate, "", "no key");
        check(&certificate, &certificate, "no key");
        check(&other, &key, "does not belong");
        check(&(other + &certificate), &key, "does not belong");
        check(&certificate[..certificate.len() / 2], &key, "certificate");
        check("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "can't be used");
    }

    #[test]
    fn a_bad_replacement_changes_nothing() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        let tls = Tls::new(certificate.as_bytes(), key.as_bytes()).unwrap();
        let shown = tls.acceptor().config().clone();
        assert!(tls.replace(other.as_bytes(), key.as_bytes()).is_err());
        assert!(Arc::ptr_eq(tls.acceptor().config(), &shown));
        tls.replace(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert!(!Arc::ptr_eq(tls.acceptor().config(), &shown));
    }
}
