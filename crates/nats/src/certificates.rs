//! The files of TLS, read once before anything is connected: what is wrong with them is told by its name. The client reads
//! them again for each connection, so that what is renewed in place is used.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use async_nats::rustls::pki_types::pem::{self, PemObject};
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{self, ClientConfig, RootCertStore};

use crate::unusable_file::UnusableFile;

/// Who a node is to servers that ask for a certificate (`verify` in the `tls` block of a server).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a certificate has one key")]
pub struct ClientCertificate {
    /// The certificate and those between it and whom the servers trust, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

/// Reads what TLS will need: whom to trust, and the node's own certificate.
///
/// # Errors
///
/// [`UnusableFile`] for a file that can't be read, has nothing of use in it, or is not the key of the certificate.
pub fn check_certificates(ca: Option<&Path>, own: Option<&ClientCertificate>) -> Result<(), UnusableFile> {
    if let Some(ca) = ca {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots
                .add(certificate)
                .map_err(|error| UnusableFile::new(ca, format!("it has no usable certificate: {error}")))?;
        }
    }
    let Some(ClientCertificate { certificate, key }) = own else { return Ok(()) };
    let chain = certificates(certificate)?;
    let found = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, error, "no private key"))?;
    ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain, found)
        .map_err(|error| UnusableFile::new(key, format!("it is not the key of {}: {error}", certificate.display())))?;
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, UnusableFile> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unread(path, error, "no certificate"))?;
    if found.is_empty() { Err(UnusableFile::new(path, "there is no certificate in it (PEM)")) } else { Ok(found) }
}

fn unread(path: &Path, error: pem::Error, what: &str) -> UnusableFile {
    match error {
        pem::Error::Io(error) => UnusableFile::unread(path, error),
        // What the parser says may show a piece of a key.
        _ => UnusableFile::new(path, format!("there is {what} in it (PEM)")),
    }
}

/// Whether a connection failed for TLS, which an error says at its end only.
pub(crate) fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(one) = error {
        // What an error of I/O wraps is not its source, but whose source is its source.
        let wrapped = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if one.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| wrapped.is::<rustls::Error>()) {
            return true;
        }
        error = one.source();
    }
    false
}
