//! What can be said to `serve`: as a flag, in the environment, in a file.

mod limits;

mod engine;

mod store;

mod value;

mod file;

pub(crate) use engine::Said;
pub(crate) use file::parse;
pub(crate) use store::{DATA_DIR, Durability, Store};

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use fanfare_hub::{Algorithm, AllowedOrigin, Authorization, NodeName, Settings, Tokens};
use reqwest::Url;
use rustix::system::uname;
use serde::Deserialize;

use crate::Failure;
use crate::engine::EngineSettings;
use crate::keys::Keys;
use crate::logging::LogFormat;
use crate::options::engine::EngineOptions;
use crate::options::limits::Limits;
use crate::options::value::{addresses, duration, from_text, one_or_many_parsed, parse_address, size};
use crate::secret::Secret;
use crate::tls::TlsFiles;
use crate::units::{parse_duration, parse_size};

/// The options of a hub. Flags win over the environment, the environment over the file.
///
/// One definition serves all three: the file's keys are the fields' names.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Where to listen; repeatable, and port 0 takes a free one [default: 127.0.0.1:3000]
    #[arg(long, env = "FANFARE_LISTEN", value_name = "ADDR", value_delimiter = ',', value_parser = parse_address)]
    #[serde(deserialize_with = "addresses")]
    listen: Vec<SocketAddr>,

    /// A TOML file with the flags' names as keys, `_` for `-`
    #[arg(long, env = "FANFARE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,

    /// Keep events in this folder [default: fanfare-data]
    #[arg(long, env = "FANFARE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Keep events in memory only
    #[arg(long, env = "FANFARE_MEMORY", value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    memory: Option<bool>,

    /// When a publish is answered: once its event is on stable storage, or in the operating system's hands [default: fsync]
    #[arg(long, env = "FANFARE_DURABILITY", value_name = "fsync|os")]
    durability: Option<Durability>,

    /// Keep at least so many events
    #[arg(long, env = "FANFARE_RETAIN_COUNT", value_name = "N")]
    retain_count: Option<u64>,

    /// Keep events at least so long, such as 12h
    #[arg(long, env = "FANFARE_RETAIN_AGE", value_name = "DURATION", value_parser = parse_duration)]
    #[serde(deserialize_with = "duration")]
    retain_age: Option<Duration>,

    /// Keep at least so many bytes of events [default: 1GiB, in memory 64MiB]
    #[arg(long, env = "FANFARE_RETAIN_BYTES", value_name = "SIZE", value_parser = parse_size)]
    #[serde(deserialize_with = "size")]
    retain_bytes: Option<u64>,

    /// Origins whose pages may subscribe; repeatable, `*` is any. Pages of this machine always may
    #[arg(long, env = "FANFARE_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many_parsed")]
    cors_origin: Vec<AllowedOrigin>,

    /// Origins whose pages may publish; repeatable, `*` is any. Pages of this machine always may
    #[arg(long, env = "FANFARE_PUBLISH_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many_parsed")]
    publish_origin: Vec<AllowedOrigin>,

    /// What publishers' tokens are checked with: a secret, or a public key in PEM form; @FILE reads it from a file
    #[arg(long, env = "FANFARE_PUBLISHER_KEY", value_name = "KEY|@FILE", hide_env_values = true)]
    publisher_key: Option<Secret>,

    /// How publishers' tokens are signed [default: HS256; with a key set, each key's own]
    #[arg(long, env = "FANFARE_PUBLISHER_ALG", value_name = "ALG")]
    #[serde(deserialize_with = "from_text")]
    publisher_alg: Option<Algorithm>,

    /// Where the keys for publishers' tokens are published, as a JSON Web Key Set
    #[arg(long, env = "FANFARE_PUBLISHER_JWKS_URL", value_name = "URL", hide_env_values = true)]
    #[serde(deserialize_with = "from_text")]
    publisher_jwks_url: Option<Url>,

    /// What subscribers' tokens are checked with [default: what publishers' are]
    #[arg(long, env = "FANFARE_SUBSCRIBER_KEY", value_name = "KEY|@FILE", hide_env_values = true)]
    subscriber_key: Option<Secret>,

    /// How subscribers' tokens are signed [default: as for publishers]
    #[arg(long, env = "FANFARE_SUBSCRIBER_ALG", value_name = "ALG")]
    #[serde(deserialize_with = "from_text")]
    subscriber_alg: Option<Algorithm>,

    /// Where the keys for subscribers' tokens are published
    #[arg(long, env = "FANFARE_SUBSCRIBER_JWKS_URL", value_name = "URL", hide_env_values = true)]
    #[serde(deserialize_with = "from_text")]
    subscriber_jwks_url: Option<Url>,

    /// Let subscribers without a token receive public updates
    #[arg(long, env = "FANFARE_ANONYMOUS", value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    anonymous: Option<bool>,

    /// List who is subscribed, and tell of who comes and goes, to those whose token allows it
    #[arg(long, env = "FANFARE_SUBSCRIPTIONS", value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    subscriptions: Option<bool>,

    /// What this hub is called where subscribers are listed [default: the machine's name, with an engine]
    #[arg(long, env = "FANFARE_NODE_NAME", value_name = "NAME")]
    node_name: Option<NodeName>,

    /// The cookie in which pages have their token [default: mercureAuthorization]
    #[arg(long, env = "FANFARE_COOKIE_NAME", value_name = "NAME")]
    cookie_name: Option<String>,

    /// Whether a subscriber who missed events is told so in the stream [default: on]
    #[arg(long, env = "FANFARE_GAP_EVENT", value_name = "on|off")]
    gap_event: Option<Switch>,

    /// Send a comment to a subscriber after so long without an event [default: 15s]
    #[arg(long, env = "FANFARE_HEARTBEAT", value_name = "DURATION", value_parser = parse_duration)]
    #[serde(deserialize_with = "duration")]
    heartbeat: Option<Duration>,

    /// How long streams may take to end when the hub stops [default: 10s]
    #[arg(long, env = "FANFARE_DRAIN", value_name = "DURATION", value_parser = parse_duration)]
    #[serde(deserialize_with = "duration")]
    drain: Option<Duration>,

    /// Speak TLS and HTTP/2 with this certificate (PEM, its chain after it); read again on SIGHUP
    #[arg(long, env = "FANFARE_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The certificate's key (PEM)
    #[arg(long, env = "FANFARE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Threads that serve subscribers [default: one a processor]
    #[arg(long, env = "FANFARE_SHARDS", value_name = "N")]
    shards: Option<NonZeroUsize>,

    /// Compress streams for clients that offer Zstandard, Brotli or gzip [default: off]
    #[arg(long, env = "FANFARE_COMPRESSION", value_name = "on|off")]
    compression: Option<Switch>,

    /// How log lines are written: for people, or a JSON object a line [default: text]
    #[arg(long, env = "FANFARE_LOG_FORMAT", value_name = "text|json", hide_possible_values = true)]
    log_format: Option<LogFormat>,

    /// serde's own flattening would let unknown keys pass, so the file's keys are sorted before they are read.
    #[command(flatten)]
    #[serde(skip)]
    limits: Limits,

    #[command(flatten)]
    #[serde(skip)]
    engine: EngineOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    On,
    Off,
}

