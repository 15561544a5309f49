//! What `engine` is in a binary that was built without NATS.

use std::convert::Infallible;
use std::sync::Arc;

use fanfare_hub::HubBuilder;
use fanfare_log::{Log, Retention};

use crate::Failure;
use crate::options::Said;

/// There is none.
#[derive(Debug, Clone)]
pub(crate) struct EngineSettings(Infallible);

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
