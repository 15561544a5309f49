//! Brings the stream into the local log, from wherever that ends, as long as there is an engine.

use std::collections::VecDeque;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::message::Message;
use async_nats::jetstream::stream::Stream;
use fanfare_log::{Append, AppendError, Epoch, Log, Place, Position, Retention};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::agreement::{AgreeError, Agreed, Parties};
use crate::batch::{Batch, Undecodable};
use crate::epoch::EpochBucket;
use crate::limits::{
    CHECK_INTERVAL, CONSUMER_IDLE, HEARTBEAT, MISSING_LOOKS, PULL_BYTES_MIN, PULL_EXPIRY, PULL_MESSAGES, RETRY_PAUSE,
    RETRY_PAUSE_MAX, STORING_BATCHES_MAX, STORING_BYTES_MAX,
};
use crate::link::{connected, payload_bytes_max};
use crate::sequence::{end_of, first_of, sequence_of};
use crate::settings::Settings;
use crate::status::Status;
use crate::stream::{StreamError, Unfit, find, make};

/// Follows the stream.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) context: Context,
    pub(crate) settings: Settings,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) status: watch::Sender<Status>,
}

/// Why following broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Unfit(Unfit),
    #[error("the stream is not there: it is made anew if it does not come back")]
    Missing(#[source] StreamError),
    #[error(
        "JetStream does not answer: unless a leader is being elected, look at the servers and at this user's permissions"
    )]
    Stream(#[source] StreamError),
    #[error("look at --engine-replicas and --retain-bytes, and at whether another stream has the subject")]
    Make(#[source] StreamError),
    #[error(
        "JetStream does not answer: unless a leader is being elected, look at the servers and at this user's permissions"
    )]
    Agree(#[from] AgreeError),
    #[error("the stream can't be followed")]
    Consumer(#[source] Box<dyn Error + Send + Sync>),
    #[error("the local log does not store")]
    Log(#[from] AppendError),
    #[error("the stream is not what it was")]
    Doubted,
    #[error("messages of the stream got lost on the way")]
    Lost,
}

impl Follower {
    /// Follows until the task is ended.
    pub(crate) async fn run(self) {
        let (mut pause, mut missing, mut said) = (RETRY_PAUSE, 0, String::new());
        loop {
            let begun = self.status.borrow().followed;
            let Err(broken) = self.follow(&mut missing).await;
            self.status.send_modify(|status| {
                status.epoch = None;
                status.trouble = status.is_connected.then(|| told(&broken));
            });
            // Whoever came further shall not be slow because of an earlier failure.
            let moved = self.status.borrow().followed != begun || matches!(broken, Broken::Doubted);
            pause = if moved { RETRY_PAUSE } else { (pause * 2).min(RETRY_PAUSE_MAX) };
            // What stays as it is, such as a stream that does not fit, is said once; the readiness says it all the time.
            let why = told(&broken);
            if moved || why != said {
                tracing::warn!("following the stream broke off, and is tried again: {why}");
            }
            said = why;
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            connected(&self.context.client(), &self.status).await;
        }
    }

    async fn follow(&self, missing: &mut u32) -> Result<std::convert::Infallible, Broken> {
        connected(&self.context.client(), &self.status).await;
        let stream = self.stream(missing).await?;
        *missing = 0;
        let replicas = stream.cached_info().config.num_replicas;
        let bucket = EpochBucket::open(&self.context, &self.settings, replicas).await.map_err(AgreeError::from)?;
        let followed = self.followed();
        let agreed = self.parties(&stream, &bucket).agree(followed).await?;
        let tail = self.log.span().tail;
        let start = if tail.epoch == agreed.epoch && followed + 1 >= agreed.first_sequence {
            followed + 1
        } else {
            let start = start_of(&agreed, &self.settings.retention);
            self.begin_at(end_of(agreed.epoch, start - 1)).await?;
            start
        };
        let mut messages = self.consume(&stream, start).await?;
        // What the consumer is of must be what was agreed on: the stream may have been made anew between.
        let parties = self.parties(&stream, &bucket);
        if parties.check(&agreed, start - 1).await?.is_none() {
            return Err(Broken::Doubted);
        }
        self.status.send_modify(|status| {
            (status.epoch, status.target, status.is_doubted) = (Some(agreed.epoch), agreed.last_sequence, false);
            (status.followed, status.acknowledged, status.trouble) = (start - 1, 0, None);
            status.agreements += 1;
            status.is_filling &= status.followed < status.target;
        });
        let mut session = Session::new(self, agreed, start);
        session.run(&mut messages, &stream, &bucket).await
    }

    async fn stream(&self, missing: &mut u32) -> Result<Stream, Broken> {
        match find(&self.context, &self.settings).await {
            Ok(stream) => return Ok(stream),
            Err(StreamError::Unfit(unfit)) => return Err(Broken::Unfit(unfit)),
            Err(error @ StreamError::Missing(_)) if *missing < MISSING_LOOKS => {
                *missing += 1;
                return Err(Broken::Missing(error));
            }
            Err(StreamError::Missing(_)) => {}
            Err(error) => return Err(Broken::Stream(error)),
        }
        tracing::warn!(stream = self.settings.stream.as_str(), "making the stream, which is not there");
        make(&self.context, &self.settings).await.map_err(|error| match error {
            StreamError::Unfit(unfit) => Broken::Unfit(unfit),
            error => Broken::Make(error),
        })
    }

    /// The last message that is stored here or was passed over.
    fn followed(&self) -> u64 {
        let tail = sequence_of(self.log.span().tail);
        self.status.borrow().followed.max(tail)
    }

    async fn begin_at(&self, start: Position) -> Result<(), Broken> {
        self.status.send_modify(|status| status.is_filling = true);
        self.log.begin_at(start).await?;
        // What was followed of another epoch says nothing of this one.
        self.status.send_modify(|status| (status.followed, status.acknowledged) = (sequence_of(start), 0));
        tracing::info!(%start, "the history of this node begins");
        Ok(())
    }

    fn parties<'a>(&'a self, stream: &'a Stream, bucket: &'a EpochBucket) -> Parties<'a> {
        Parties { stream, bucket, log: &self.log, now: (self.settings.clock)() }
    }

    async fn consume(&self, stream: &Stream, start: u64) -> Result<pull::Stream, Broken> {
        let failed = |error: async_nats::Error| Broken::Consumer(error);
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: start },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: CONSUMER_IDLE,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| failed(error.into()))?;
        // A message that is larger than what was asked for would never come.
        let bytes = PULL_BYTES_MIN.max(payload_bytes_max(&self.context.client()).saturating_mul(2));
        let messages = consumer.stream().max_messages_per_batch(PULL_MESSAGES).max_bytes_per_batch(bytes);
        messages.heartbeat(HEARTBEAT).expires(PULL_EXPIRY).messages().await.map_err(|error| failed(error.into()))
    }
}