impl Options {
    /// Fills in what only the reference hub's environment says, and then what only the file says, if one is named.
    pub(crate) fn with_file(self) -> anyhow::Result<Self> {
        let mercure = Self::of_mercure(&|name| std::env::var(name).ok())?;
        match &self.config {
            Some(path) => {
                let file = file::read(path)?;
                Ok(self.or(mercure).or(file))
            }
            None => Ok(self.or(mercure)),
        }
    }

    fn of_mercure(read: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let publisher = Keys::of_mercure("PUBLISHER", read)?;
        let subscriber = Keys::of_mercure("SUBSCRIBER", read)?;
        Ok(Self::default().with_keys(publisher, subscriber))
    }

    fn with_keys(self, publisher: Keys, subscriber: Keys) -> Self {
        Self {
            publisher_key: publisher.key,
            publisher_alg: publisher.alg,
            publisher_jwks_url: publisher.jwks_url,
            subscriber_key: subscriber.key,
            subscriber_alg: subscriber.alg,
            subscriber_jwks_url: subscriber.jwks_url,
            ..self
        }
    }

    fn publisher(&self) -> Keys {
        let (key, jwks_url) = (self.publisher_key.clone(), self.publisher_jwks_url.clone());
        Keys { key, alg: self.publisher_alg, jwks_url }
    }

