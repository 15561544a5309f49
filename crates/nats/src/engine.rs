//! The engine: publishes batches, and waits for what others published.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{
    GetStreamError, GetStreamErrorKind, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Error as JetStreamError, ErrorCode};
use bytes::Bytes;
use fanfare_log::{Append, AppendError, AppendOnce, Appended, CatchUp, Draft, Engine, Epoch, Log};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::batch::Batch;
use crate::bus::Bus;
use crate::follower::Follower;
use crate::limits::{APPEND_TIMEOUT, CATCH_UP_TIMEOUT, HEADERS_BYTES_MAX};
use crate::link::{connect, payload_bytes_max};
use crate::scout::{Scout, Scouted};
use crate::sequence::{positions, sequence_of};
use crate::settings::Settings;
use crate::status::Status;
use crate::stream::{StreamError, Unfit, find};
use crate::unusable_file::UnusableFile;

/// An [`Engine`] on a JetStream stream, which it follows into a local log.
///
/// Dropping it ends what it does in the background.
pub struct NatsEngine {
    context: Context,
    stream: String,
    subject: String,
    status: watch::Sender<Status>,
    asked: Arc<AtomicU64>,
    asks: watch::Sender<u64>,
    scouted: watch::Receiver<Scouted>,
    tasks: JoinSet<()>,
}

impl NatsEngine {
    /// Connects, and follows the stream into `log` from where that ends. `log` takes no event but from here: a
    /// [`DiskLog`](fanfare_log::DiskLog) is opened as one that [follows](fanfare_log::Order::Followed), a
    /// [`MemoryLog`](fanfare_log::MemoryLog) with epoch 0.
    ///
    /// Where NATS is away it returns all the same: the engine is [unready](Engine::unready) until it is there. Needs a tokio
    /// runtime, with I/O and time.
    ///
    /// # Errors
    ///
    /// [`StartError`] for what no waiting mends: a wrong address, wrong credentials, a stream that does not fit.
    pub async fn start(settings: Settings, log: Arc<dyn Log>) -> Result<Self, StartError> {
        let status = watch::Sender::new(Status::new(sequence_of(log.span().tail)));
        let context = connect(&settings, &status).await?;
        if status.borrow().is_connected {
            match find(&context, &settings).await {
                Err(StreamError::Unfit(unfit)) => return Err(StartError::Unfit(unfit)),
                Err(StreamError::Get(error)) if has_no_jetstream(&error) => {
                    return Err(StartError::NoJetStream(settings.servers.to_string(), error.into()));
                }
                _ => {}
            }
        }
        let (stream, subject) = (settings.stream.as_str().to_owned(), settings.stream.subject());
        let asks = watch::Sender::new(0);
        let scouting = watch::Sender::new(Scouted::default());
        let scouted = scouting.subscribe();
        let mut tasks = JoinSet::new();
        let (asking, connected) = (asks.subscribe(), status.subscribe());
        let scout =
            Scout { context: context.clone(), stream: stream.clone(), status: connected, asks: asking, scouting };
        tasks.spawn(scout.run());
        tasks.spawn(Follower { context: context.clone(), settings, log, status: status.clone() }.run());
        let asked = Arc::new(AtomicU64::new(0));
        Ok(Self { context, stream, subject, status, asked, asks, scouted, tasks })
    }

    /// A place among the nodes on the same stream, to speak with them.
    ///
    /// # Errors
    ///
    /// [`StartError::Bus`] if the connection has ended for good.
    pub async fn bus(&self) -> Result<Bus, StartError> {
        Bus::open(self.context.client(), &self.subject).await.map_err(|error| StartError::Bus(error.into()))
    }

    /// Ends what it does in the background, and returns when nothing of it has the log any more.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }

