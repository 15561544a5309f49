//! What can be said to `serve`: as a flag, in the environment, in a file.

mod engine;
mod limits;

pub(crate) use engine::Said;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Command, ValueEnum};
use fanfare_hub::{Algorithm, AllowedOrigin, Authorization, DEFAULT_RETENTION, NodeName, Settings, Tokens};
use fanfare_log::Retention;
use reqwest::Url;
use rustix::system::uname;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::DeTable;

use crate::Failure;
use crate::engine::EngineSettings;
use crate::keys::Keys;
use crate::logging::LogFormat;
use crate::options::engine::EngineOptions;
use crate::options::limits::Limits;
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

    /// Compress streams for clients that offer Zstandard or gzip [default: off]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    #[default]
    Fsync,
    Os,
}

impl From<Durability> for fanfare_log::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Fsync => Self::Fsync,
            Durability::Os => Self::Os,
        }
    }
}

/// Where events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Store {
    Memory(Retention),
    Disk { folder: PathBuf, durability: Durability, retention: Retention },
}

/// Room for some million small events, and little on any disk.
const DISK_RETENTION: Retention = Retention { count: None, age: None, bytes: Some(1 << 30) };

/// Where events are kept unless something else is said.
pub(crate) const DATA_DIR: &str = "fanfare-data";

