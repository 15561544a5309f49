//! The stream: made if there is none, and looked over if there is one.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamError, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use fanfare_log::Retention;

use crate::limits::DUPLICATE_WINDOW;
use crate::settings::Settings;

/// What keeps a stream from being used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the stream `{0}` does not exist")]
    Missing(String),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("the stream can't be looked at")]
    Get(#[source] GetStreamError),
    #[error("the stream can't be made")]
    Create(#[source] CreateStreamError),
}

/// A stream that exists and does not fit what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the stream `{stream}` does not fit: {field} is {found}, and {needed}. Change the stream, or name another with --engine-stream"
)]
pub struct Unfit {
    stream: String,
    field: &'static str,
    found: String,
    needed: String,
}

/// The stream, if it is there and fits.
pub(crate) async fn find(context: &Context, settings: &Settings) -> Result<Stream, StreamError> {
    let name = settings.stream.as_str();
    match context.get_stream(name).await {
        Ok(stream) => {
            check(&stream.cached_info().config, settings)?;
            Ok(stream)
        }
        Err(error) => Err(match error.kind() {
            GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                StreamError::Missing(name.to_owned())
            }
            _ => StreamError::Get(error),
        }),
    }
}

/// Makes the stream. That another node does the same at once does no harm.
pub(crate) async fn make(context: &Context, settings: &Settings) -> Result<Stream, StreamError> {
    let stream = context.create_stream(wanted(settings)).await.map_err(StreamError::Create)?;
    check(&stream.cached_info().config, settings)?;
    Ok(stream)
}

fn wanted(settings: &Settings) -> Config {
    let kept = Kept::of(&settings.retention);
    Config {
        name: settings.stream.as_str().to_owned(),
        description: Some("Events of a Fanfare hub".to_owned()),
        subjects: vec![settings.stream.subject()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        num_replicas: settings.replicas.unwrap_or(1),
        max_messages: kept.messages,
        max_messages_per_subject: -1,
        max_bytes: kept.bytes,
        max_age: kept.age,
        duplicate_window: DUPLICATE_WINDOW,
        ..Config::default()
    }
}

/// A retention in the stream's terms. A message has one event at least, and is smaller than what its events count in a
/// log, which adds what indexes take: never less is kept than was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    /// -1 is without a bound.
    messages: i64,
    /// As above.
    bytes: i64,
    /// Zero is without a bound.
    age: Duration,
}

impl Kept {
    fn of(retention: &Retention) -> Self {
        let bound = |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX).max(1));
        Self {
            messages: bound(retention.count),
            bytes: bound(retention.bytes),
            // A server keeps no key longer than its message.
            age: retention.age.map_or(Duration::ZERO, |age| age.max(DUPLICATE_WINDOW)),
        }
    }
}