    async fn publish(&self, drafts: Vec<Draft>, key: Option<&str>) -> Result<Appended, AppendError> {
        let count = drafts.len();
        let deadline = Instant::now() + APPEND_TIMEOUT;
        let known = self.agreed(0, deadline).await.map_err(AppendError::not_stored)?;
        let payload = Batch::new(known.epoch, drafts).encode();
        self.check_size(&payload)?;
        let acknowledgement = self.send(payload, key, deadline).await?;
        let deadline = Instant::now() + APPEND_TIMEOUT;
        let acknowledged = match timeout_at(deadline, acknowledgement.into_future()).await {
            Ok(Ok(acknowledged)) => acknowledged,
            Ok(Err(error)) => return Err(refused(error)),
            Err(_) => return Err(AppendError::maybe_stored("NATS did not acknowledge it in time")),
        };
        let sequence = acknowledged.sequence;
        if acknowledged.duplicate && key.is_some() {
            return self.first_answer(sequence, deadline).await;
        }
        // A number that was given before says that the epoch is over. Else the follower may have found that meanwhile.
        let is_over = sequence <= known.taken;
        if is_over {
            self.status.send_if_modified(|status| {
                let is_news = status.agreements == known.agreements && !status.is_doubted;
                if is_news {
                    (status.epoch, status.is_doubted) = (None, true);
                }
                is_news
            });
        }
        let unknown = |reason| AppendError::maybe_stored(format!("its place in the order is not known: {reason}"));
        let agreements = if is_over { known.agreements + 1 } else { 0 };
        let now = self.agreed(agreements, deadline).await.map_err(unknown)?;
        if now.agreements == known.agreements {
            self.status.send_if_modified(|status| {
                if status.agreements == known.agreements {
                    status.acknowledged = status.acknowledged.max(sequence);
                }
                false
            });
        }
        let positions = positions(now.epoch, sequence, count);
        positions.map(Appended::Now).ok_or_else(|| unknown("the stream is out of numbers".to_owned()))
    }

    /// What is agreed on, by at least so many agreements. An error says why there is nothing.
    async fn agreed(&self, agreements: u64, deadline: Instant) -> Result<Known, String> {
        let is_agreed =
            |status: &Status| status.is_connected && status.epoch.is_some() && status.agreements >= agreements;
        let mut status = self.status.subscribe();
        let agreed = timeout_at(deadline, status.wait_for(is_agreed)).await;
        let known = agreed.ok().and_then(|status| {
            let status = status.ok()?;
            Some(Known { epoch: status.epoch?, agreements: status.agreements, taken: status.taken() })
        });
        known.ok_or_else(|| self.unready().unwrap_or_else(|| "the engine has stopped".to_owned()))
    }

    fn check_size(&self, payload: &Bytes) -> Result<(), AppendError> {
        let max = payload_bytes_max(&self.context.client()).saturating_sub(HEADERS_BYTES_MAX);
        if max > 0 && payload.len() > max {
            let found = payload.len();
            let reason = format!(
                "a batch of {found} bytes is over the {max} bytes that NATS takes in one message: publish less at once, \
                 or raise its max_payload"
            );
            return Err(AppendError::too_large(reason));
        }
        Ok(())
    }

    /// Nothing is sent by whoever is not sent in time.
    async fn send(
        &self,
        payload: Bytes,
        key: Option<&str>,
        deadline: Instant,
    ) -> Result<PublishAckFuture, AppendError> {
        let message = PublishMessage::build().payload(payload).expected_stream(&self.stream);
        let message = match key {
            Some(key) => message.message_id(key),
            None => message,
        };
        match timeout_at(deadline, self.context.send_publish(self.subject.clone(), message)).await {
            Ok(Ok(acknowledgement)) => Ok(acknowledgement),
            Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(AppendError::too_large("the batch is larger than NATS takes").with_source(error))
            }
            Ok(Err(error)) => Err(AppendError::not_stored("it could not be sent to NATS").with_source(error)),
            Err(_) => Err(AppendError::not_stored("too many publishes wait for NATS")),
        }
    }

    /// What a batch became that was stored before with the same key.
    async fn first_answer(&self, sequence: u64, deadline: Instant) -> Result<Appended, AppendError> {
        let lost = |error: Box<dyn Error + Send + Sync>| {
            AppendError::maybe_stored("it was stored before, and what it became can't be read now").with_source(error)
        };
        let epoch = self.agreed(0, deadline).await.map_err(|reason| lost(reason.into()))?.epoch;
        let read = async {
            let stream = self.context.get_stream_no_info(&self.stream).await?;
            let message = stream.get_raw_message(sequence).await?;
            Ok(Batch::decode(&message.payload)?)
        };
        let read = timeout_at(deadline, read).await.unwrap_or_else(|_| Err("it takes too long".into()));
        let batch = read.map_err(lost)?;
        let positions = positions(epoch, sequence, batch.drafts.len())
            .ok_or_else(|| lost("the stream is out of numbers".into()))?;
        Ok(Appended::Before(batch.drafts.into_iter().map(|draft| draft.id).zip(positions).collect()))
    }

    async fn catch_up_now(&self) -> Result<(), String> {
        let mut scouted = self.scouted.clone();
        let ask = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.asks.send_modify(|asks| *asks = (*asks).max(ask));
        let stopped = |_| "the engine has stopped".to_owned();
        let last = scouted.wait_for(|scouted| scouted.ask >= ask).await.map_err(stopped)?.last;
        let has = |status: &Status| status.epoch.is_some() && !status.is_filling && status.followed >= last;
        self.status.subscribe().wait_for(has).await.map_err(stopped)?;
        Ok(())
    }
}

