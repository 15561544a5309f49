//! The epoch, in a key-value bucket beside the stream: which history the stream's sequence numbers are of.
//!
//! The value is two decimals: the epoch, and when the stream that it is of was made, in nanoseconds since 1970. It is
//! replaced by compare-and-set alone, so that of two nodes that find the same roll-back one advances it and the other
//! takes that. It is read from the bucket's leader: a replica may be behind.

use async_nats::jetstream::context::{
    CreateStreamError, GetStreamError, GetStreamErrorKind, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, LastRawMessageError, LastRawMessageErrorKind, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use fanfare_log::Epoch;

use crate::settings::Settings;

const KEY: &str = "epoch";

/// The bucket: a stream, which the tools of NATS show as the bucket that it is. The client's own buckets ask a server of
/// 2.9 for what it can't tell.
#[derive(Debug, Clone)]
pub(crate) struct EpochBucket {
    context: Context,
    stream: Stream,
    subject: String,
}

/// What stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) epoch: Epoch,
    /// When the stream was made, in nanoseconds since 1970.
    pub(crate) created: i128,
}

/// An entry and what a compare-and-set compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// `None` if there is none, or none that can be read.
    pub(crate) entry: Option<Entry>,
    revision: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum EpochError {
    #[error("the bucket of the epoch can't be made")]
    Create(#[source] CreateStreamError),
    #[error("the bucket of the epoch can't be opened")]
    Open(#[source] GetStreamError),
    #[error("the epoch can't be read")]
    Read(#[source] LastRawMessageError),
    #[error("the epoch can't be written")]
    Write(#[source] PublishError),
}

impl EpochBucket {
    /// The bucket, which is made if there is none.
    pub(crate) async fn open(context: &Context, settings: &Settings, replicas: usize) -> Result<Self, EpochError> {
        let bucket = settings.stream.bucket();
        let stream = match context.get_stream(format!("KV_{bucket}")).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    context.create_stream(config(&bucket, replicas)).await.map_err(EpochError::Create)?
                }
                _ => return Err(EpochError::Open(error)),
            },
        };
        Ok(Self { context: context.clone(), stream, subject: format!("$KV.{bucket}.{KEY}") })
    }

    pub(crate) async fn read(&self) -> Result<Found, EpochError> {
        match self.stream.get_last_raw_message_by_subject(&self.subject).await {
            // A deleted key is an empty value, with the revision of its deletion.
            Ok(message) => Ok(Found { entry: Entry::parse(&message.payload), revision: message.sequence }),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                Ok(Found { entry: None, revision: 0 })
            }
            Err(error) => Err(EpochError::Read(error)),
        }
    }

    /// Replaces what was found. False if somebody else has done so.
    pub(crate) async fn replace(&self, found: &Found, entry: Entry) -> Result<bool, EpochError> {
        let message = PublishMessage::build().payload(entry.to_bytes()).expected_last_subject_sequence(found.revision);
        let sent = self.context.send_publish(self.subject.clone(), message).await.map_err(EpochError::Write)?;
        match sent.await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
            Err(error) => Err(EpochError::Write(error)),
        }
    }
}

/// What makes a stream a bucket, as NATS defines it (ADR-8).
fn config(bucket: &str, replicas: usize) -> Config {
    Config {
        name: format!("KV_{bucket}"),
        description: Some("Which history the stream's sequence numbers are of".to_owned()),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages: -1,
        max_messages_per_subject: 1,
        max_bytes: -1,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Config::default()
    }
}

impl Entry {
    fn to_bytes(self) -> Bytes {
        format!("{} {}", self.epoch.0, self.created).into()
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let (epoch, created) = str::from_utf8(value).ok()?.split_once(' ')?;
        Some(Self { epoch: Epoch(epoch.parse().ok()?), created: created.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_nothing_else_is_one() {
        let entry = Entry { epoch: Epoch(u64::MAX), created: 1_763_000_000_000_000_001 };
        assert_eq!(Entry::parse(&entry.to_bytes()), Some(entry));
        for other in ["", "1", "1 ", "x 1", "1 x", "1 2 3", "-1 2"] {
            assert_eq!(Entry::parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Entry::parse(&[0xff, b' ', b'1']), None);
    }
}
