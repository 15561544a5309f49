//! What `engine` is in a binary that was built without NATS.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use fanfare_hub::HubBuilder;
use fanfare_log::{Log, Retention};

use crate::Failure;
use crate::secret::Secret;

/// There is none.
#[derive(Debug, Clone)]
pub(crate) struct EngineSettings(Infallible);

/// What was said of it.
#[derive(Debug)]
#[expect(dead_code, reason = "the other one reads it")]
pub(crate) struct Said<'a> {
    pub(crate) engine: &'a Secret,
    pub(crate) stream: Option<&'a str>,
    pub(crate) replicas: Option<usize>,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a Secret>,
    pub(crate) token: Option<&'a Secret>,
    pub(crate) creds: Option<&'a PathBuf>,
    pub(crate) ca: Option<&'a PathBuf>,
}

impl EngineSettings {
    pub(crate) fn of(_said: &Said<'_>) -> anyhow::Result<Self> {
        Err(Failure::usage("--engine: this fanfare was built without NATS: build it with the feature `nats`").into())
    }

    pub(crate) async fn start(
        &self,
        _builder: HubBuilder,
        _store: (Arc<dyn Log>, Retention),
        _has_neighbours: bool,
    ) -> anyhow::Result<HubBuilder> {
        match self.0 {}
    }
}

impl std::fmt::Display for EngineSettings {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {}
    }
}