/// What a publisher goes by.
#[derive(Debug, Clone, Copy)]
struct Known {
    epoch: Epoch,
    agreements: u64,
    /// The highest sequence that is taken.
    taken: u64,
}

fn has_no_jetstream(error: &GetStreamError) -> bool {
    let is_not_enabled = [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT];
    matches!(error.kind(), GetStreamErrorKind::JetStream(cause) if is_not_enabled.contains(&cause.error_code()))
}

/// What became of a batch for which NATS sent an error in place of an acknowledgement, or nothing.
fn refused(error: PublishError) -> AppendError {
    let code =
        error.source().and_then(|source| source.downcast_ref::<JetStreamError>()).map(JetStreamError::error_code);
    match (error.kind(), code) {
        // Nobody was there to take it.
        (PublishErrorKind::StreamNotFound, _) => {
            AppendError::not_stored("the stream is not there, or has no leader now").with_source(error)
        }
        (_, Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)) => {
            AppendError::too_large("the batch is larger than the stream's max_msg_size").with_source(error)
        }
        // What a server looks at before it takes a message.
        (_, Some(code)) if REFUSALS.contains(&code) => {
            AppendError::not_stored(format!("NATS refused it: {error}")).with_source(error)
        }
        _ => AppendError::maybe_stored(format!("NATS did not acknowledge it: {error}")).with_source(error),
    }
}

const REFUSALS: [ErrorCode; 6] = [
    ErrorCode::STREAM_NOT_MATCH,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::JETSTREAM_NOT_ENABLED,
    ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT,
];

impl Engine for NatsEngine {
    fn append(&self, batch: Vec<Draft>) -> Append<'_> {
        Box::pin(async move {
            match self.publish(batch, None).await? {
                Appended::Now(positions) => Ok(positions),
                Appended::Before(named) => Ok(named.into_iter().map(|(_, position)| position).collect()),
            }
        })
    }

    fn append_once<'a>(&'a self, key: &'a str, batch: Vec<Draft>) -> AppendOnce<'a> {
        Box::pin(self.publish(batch, Some(key)))
    }

    fn catch_up(&self) -> CatchUp<'_> {
        Box::pin(async move {
            let caught_up = timeout(CATCH_UP_TIMEOUT, self.catch_up_now()).await;
            caught_up
                .unwrap_or_else(|_| Err(self.unready().unwrap_or_else(|| "it takes longer than it should".to_owned())))
        })
    }

    fn is_filling(&self) -> bool {
        self.status.borrow().is_filling
    }

    fn unreadable(&self) -> u64 {
        self.status.borrow().unreadable
    }

    fn unready(&self) -> Option<String> {
        self.status.borrow().unready()
    }
}

impl fmt::Debug for NatsEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.borrow().clone();
        f.debug_struct("NatsEngine").field("stream", &self.stream).field("status", &status).finish_non_exhaustive()
    }
}

/// An engine that was not started. No error shows a secret. A source may be an error of the NATS client, whose types are
/// not named here: its next version need not be ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A server's address, which is given, can't be one.
    #[error("`{0}` is no address of a server: write it as HOST:PORT")]
    Address(String),
    /// A file with credentials or certificates is of no use.
    #[error(transparent)]
    File(#[from] UnusableFile),
    /// The servers, which are given, do not know this node.
    #[error("{0} does not let this node in: look at the user and password, the token or the credentials file")]
    Refused(String, #[source] Box<dyn Error + Send + Sync>),
    /// The servers, which are given, and this node do not trust each other's certificates, or only one of them wants TLS.
    #[error(
        "{0} and this node can't agree on TLS: look at the CA, the client certificate, and at tls:// against nats://"
    )]
    Tls(String, #[source] Box<dyn Error + Send + Sync>),
    /// The account at the servers, which are given, has no JetStream.
    #[error("{0} has no JetStream for this node: add `jetstream: enabled` to its account")]
    NoJetStream(String, #[source] Box<dyn Error + Send + Sync>),
    /// There is nothing to be heard from the other nodes.
    #[error("the other nodes can't be heard")]
    Bus(#[source] Box<dyn Error + Send + Sync>),
    /// The stream exists and does not fit: its text names what differs.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}