/// Whether what a stream is suits what was asked for.
fn check(config: &Config, settings: &Settings) -> Result<(), Unfit> {
    let is = |fits: bool, field: &'static str, found: String, needed: &str| {
        let stream = settings.stream.as_str().to_owned();
        if fits { Ok(()) } else { Err(Unfit { stream, field, found, needed: needed.to_owned() }) }
    };
    let kept = Kept::of(&settings.retention);
    let subjects = vec![settings.stream.subject()];
    let enough = |found: i64, wanted: i64| found <= 0 || (wanted > 0 && found >= wanted);
    let bound = |found: i64| if found <= 0 { "unlimited".to_owned() } else { found.to_string() };
    let wanted = |wanted: i64, flag: &str| match wanted {
        ..=0 => format!("nothing limits it here ({flag} does)"),
        wanted => format!("{flag} asks for {wanted} at least"),
    };
    is(config.subjects == subjects, "subjects", format!("{:?}", config.subjects), &format!("must be {subjects:?}"))?;
    let retention = format!("{:?}", config.retention).to_lowercase();
    is(
        config.retention == RetentionPolicy::Limits,
        "retention",
        retention,
        "must be limits: every node reads all of it",
    )?;
    is(
        config.discard == DiscardPolicy::Old,
        "discard",
        "new".to_owned(),
        "must be old: a full stream would take no event",
    )?;
    is(!config.no_ack, "no_ack", "true".to_owned(), "publishing is answered when the stream has the event")?;
    is(!config.sealed, "sealed", "true".to_owned(), "a sealed stream takes no event")?;
    is(config.mirror.is_none(), "mirror", "set".to_owned(), "a mirror takes no event of its own")?;
    is(config.sources.is_none(), "sources", "set".to_owned(), "events of other streams have no place in the order")?;
    let per_subject = config.max_messages_per_subject;
    is(per_subject <= 0, "max_msgs_per_subject", per_subject.to_string(), "all events have one subject")?;
    let age = format!("{:?}", config.max_age);
    let age_fits = config.max_age.is_zero() || (!kept.age.is_zero() && config.max_age >= kept.age);
    let age_needed = match kept.age {
        Duration::ZERO => "nothing limits it here (--retain-age does)".to_owned(),
        age => format!("--retain-age asks for {age:?} at least"),
    };
    is(age_fits, "max_age", age, &age_needed)?;
    let bytes_needed = wanted(kept.bytes, "--retain-bytes");
    is(enough(config.max_bytes, kept.bytes), "max_bytes", bound(config.max_bytes), &bytes_needed)?;
    let messages_needed = wanted(kept.messages, "--retain-count");
    is(enough(config.max_messages, kept.messages), "max_msgs", bound(config.max_messages), &messages_needed)?;
    let window = format!("{:?}", config.duplicate_window);
    let window_needed = format!("must be {DUPLICATE_WINDOW:?} at least, for idempotency keys");
    is(config.duplicate_window >= DUPLICATE_WINDOW, "duplicate_window", window, &window_needed)?;
    let replicas = settings.replicas.unwrap_or(1);
    let replicas_needed = format!("--engine-replicas asks for {replicas} at least");
    is(config.num_replicas >= replicas, "num_replicas", config.num_replicas.to_string(), &replicas_needed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn settings(retention: Retention) -> Settings {
        let servers = "nats://localhost".parse().unwrap();
        Settings::new(servers, retention, Arc::new(|| fanfare_log::Timestamp(0)))
    }

    fn bounded() -> Settings {
        let hour = Some(Duration::from_secs(3600));
        let retention = Retention { count: Some(1000), age: hour, bytes: Some(1 << 20) };
        Settings { replicas: Some(3), ..settings(retention) }
    }

    #[test]
    fn what_is_made_fits_and_so_does_more() {
        for settings in [settings(Retention::default()), bounded()] {
            assert_eq!(check(&wanted(&settings), &settings), Ok(()));
            let more = Config {
                max_messages: -1,
                max_bytes: -1,
                max_age: Duration::ZERO,
                num_replicas: 5,
                ..wanted(&settings)
            };
            assert_eq!(check(&more, &settings), Ok(()));
        }
        let short = settings(Retention { age: Some(Duration::from_secs(1)), ..Retention::default() });
        assert_eq!(wanted(&short).max_age, DUPLICATE_WINDOW);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let change = |change: fn(&mut Config), field: &str| {
            let mut config = wanted(&bounded());
            change(&mut config);
            let unfit = check(&config, &bounded()).unwrap_err();
            assert_eq!(unfit.field, field);
            assert!(unfit.to_string().contains(field) && unfit.to_string().contains("FANFARE"), "{unfit}");
        };
        change(|config| config.subjects = vec!["other.>".to_owned()], "subjects");
        change(|config| config.retention = RetentionPolicy::WorkQueue, "retention");
        change(|config| config.discard = DiscardPolicy::New, "discard");
        change(|config| config.no_ack = true, "no_ack");
        change(|config| config.sealed = true, "sealed");
        change(|config| config.max_messages_per_subject = 1, "max_msgs_per_subject");
        change(|config| config.max_age = Duration::from_secs(3599), "max_age");
        change(|config| config.max_bytes = 1 << 19, "max_bytes");
        change(|config| config.max_messages = 999, "max_msgs");
        change(|config| config.duplicate_window = Duration::from_secs(119), "duplicate_window");
        change(|config| config.num_replicas = 1, "num_replicas");
        let mut config = wanted(&settings(Retention::default()));
        config.max_bytes = 5;
        assert!(check(&config, &settings(Retention::default())).unwrap_err().to_string().contains("nothing limits it"));
    }
}