impl Options {
    /// Fills in what only the reference hub's environment says, and then what only the file says, if one is named.
    pub(crate) fn with_file(self) -> anyhow::Result<Self> {
        let mercure = Self::of_mercure(&|name| std::env::var(name).ok())?;
        match &self.config {
            Some(path) => {
                let file = read(path)?;
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

    /// Where events are kept.
    pub(crate) fn store(&self) -> Result<Store, Failure> {
        // What an engine has can be had again, so that a sync for each event would buy nothing.
        let usual = if self.engine.is_asked_for() { Durability::Os } else { Durability::Fsync };
        let durability = self.durability.unwrap_or(usual);
        match (&self.data_dir, self.memory == Some(true)) {
            (Some(_), true) => Err(Failure::usage("--memory and --data-dir exclude each other: leave one of them out")),
            (None, true) => Ok(Store::Memory(self.retention(DEFAULT_RETENTION))),
            (folder, false) => {
                let folder = folder.clone().unwrap_or_else(|| PathBuf::from(DATA_DIR));
                Ok(Store::Disk { folder, durability, retention: self.retention(DISK_RETENTION) })
            }
        }
    }

    /// Who makes the order, if it is not the hub alone.
    pub(crate) fn engine(&self) -> anyhow::Result<Option<EngineSettings>> {
        self.engine.settings()
    }

    /// What an engine's stream keeps: the same whether this hub has its own history in memory or on disk.
    pub(crate) fn stream_retention(&self) -> Retention {
        self.retention(DISK_RETENTION)
    }

    /// What `demo` sets where nothing else was said.
    pub(crate) fn for_demo(self) -> Self {
        let anyone = Self { memory: Some(true), cors_origin: vec![AllowedOrigin::any()], ..Self::default() };
        self.or(anyone)
    }

    /// Any bound that is set replaces the default one, so that history has a bound in any case.
    fn retention(&self, default: Retention) -> Retention {
        let asked = Retention { count: self.retain_count, age: self.retain_age, bytes: self.retain_bytes };
        if asked == Retention::default() { default } else { asked }
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

fn read(path: &Path) -> anyhow::Result<Options> {
    let unusable = |error: String| Failure::usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let options = parse(&text).map_err(|error| unusable(told(&error, &text)));
    options.context("the configuration can't be used")
}

/// Gives each struct the keys that are its flags' names. Each refuses those that it does not know, with their place.
pub(crate) fn parse(text: &str) -> Result<Options, toml::de::Error> {
    let mut rest = DeTable::parse(text)?;
    let limits = take(&mut rest)?;
    let engine = take(&mut rest)?;
    Ok(Options { limits, engine, ..Options::deserialize(toml::Deserializer::from(rest))? })
}

/// Those of the file's keys that are flags of `T`.
fn take<T: Args + DeserializeOwned>(rest: &mut Spanned<DeTable<'_>>) -> Result<T, toml::de::Error> {
    let mut taken = Spanned::new(rest.span(), DeTable::new());
    for flag in T::augment_args(Command::new("")).get_arguments() {
        if let Some((key, value)) = rest.get_mut().remove_entry(flag.get_id().as_str()) {
            taken.get_mut().insert(key, value);
        }
    }
    T::deserialize(toml::Deserializer::from(taken))
}

/// What is wrong and where. The library would show the line, and a line may hold a key.
fn told(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let place = before.map(|before| {
        let line = before.matches('\n').count();
        let name = text.lines().nth(line).and_then(|line| line.split_once('=')).map(|(name, _)| name.trim());
        let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let name = name.filter(is_name).map(|name| format!(", {name}"));
        format!("line {}{}: ", line + 1, name.unwrap_or_default())
    });
    format!("{}{}", place.unwrap_or_default(), error.message())
}

/// A duration or size in the file: as on the command line, or a bare number.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl NumberOrText {
    fn parse<'de, D: Deserializer<'de>, T>(
        deserializer: D,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, D::Error> {
        let text = match Self::deserialize(deserializer)? {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        };
        parse(&text).map(Some).map_err(serde::de::Error::custom)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    NumberOrText::parse(deserializer, parse_duration)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    NumberOrText::parse(deserializer, parse_size)
}

/// A list in the file, or its only member.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

/// A text in the file, as on the command line.
fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}

/// A list in the file whose members are read as on the command line.
fn one_or_many_parsed<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let texts = one_or_many(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let parse = |text: String| parse_address(&text).map_err(serde::de::Error::custom);
    one_or_many(deserializer)?.into_iter().map(parse).collect()
}

/// Names are not looked up: which of a name's addresses the hub listened on would be luck.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address: write it as 127.0.0.1:3000 or [::1]:3000"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn flags(flags: &[&str]) -> Options {
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
    fn memory_and_a_folder_exclude_each_other_and_the_flag_overrules_the_file() {
        assert!(flags(&["--memory", "--data-dir", "d"]).store().is_err());
        let file = |text| parse(text).unwrap();
        assert!(file("memory = true\ndata_dir = 'd'").store().is_err());
        let disk = flags(&["--data-dir", "d", "--durability=os"]).or(file("memory = true\ndurability = 'fsync'"));
        assert!(matches!(disk.store().unwrap(), Store::Disk { durability: Durability::Os, .. }));
        let memory = flags(&["--memory"]).or(file("data_dir = 'd'"));
        assert!(matches!(memory.store().unwrap(), Store::Memory(_)));
    }

    #[test]
    fn an_address_that_is_none_is_answered_with_one() {
        for text in ["localhost:3000", ":3000", "3000", "0.0.0.0"] {
            let error = Cli::try_parse_from(["fanfare", "--listen", text]).map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains("127.0.0.1:3000")), "{text}");
        }
    }

    #[test]
    fn a_bad_key_or_value_is_named() {
        for (text, named) in [
            ("\nhearbeat = 5", "hearbeat"),
            ("\nheartbeat = 'soon'", "soon"),
            ("\ncors_origin = 'a/b'", "a/b"),
            ("\nlisten = 'here'", "here"),
            ("\nmax_topic = 5", "max_topic"),
            ("\nmax_topics = 'few'", "few"),
            ("\ntrusted_proxy = '10.0.0.0/99'", "10.0.0.0/99"),
            ("\n[limits]\nmax_topics = 5", "limits"),
        ] {
            let error = told(&parse(text).unwrap_err(), text);
            assert!(error.contains(named) && error.starts_with("line 2"), "{error}");
        }
    }
}
