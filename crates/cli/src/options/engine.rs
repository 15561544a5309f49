//! Who makes the order: as a flag, in the environment, in a file.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::Failure;
use crate::engine::EngineSettings;
use crate::secret::Secret;

/// What is said of the engine.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EngineOptions {
    /// Let NATS make the order, so that several hubs are one: nats://HOST:PORT,HOST:PORT, or tls://; @FILE reads it from a file
    #[arg(long, env = "FANFARE_ENGINE", value_name = "URL|@FILE", hide_env_values = true)]
    engine: Option<Secret>,

    /// The JetStream stream, made if there is none [default: FANFARE]
    #[arg(long, env = "FANFARE_ENGINE_STREAM", value_name = "NAME")]
    engine_stream: Option<String>,

    /// How many servers keep the stream: 3 outlasts the loss of one [default: 1 for a new stream]
    #[arg(long, env = "FANFARE_ENGINE_REPLICAS", value_name = "N")]
    engine_replicas: Option<NonZeroUsize>,

    /// The user at NATS
    #[arg(long, env = "FANFARE_ENGINE_USER", value_name = "USER")]
    engine_user: Option<String>,

    /// The user's password; @FILE reads it from a file
    #[arg(long, env = "FANFARE_ENGINE_PASSWORD", value_name = "PASSWORD|@FILE", hide_env_values = true)]
    engine_password: Option<Secret>,

    /// The token for NATS; @FILE reads it from a file
    #[arg(long, env = "FANFARE_ENGINE_TOKEN", value_name = "TOKEN|@FILE", hide_env_values = true)]
    engine_token: Option<Secret>,

    /// The credentials file for NATS, as nsc writes it
    #[arg(long, env = "FANFARE_ENGINE_CREDS", value_name = "FILE")]
    engine_creds: Option<PathBuf>,

    /// Who signs the certificates of NATS (PEM), in place of those whom the system trusts
    #[arg(long, env = "FANFARE_ENGINE_CA", value_name = "FILE")]
    engine_ca: Option<PathBuf>,

    /// The certificate that this hub shows to NATS (PEM)
    #[arg(long, env = "FANFARE_ENGINE_CERT", value_name = "FILE")]
    engine_cert: Option<PathBuf>,

    /// The key of that certificate (PEM)
    #[arg(long, env = "FANFARE_ENGINE_KEY", value_name = "FILE")]
    engine_key: Option<PathBuf>,
}

impl EngineOptions {
    pub(super) fn or(self, file: Self) -> Self {
        Self {
            engine: self.engine.or(file.engine),
            engine_stream: self.engine_stream.or(file.engine_stream),
            engine_replicas: self.engine_replicas.or(file.engine_replicas),
            engine_user: self.engine_user.or(file.engine_user),
            engine_password: self.engine_password.or(file.engine_password),
            engine_token: self.engine_token.or(file.engine_token),
            engine_creds: self.engine_creds.or(file.engine_creds),
            engine_ca: self.engine_ca.or(file.engine_ca),
            engine_cert: self.engine_cert.or(file.engine_cert),
            engine_key: self.engine_key.or(file.engine_key),
        }
    }

    pub(super) fn is_asked_for(&self) -> bool {
        self.engine.is_some()
    }

    pub(super) fn settings(&self) -> anyhow::Result<Option<EngineSettings>> {
        let Some(engine) = &self.engine else {
            let said = [
                self.engine_stream.is_some(),
                self.engine_replicas.is_some(),
                self.engine_user.is_some(),
                self.engine_password.is_some(),
                self.engine_token.is_some(),
                self.engine_creds.is_some(),
                self.engine_ca.is_some(),
                self.engine_cert.is_some(),
                self.engine_key.is_some(),
            ];
            let alone = said.contains(&true);
            return if alone {
                Err(Failure::usage("what is said of the engine needs --engine URL").into())
            } else {
                Ok(None)
            };
        };
        let said = Said {
            engine,
            stream: self.engine_stream.as_deref(),
            replicas: self.engine_replicas.map(NonZeroUsize::get),
            user: self.engine_user.as_deref(),
            password: self.engine_password.as_ref(),
            token: self.engine_token.as_ref(),
            creds: self.engine_creds.as_ref(),
            ca: self.engine_ca.as_ref(),
            cert: self.engine_cert.as_ref(),
            key: self.engine_key.as_ref(),
        };
        EngineSettings::of(&said).map(Some)
    }
}

/// What was said of an engine that is asked for.
#[derive(Debug)]
#[cfg_attr(not(feature = "nats"), expect(dead_code, reason = "only the engine reads it"))]
pub(crate) struct Said<'a> {
    pub(crate) engine: &'a Secret,
    pub(crate) stream: Option<&'a str>,
    pub(crate) replicas: Option<usize>,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a Secret>,
    pub(crate) token: Option<&'a Secret>,
    pub(crate) creds: Option<&'a PathBuf>,
    pub(crate) ca: Option<&'a PathBuf>,
    pub(crate) cert: Option<&'a PathBuf>,
    pub(crate) key: Option<&'a PathBuf>,
}
