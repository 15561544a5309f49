//! Hubs with keys, and tokens for them.

use std::time::Duration;

use fanfare_hub::{Algorithm, Authorization, Clock, Hub, Settings, Tokens, Verifier, VerifyingKey};
use fanfare_log::{Retention, Timestamp};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::running::{Running, Subscriber};

pub(crate) const PUBLISHER: &str = "the publishers' secret of 32 bytes or more";
pub(crate) const SUBSCRIBER: &str = "the subscribers' secret of 32 bytes or more";

/// In seconds since 1970: what the clock of a hub here always says.
pub(crate) const NOW: u64 = 1_750_000_000;

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp(NOW * 1000)
    }
}

pub(crate) fn verifier(secret: &str) -> Verifier {
    Verifier::new(VerifyingKey::new(secret.as_bytes(), Algorithm::HS256).unwrap())
}

/// One secret for publishers and one for subscribers.
pub(crate) fn both() -> Tokens {
    Tokens::of_publishers(verifier(PUBLISHER)).with_subscriber(verifier(SUBSCRIBER))
}

pub(crate) async fn hub(tokens: Tokens) -> Running {
    hub_with(tokens, |_| {}).await
}

pub(crate) async fn hub_with(tokens: Tokens, set: impl FnOnce(&mut Settings)) -> Running {
    let mut settings = Settings::default();
    settings.authorization = Authorization::Tokens(tokens);
    set(&mut settings);
    let clock = std::sync::Arc::new(Stopped);
    Running::of(Hub::builder().settings(settings).memory(Retention::default()).clock(clock)).await
}

pub(crate) fn signed(secret: &str, claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

pub(crate) fn publisher(selectors: &[&str]) -> String {
    signed(PUBLISHER, &json!({ "mercure": { "publish": selectors } }))
}

pub(crate) fn subscriber(selectors: &[&str]) -> String {
    signed(SUBSCRIBER, &json!({ "mercure": { "subscribe": selectors } }))
}

/// A token for subscribers that ends so much later.
pub(crate) fn lasting(selectors: &[&str], left: Duration) -> String {
    let exp = NOW as f64 + left.as_secs_f64();
    signed(SUBSCRIBER, &json!({ "mercure": { "subscribe": selectors }, "exp": exp }))
}

impl Running {
    pub(crate) async fn subscribe_with(&self, path: &str, token: &str) -> Subscriber {
        Subscriber::new(self.get(path).bearer_auth(token).send().await.unwrap())
    }
}
