//! What a token says.

use std::sync::Arc;
use std::time::Duration;

use fanfare_log::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::limits::TOKEN_LEEWAY;
use crate::party::Party;
use crate::token::TokenError;

/// What a token whose signature is right says of its holder.
#[derive(Debug, Clone)]
pub struct Claims {
    pub(crate) selectors: ClaimedSelectors,
    pub(crate) payload: Option<Arc<RawValue>>,
    expires: Option<Timestamp>,
    /// Whom limits are for, in place of an address.
    pub(crate) subject: Option<Party>,
}

/// The selectors of a token as they are written there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct ClaimedSelectors {
    pub(crate) publish: Vec<String>,
    pub(crate) subscribe: Vec<String>,
}

impl Claims {
    /// What the application wants others to know of the subscriber, as JSON.
    #[must_use]
    pub fn payload(&self) -> Option<&str> {
        self.payload.as_deref().map(RawValue::get)
    }

    /// When it ends, if it does.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

/// The claims as they are written. Each may stand there once: two readers could each believe another one.
#[derive(Deserialize)]
pub(super) struct Written {
    mercure: Option<Mercure>,
    /// For issuers that allow only claims with a URL for a name.
    #[serde(rename = "https://mercure.rocks/")]
    namespaced: Option<Mercure>,
    exp: Option<Number>,
    nbf: Option<Number>,
    sub: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Mercure {
    publish: Option<Vec<String>>,
    subscribe: Option<Vec<String>>,
    payload: Option<Box<RawValue>>,
}

impl Written {
    /// What holds at the time `now`.
    pub(super) fn at(self, now: Timestamp) -> Result<Claims, TokenError> {
        let leeway = millis(TOKEN_LEEWAY);
        let expires = self.exp.as_ref().map(date);
        if expires.is_some_and(|expires| now.0 >= expires.0.saturating_add(leeway)) {
            return Err(TokenError::Expired);
        }
        if self.nbf.as_ref().map(date).is_some_and(|begins| now.0.saturating_add(leeway) < begins.0) {
            return Err(TokenError::NotYetValid);
        }
        // As the reference hub has it: where there are both, the one with the URL counts.
        let Mercure { publish, subscribe, payload } = self.namespaced.or(self.mercure).unwrap_or_default();
        let selectors =
            ClaimedSelectors { publish: publish.unwrap_or_default(), subscribe: subscribe.unwrap_or_default() };
        // A string (RFC 7519, section 4.1.2); some issuers write a number.
        let subject = match &self.sub {
            Some(Value::String(subject)) if !subject.is_empty() => Some(Party::of_subject(subject)),
            Some(Value::Number(number)) => Some(Party::of_subject(&number.to_string())),
            _ => None,
        };
        Ok(Claims { selectors, payload: payload.map(Arc::from), expires, subject })
    }
}

/// A NumericDate: seconds since 1970, which may have a fraction.
fn date(seconds: &Number) -> Timestamp {
    let rounded = || (seconds.as_f64().unwrap_or(0.0) * 1000.0) as u64;
    Timestamp(seconds.as_u64().map_or_else(rounded, |seconds| seconds.saturating_mul(1000)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
