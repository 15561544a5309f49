//! `--tls-cert` and `--tls-key`: files, read at the start and again at each SIGHUP.

use std::path::{Path, PathBuf};

use fanfare_hub::{Tls, TlsError};
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;

/// The two files, both or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl TlsFiles {
    /// Reads them, and again whenever SIGHUP comes. What can't be used then is said, and the old certificate stays.
    pub(crate) fn watch(self) -> anyhow::Result<Tls> {
        let (certificate, key) = self.read()?;
        let tls = Tls::new(&certificate, &key).map_err(|error| self.explain(&error))?;
        let mut hang_ups = signal(SignalKind::hangup())?;
        let shown = tls.clone();
        tokio::spawn(async move {
            while hang_ups.recv().await.is_some() {
                match self.replace(&shown) {
                    Ok(()) => tracing::info!(file = %self.certificate.display(), "the certificate was read again"),
                    Err(error) => tracing::error!("the old certificate stays: {error:#}"),
                }
            }
        });
        Ok(tls)
    }

    /// Whether they can be used, without watching them.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let (certificate, key) = self.read()?;
        Tls::new(&certificate, &key).map_err(|error| self.explain(&error))?;
        Ok(())
    }

    fn replace(&self, tls: &Tls) -> anyhow::Result<()> {
        let (certificate, key) = self.read()?;
        tls.replace(&certificate, &key).map_err(|error| self.explain(&error))?;
        Ok(())
    }

    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let read = |path: &Path, flag| {
            std::fs::read(path)
                .map_err(|error| Failure::usage(format!("can't read {flag} {}: {error}", path.display())))
        };
        Ok((read(&self.certificate, "--tls-cert")?, read(&self.key, "--tls-key")?))
    }

    fn explain(&self, error: &TlsError) -> Failure {
        let file = if error.is_of_key() { &self.key } else { &self.certificate };
        Failure::usage(format!("{}: {error}", file.display()))
    }
}