/// What is wrong, with its causes.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// The message with which a node without a history begins: as much of the stream as it would keep.
fn start_of(agreed: &Agreed, retention: &Retention) -> u64 {
    let first = agreed.first_sequence.max(1);
    let kept = retention.count.map_or(u64::MAX, |count| count.saturating_add((count / 10).max(64)));
    first.max(agreed.last_sequence.saturating_add(1).saturating_sub(kept))
}

/// The time from one agreement to the next doubt.
struct Session<'a> {
    follower: &'a Follower,
    agreed: Agreed,
    /// The last message that came.
    received: u64,
    /// How many the consumer has sent.
    delivered: u64,
    /// The tail of the log, once all that was given to it is stored.
    tail: Position,
    storing: VecDeque<Storing<'a>>,
    storing_bytes: usize,
    /// Where the stream was at the last look, and what had come by then.
    looked: (u64, u64),
    /// Messages that are no batches, since the last look: how many, and the last of them.
    passed_over: Option<(u64, u64, Undecodable)>,
    /// A message says that there is a later epoch: the next look comes at once.
    is_hinted: bool,
}

/// A message on its way into the log.
struct Storing<'a> {
    sequence: u64,
    bytes: usize,
    /// `None` for one that is passed over.
    append: Option<Append<'a>>,
}

type Look<'a> = Pin<Box<dyn Future<Output = Result<Option<u64>, AgreeError>> + Send + 'a>>;

impl<'a> Session<'a> {
    fn new(follower: &'a Follower, agreed: Agreed, start: u64) -> Self {
        Self {
            follower,
            agreed,
            received: start - 1,
            delivered: 0,
            tail: follower.log.span().tail,
            storing: VecDeque::new(),
            storing_bytes: 0,
            looked: (0, start - 1),
            passed_over: None,
            is_hinted: false,
        }
    }

    async fn run(
        &mut self,
        messages: &mut pull::Stream,
        stream: &Stream,
        bucket: &EpochBucket,
    ) -> Result<std::convert::Infallible, Broken> {
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look: Option<Look<'_>> = None;
        let mut doubts = self.follower.status.subscribe();
        loop {
            if std::mem::take(&mut self.is_hinted) {
                ticks.reset_immediately();
            }
            let has_room = self.storing.len() < STORING_BATCHES_MAX && self.storing_bytes < STORING_BYTES_MAX;
            tokio::select! {
                stored = stored(self.storing.front_mut()), if !self.storing.is_empty() => {
                    stored?;
                    self.confirm();
                }
                message = messages.next(), if has_room => match message {
                    Some(Ok(message)) => self.take(&message).await?,
                    Some(Err(error)) => return Err(Broken::Consumer(error.into())),
                    None => return Err(Broken::Lost),
                },
                _ = ticks.tick(), if look.is_none() => {
                    self.tell_passed_over();
                    let followed = self.follower.status.borrow().followed;
                    let (follower, agreed) = (self.follower, self.agreed);
                    look = Some(Box::pin(async move {
                        follower.parties(stream, bucket).check(&agreed, followed).await
                    }));
                }
                looked = optional(&mut look) => {
                    look = None;
                    self.judge(looked)?;
                }
                () = async { doubts.wait_for(|status| status.is_doubted).await.map_or((), drop) } => {
                    return Err(Broken::Doubted);
                }
            }
        }
    }