    fn subscriber(&self) -> Keys {
        let (key, jwks_url) = (self.subscriber_key.clone(), self.subscriber_jwks_url.clone());
        Keys { key, alg: self.subscriber_alg, jwks_url }
    }

    fn or(self, file: Self) -> Self {
        let list = |flags: Vec<_>, file: Vec<_>| if flags.is_empty() { file } else { flags };
        let publisher = self.publisher().or(file.publisher());
        let subscriber = self.subscriber().or(file.subscriber());
        let merged = Self {
            listen: if self.listen.is_empty() { file.listen } else { self.listen },
            config: self.config,
            // A flag for one of the two overrules the other in the file.
            memory: if self.data_dir.is_some() { self.memory } else { self.memory.or(file.memory) },
            data_dir: if self.memory == Some(true) { self.data_dir } else { self.data_dir.or(file.data_dir) },
            durability: self.durability.or(file.durability),
            retain_count: self.retain_count.or(file.retain_count),
            retain_age: self.retain_age.or(file.retain_age),
            retain_bytes: self.retain_bytes.or(file.retain_bytes),
            cors_origin: list(self.cors_origin, file.cors_origin),
            publish_origin: list(self.publish_origin, file.publish_origin),
            gap_event: self.gap_event.or(file.gap_event),
            heartbeat: self.heartbeat.or(file.heartbeat),
            drain: self.drain.or(file.drain),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            shards: self.shards.or(file.shards),
            compression: self.compression.or(file.compression),
            log_format: self.log_format.or(file.log_format),
            limits: self.limits.or(file.limits),
            anonymous: self.anonymous.or(file.anonymous),
            subscriptions: self.subscriptions.or(file.subscriptions),
            node_name: self.node_name.or(file.node_name),
            cookie_name: self.cookie_name.or(file.cookie_name),
            engine: self.engine.or(file.engine),
            ..Self::default()
        };
        merged.with_keys(publisher, subscriber)
    }

