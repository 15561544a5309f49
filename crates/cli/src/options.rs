//! What can be said to `serve`: as a flag, in the environment, in a file.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use fanfare_hub::{AllowedOrigin, DEFAULT_RETENTION, Settings};
use fanfare_log::Retention;
use serde::{Deserialize, Deserializer};

use crate::Failure;
use crate::tls::TlsFiles;
use crate::units::{parse_duration, parse_size};

/// The options of a hub. Flags win over the environment, the environment over the file.
///
/// One definition serves all three: the file's keys are the fields' names.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Where to listen; repeatable, and port 0 takes a free one [default: 127.0.0.1:3000]
    #[arg(long, env = "FANFARE_LISTEN", value_name = "ADDR", value_delimiter = ',')]
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
    #[serde(deserialize_with = "origins")]
    cors_origin: Vec<AllowedOrigin>,

    /// Origins whose pages may publish; repeatable, `*` is any. Pages of this machine always may
    #[arg(long, env = "FANFARE_PUBLISH_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(deserialize_with = "origins")]
    publish_origin: Vec<AllowedOrigin>,

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

    /// Connections in all; 503 beyond [default: 100000]
    #[arg(long, env = "FANFARE_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,

    /// The body of a publish; 413 beyond [default: 1MiB]
    #[arg(long, env = "FANFARE_MAX_BODY", value_name = "SIZE", value_parser = parse_size)]
    #[serde(deserialize_with = "size")]
    max_body: Option<u64>,

    /// Topics of one subscription, and of one update; 400 beyond [default: 1000]
    #[arg(long, env = "FANFARE_MAX_TOPICS", value_name = "N")]
    max_topics: Option<usize>,
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
    /// Fills in what only the file says, if one is named.
    pub(crate) fn with_file(self) -> anyhow::Result<Self> {
        match &self.config {
            Some(path) => {
                let file = read(path)?;
                Ok(self.or(file))
            }
            None => Ok(self),
        }
    }

    fn or(self, file: Self) -> Self {
        let list = |flags: Vec<_>, file: Vec<_>| if flags.is_empty() { file } else { flags };
        Self {
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
            max_connections: self.max_connections.or(file.max_connections),
            max_body: self.max_body.or(file.max_body),
            max_topics: self.max_topics.or(file.max_topics),
        }
    }

    pub(crate) fn listen(&self) -> Vec<SocketAddr> {
        if self.listen.is_empty() { vec![SocketAddr::from(([127, 0, 0, 1], 3000))] } else { self.listen.clone() }
    }

    /// The connections that were asked for, if any were.
    pub(crate) fn max_connections(&self) -> Option<usize> {
        self.max_connections
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
        let durability = self.durability.unwrap_or_default();
        match (&self.data_dir, self.memory == Some(true)) {
            (Some(_), true) => Err(Failure::usage("--memory and --data-dir exclude each other: leave one of them out")),
            (None, true) => Ok(Store::Memory(self.retention(DEFAULT_RETENTION))),
            (folder, false) => {
                let folder = folder.clone().unwrap_or_else(|| PathBuf::from(DATA_DIR));
                Ok(Store::Disk { folder, durability, retention: self.retention(DISK_RETENTION) })
            }
        }
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

    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = Settings::default();
        settings.heartbeat = self.heartbeat.unwrap_or(settings.heartbeat);
        settings.gap_event = self.gap_event.map_or(settings.gap_event, |switch| switch == Switch::On);
        settings.cors_origins.clone_from(&self.cors_origin);
        settings.publish_origins.clone_from(&self.publish_origin);
        settings.shards = self.shards.unwrap_or(settings.shards);
        settings.connections_max = self.max_connections.unwrap_or(settings.connections_max);
        settings.topics_max = self.max_topics.unwrap_or(settings.topics_max);
        settings.drain = self.drain.unwrap_or(settings.drain);
        if let Some(bytes) = self.max_body {
            let too_large = |_| Failure::usage("--max-body is more than this machine can address");
            settings.body_bytes_max = usize::try_from(bytes).map_err(too_large)?;
        }
        Ok(settings)
    }
}

fn read(path: &Path) -> anyhow::Result<Options> {
    let unusable = |error: String| Failure::usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    toml::from_str(&text).map_err(|error| unusable(error.to_string())).context("the configuration can't be used")
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

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let parse = |text: String| {
        text.parse()
            .map_err(|_| serde::de::Error::custom(format!("`{text}` is not an address: write it as 127.0.0.1:3000")))
    };
    one_or_many(deserializer)?.into_iter().map(parse).collect()
}

fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AllowedOrigin>, D::Error> {
    let texts = one_or_many(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
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
        let file = toml::from_str(
            "listen = ['127.0.0.1:1', '[::1]:2']\nheartbeat = 5\nretain_age = '2d'\ncors_origin = ['*']\ngap_event = 'off'",
        );
        let options = flags(&["--heartbeat", "7s", "--retain-bytes=1MiB", "--memory"]).or(file.unwrap());
        let settings = options.settings().unwrap();
        assert_eq!(settings.heartbeat, Duration::from_secs(7));
        assert!(!settings.gap_event && settings.cors_origins[0].is_any());
        assert_eq!(options.listen().len(), 2);
        let two_days = Some(Duration::from_secs(2 * 86400));
        let retention = Retention { count: None, age: two_days, bytes: Some(1 << 20) };
        assert_eq!(options.store().unwrap(), Store::Memory(retention));
    }

    #[test]
    fn memory_and_a_folder_exclude_each_other_and_the_flag_overrules_the_file() {
        assert!(flags(&["--memory", "--data-dir", "d"]).store().is_err());
        let file = |text| toml::from_str::<Options>(text).unwrap();
        assert!(file("memory = true\ndata_dir = 'd'").store().is_err());
        let disk = flags(&["--data-dir", "d", "--durability=os"]).or(file("memory = true\ndurability = 'fsync'"));
        assert!(matches!(disk.store().unwrap(), Store::Disk { durability: Durability::Os, .. }));
        let memory = flags(&["--memory"]).or(file("data_dir = 'd'"));
        assert!(matches!(memory.store().unwrap(), Store::Memory(_)));
    }

    #[test]
    fn a_bad_key_or_value_is_named() {
        for (text, named) in [
            ("hearbeat = 5", "hearbeat"),
            ("heartbeat = 'soon'", "soon"),
            ("cors_origin = 'a/b'", "a/b"),
            ("listen = 'here'", "here"),
        ] {
            let error = toml::from_str::<Options>(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