    /// What a look at the stream says.
    fn judge(&mut self, looked: Result<Option<u64>, AgreeError>) -> Result<(), Broken> {
        let last = looked?.ok_or(Broken::Doubted)?;
        // Two looks saw messages that did not come between: whatever the reason, another consumer will bring them.
        let (last_before, received_before) = self.looked;
        if self.received < last_before && self.received == received_before && self.storing.is_empty() {
            return Err(Broken::Lost);
        }
        self.looked = (last, self.received);
        Ok(())
    }

    /// Gives a message to the log.
    async fn take(&mut self, message: &Message) -> Result<(), Broken> {
        let info = message.info().map_err(Broken::Consumer)?;
        let (sequence, epoch) = (info.stream_sequence, self.agreed.epoch);
        self.delivered += 1;
        if info.consumer_sequence != self.delivered || sequence <= self.received {
            return Err(Broken::Lost);
        }
        let is_hole = sequence != self.received + 1;
        self.received = sequence;
        let batch = match Batch::decode(&message.payload) {
            Ok(batch) => Some(batch),
            Err(error) => {
                self.pass_over(sequence, error);
                None
            }
        };
        // Its publisher may know of a change before this node does. No more than a hint: anything may stand there.
        self.is_hinted |= batch.as_ref().is_some_and(|batch| batch.epoch > epoch);
        if is_hole {
            // Trimmed before it came, or taken out by an operator: it must not be passed over in silence.
            self.flush().await?;
            tracing::warn!(
                sequence,
                "messages before it are not in the stream any more: subscribers are told of the gap"
            );
            let start = end_of(epoch, sequence - 1);
            self.follower.log.begin_at(start).await?;
            self.tail = start;
        }
        let append = batch.and_then(|batch| self.append(epoch, sequence, batch));
        let bytes = message.payload.len();
        self.storing_bytes += bytes;
        self.storing.push_back(Storing { sequence, bytes, append });
        Ok(())
    }

    /// Counts a message that is no batch. What is wrong is said with the next look, once for all of them: whoever has the
    /// subject by mistake may publish thousands a second.
    fn pass_over(&mut self, sequence: u64, error: Undecodable) {
        let count = self.passed_over.map_or(0, |(count, ..)| count) + 1;
        self.passed_over = Some((count, sequence, error));
        self.follower.status.send_if_modified(|status| {
            status.unreadable += 1;
            false
        });
    }

    fn tell_passed_over(&mut self) {
        if let Some((count, sequence, error)) = self.passed_over.take() {
            tracing::error!(count, sequence, %error, "messages of the stream were passed over: this is the last of them");
        }
    }

    fn append(&mut self, epoch: Epoch, sequence: u64, batch: Batch) -> Option<Append<'a>> {
        let first = first_of(epoch, sequence)?;
        let last = Position { offset: first.offset + batch.drafts.len() as u64 - 1, ..first };
        let tail = std::mem::replace(&mut self.tail, last);
        Some(self.follower.log.store(batch.drafts, Place::Onto { tail, first }))
    }

    /// Waits until the log has all that it was given.
    async fn flush(&mut self) -> Result<(), Broken> {
        while !self.storing.is_empty() {
            stored(self.storing.front_mut()).await?;
            self.confirm();
        }
        Ok(())
    }

    /// The oldest message that was on its way is in the log, and all after it that are there too.
    fn confirm(&mut self) {
        let mut followed = None;
        while let Some(storing) = self.storing.front_mut() {
            if followed.is_some() {
                match &mut storing.append {
                    None => {}
                    Some(append) => match append.as_mut().now_or_never() {
                        Some(Ok(_)) => storing.append = None,
                        // Asked again, a future that is done would not answer: the error is kept for the next wait.
                        Some(Err(error)) => {
                            storing.append = Some(Box::pin(std::future::ready(Err(error))));
                            break;
                        }
                        None => break,
                    },
                }
            }
            followed = Some(storing.sequence);
            self.storing_bytes -= storing.bytes;
            self.storing.pop_front();
        }
        if let Some(followed) = followed {
            self.follower.status.send_modify(|status| {
                status.followed = followed;
                status.is_filling &= followed < status.target;
            });
        }
    }
}

/// Waits until the log has what was given to it first.
async fn stored(front: Option<&mut Storing<'_>>) -> Result<(), AppendError> {
    match front.and_then(|storing| storing.append.as_mut()) {
        Some(append) => append.await.map(drop),
        None => Ok(()),
    }
}

async fn optional(look: &mut Option<Look<'_>>) -> Result<Option<u64>, AgreeError> {
    match look {
        Some(look) => look.await,
        None => std::future::pending().await,
    }
}

/// The server's rule.
const _: () = assert!(HEARTBEAT.as_millis() * 2 <= PULL_EXPIRY.as_millis());