    pub(crate) fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or_default()
    }

    pub(crate) fn listen(&self) -> Vec<SocketAddr> {
        if self.listen.is_empty() { vec![SocketAddr::from(([127, 0, 0, 1], 3000))] } else { self.listen.clone() }
    }

    /// The connections that were asked for, if any were.
    pub(crate) fn max_connections(&self) -> Option<usize> {
        self.limits.max_connections()
    }

    /// The files of the certificate, if the hub shall speak TLS.
    pub(crate) fn tls(&self) -> Result<Option<TlsFiles>, Failure> {
        match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Failure::usage("--tls-cert needs its key: add --tls-key FILE")),
            (None, Some(_)) => Err(Failure::usage("--tls-key needs its certificate: add --tls-cert FILE")),
        }
    }

    /// Who makes the order, if it is not the hub alone.
    pub(crate) fn engine(&self) -> anyhow::Result<Option<EngineSettings>> {
        self.engine.settings()
    }

    /// What `demo` sets where nothing else was said.
    pub(crate) fn for_demo(self) -> Self {
        let anyone = Self { memory: Some(true), cors_origin: vec![AllowedOrigin::any()], ..Self::default() };
        self.or(anyone)
    }

    /// Who may do what: everyone everything, unless there is a key.
    fn authorization(&self) -> anyhow::Result<Authorization> {
        let (publisher, subscriber) =
            (self.publisher().verifier("publisher")?, self.subscriber().verifier("subscriber")?);
        let mut tokens = match (publisher, subscriber) {
            (None, None) => return Ok(Authorization::Open),
            (Some(publisher), None) => Tokens::of_publishers(publisher),
            (None, Some(subscriber)) => Tokens::of_subscribers(subscriber),
            (Some(publisher), Some(subscriber)) => Tokens::of_publishers(publisher).with_subscriber(subscriber),
        };
        if self.anonymous == Some(true) {
            tokens = tokens.with_anonymous();
        }
        if let Some(name) = &self.cookie_name {
            let named = tokens.with_cookie_name(name);
            tokens = named.map_err(|error| Failure::usage(format!("--cookie-name: {error}")))?;
        }
        Ok(Authorization::Tokens(tokens))
    }

    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = Settings::default();
        settings.heartbeat = self.heartbeat.unwrap_or(settings.heartbeat);
        settings.gap_event = self.gap_event.map_or(settings.gap_event, |switch| switch == Switch::On);
        settings.authorization = self.authorization()?;
        settings.subscriptions = self.subscriptions.unwrap_or(settings.subscriptions);
        settings.node_name = self.node_name.clone();
        if settings.node_name.is_none() && self.engine.is_asked_for() {
            // A machine's name may hold what this one can't. Then random digits will do.
            settings.node_name = uname().nodename().to_str().ok().and_then(|name| name.parse().ok());
        }
        settings.cors_origins.clone_from(&self.cors_origin);
        settings.publish_origins.clone_from(&self.publish_origin);
        settings.shards = self.shards.unwrap_or(settings.shards);
        settings.drain = self.drain.unwrap_or(settings.drain);
        settings.compression = self.compression == Some(Switch::On);
        self.limits.set(&mut settings)?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::store::DISK_RETENTION;
    use clap::Parser;
    use fanfare_hub::DEFAULT_RETENTION;
    use fanfare_log::Retention;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    pub(super) fn flags(flags: &[&str]) -> Options {
        Cli::try_parse_from(["fanfare"].iter().chain(flags)).map_err(|error| error.to_string()).unwrap().options
    }

    #[test]
    fn nothing_said_is_the_default() {
        let options = flags(&[]);
        assert_eq!(options.listen(), ["127.0.0.1:3000".parse().unwrap()]);
        let (folder, retention) = (PathBuf::from("fanfare-data"), DISK_RETENTION);
        let store = Store::Disk { folder, durability: Durability::Fsync, retention };
        assert_eq!(options.store().unwrap(), store);
        assert_eq!(flags(&["--memory"]).store().unwrap(), Store::Memory(DEFAULT_RETENTION));
        assert_eq!(options.settings().unwrap().heartbeat, Duration::from_secs(15));
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = parse(
            "listen = ['127.0.0.1:1', '[::1]:2']\nmax_topics = 7\ntrusted_proxy = ['10.0.0.0/8']\nheartbeat = 5\nretain_age = '2d'\ncors_origin = ['*']\ngap_event = 'off'\ncompression = 'on'",
        );
        let options = flags(&["--heartbeat", "7s", "--retain-bytes=1MiB", "--memory"]).or(file.unwrap());
        let settings = options.settings().unwrap();
        assert_eq!(settings.heartbeat, Duration::from_secs(7));
        assert_eq!((settings.topics_max, settings.trusted_proxies.len()), (7, 1));
        assert!(!settings.gap_event && settings.compression && settings.cors_origins[0].is_any());
        assert_eq!(options.listen().len(), 2);
        let two_days = Some(Duration::from_secs(2 * 86400));
        let retention = Retention { count: None, age: two_days, bytes: Some(1 << 20) };
        assert_eq!(options.store().unwrap(), Store::Memory(retention));
    }

    #[test]
    fn an_address_that_is_none_is_answered_with_one() {
        for text in ["localhost:3000", ":3000", "3000", "0.0.0.0"] {
            let error = Cli::try_parse_from(["fanfare", "--listen", text]).map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains("127.0.0.1:3000")), "{text}");
        }
    }
}
