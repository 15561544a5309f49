//! What a client may have, and who it is behind a proxy: as a flag, in the environment, in a file.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use fanfare_hub::{Settings, SlowPolicy, TrustedProxy};
use serde::Deserialize;

use crate::Failure;
use crate::options::value::{duration, one_or_many_parsed, size};
use crate::units::{parse_duration, parse_size};

/// The limits of a hub.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Networks of proxies that are believed in Forwarded, X-Forwarded-For and the PROXY protocol; repeatable
    #[arg(long, env = "FANFARE_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many_parsed")]
    trusted_proxy: Vec<TrustedProxy>,

    /// Connections in all; 503 beyond [default: 100000]
    #[arg(long, env = "FANFARE_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,

    /// Connections of one client address, and streams, of IPv6 of one /64; 429 beyond [default: 2000, on this machine any number]
    #[arg(long, env = "FANFARE_MAX_CONNECTIONS_PER_IP", value_name = "N")]
    max_connections_per_ip: Option<usize>,

    /// Streams of one token subject; 429 beyond [default: 2000]
    #[arg(long, env = "FANFARE_MAX_CONNECTIONS_PER_SUBJECT", value_name = "N")]
    max_connections_per_subject: Option<usize>,

    /// The body of a publish; 413 beyond [default: 1MiB]
    #[arg(long, env = "FANFARE_MAX_BODY", value_name = "SIZE", value_parser = parse_size)]
    #[serde(deserialize_with = "size")]
    max_body: Option<u64>,

    /// Topics of one subscription, and of one update; 400 beyond [default: 1000]
    #[arg(long, env = "FANFARE_MAX_TOPICS", value_name = "N")]
    max_topics: Option<usize>,

    /// Events a second that one token subject or address may publish; 429 beyond [default: any number]
    #[arg(long, env = "FANFARE_PUBLISH_RATE", value_name = "N")]
    publish_rate: Option<NonZeroU32>,

    /// How a subscription may ask to be served while it is behind (slow=…), the usual one first; a list [default: catch-up,disconnect,conflate]
    #[arg(long, env = "FANFARE_SLOW_POLICIES", value_name = "POLICY", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many_parsed")]
    slow_policies: Vec<SlowPolicy>,

    /// Events that a subscriber of slow=disconnect may be behind before its stream ends [default: 1000]
    #[arg(long, env = "FANFARE_SLOW_DISCONNECT_EVENTS", value_name = "N")]
    slow_disconnect_events: Option<u64>,

    /// End streams when they are so old, in the last tenth of it [default: never]
    #[arg(long, env = "FANFARE_MAX_CONNECTION_AGE", value_name = "DURATION", value_parser = parse_duration)]
    #[serde(deserialize_with = "duration")]
    max_connection_age: Option<Duration>,
}

impl Limits {
    pub(super) fn or(self, file: Self) -> Self {
        Self {
            trusted_proxy: if self.trusted_proxy.is_empty() { file.trusted_proxy } else { self.trusted_proxy },
            max_connections: self.max_connections.or(file.max_connections),
            max_connections_per_ip: self.max_connections_per_ip.or(file.max_connections_per_ip),
            max_connections_per_subject: self.max_connections_per_subject.or(file.max_connections_per_subject),
            max_body: self.max_body.or(file.max_body),
            max_topics: self.max_topics.or(file.max_topics),
            publish_rate: self.publish_rate.or(file.publish_rate),
            slow_policies: if self.slow_policies.is_empty() { file.slow_policies } else { self.slow_policies },
            slow_disconnect_events: self.slow_disconnect_events.or(file.slow_disconnect_events),
            max_connection_age: self.max_connection_age.or(file.max_connection_age),
        }
    }

    /// The connections that were asked for, if any were.
    pub(super) fn max_connections(&self) -> Option<usize> {
        self.max_connections
    }

    pub(super) fn set(&self, settings: &mut Settings) -> Result<(), Failure> {
        settings.trusted_proxies.clone_from(&self.trusted_proxy);
        settings.connections_max = self.max_connections.unwrap_or(settings.connections_max);
        settings.connections_per_address_max = self.max_connections_per_ip;
        let per_subject = self.max_connections_per_subject;
        settings.streams_per_subject_max = per_subject.unwrap_or(settings.streams_per_subject_max);
        settings.topics_max = self.max_topics.unwrap_or(settings.topics_max);
        settings.publish_rate = self.publish_rate;
        if !self.slow_policies.is_empty() {
            settings.slow_policies.clone_from(&self.slow_policies);
        }
        settings.slow_disconnect_events = self.slow_disconnect_events.unwrap_or(settings.slow_disconnect_events);
        settings.connection_age_max = self.max_connection_age;
        if let Some(bytes) = self.max_body {
            let too_large = |_| Failure::usage("--max-body is more than this machine can address");
            settings.body_bytes_max = usize::try_from(bytes).map_err(too_large)?;
        }
        Ok(())
    }
}
