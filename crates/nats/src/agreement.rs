//! Whether what the stream has is what this node has shown to readers, and which epoch that is.
//!
//! A sequence number means one message as long as the stream neither is made anew nor loses its end, as after a power
//! loss. The epoch stands for such a stretch. Whoever finds that it is over opens the next, for the whole of the stream:
//! all that it still has gets new positions, and no position is ever of two events.

use std::sync::Arc;

use async_nats::jetstream::stream::{Info, InfoError, RawMessageError, RawMessageErrorKind, Stream};
use fanfare_log::{BATCH_EVENTS_MAX, Epoch, Log, Position, ReadBudget, ReadError, Record, Timestamp, Topics};

use crate::batch::Batch;
use crate::epoch::{Entry, EpochBucket, EpochError, Found};
use crate::limits::AGREE_ATTEMPTS;
use crate::sequence::{first_of, sequence_of};

/// The stream as it was when all that follows was true of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) epoch: Epoch,
    pub(crate) created: i128,
    pub(crate) first_sequence: u64,
    pub(crate) last_sequence: u64,
}

/// Why there is no agreement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgreeError {
    #[error("the stream can't be looked at")]
    Info(#[from] InfoError),
    #[error("a message of the stream can't be read")]
    Message(#[source] RawMessageError),
    #[error(transparent)]
    Epoch(#[from] EpochError),
    #[error("the local log can't be read")]
    Log(#[from] ReadError),
    #[error("other nodes change the epoch all the time")]
    Contended,
}

/// What is wrong with an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Doubt {
    #[error("the stream has no epoch yet")]
    None,
    #[error("the stream was made anew")]
    MadeAnew,
    #[error("the epoch on record is older than that of the local log")]
    Older,
    #[error("the stream has lost its newest messages")]
    RolledBack,
    #[error("the stream has other events than the local log")]
    Differs,
}

/// Everything that is compared.
#[derive(Debug)]
pub(crate) struct Parties<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) bucket: &'a EpochBucket,
    pub(crate) log: &'a Arc<dyn Log>,
    pub(crate) now: Timestamp,
}

impl Parties<'_> {
    /// Finds the epoch of the stream as it is now, and opens the next one if that of the record is over. `followed` is
    /// the last message that was stored here, or passed over.
    pub(crate) async fn agree(&self, followed: u64) -> Result<Agreed, AgreeError> {
        for _ in 0..AGREE_ATTEMPTS {
            let found = self.bucket.read().await?;
            let info = self.stream.get_info().await?;
            let own = self.log.span().tail;
            let Some(doubt) = self.doubt(&found, &info, own, followed).await? else {
                let entry = found.entry.map_or(Epoch(0), |entry| entry.epoch);
                return Ok(agreed(entry, &info));
            };
            let known = found.entry.map_or(0, |entry| entry.epoch.0).max(own.epoch.0);
            let next = Entry { epoch: Epoch(self.now.0.max(known.saturating_add(1))), created: created(&info) };
            if self.bucket.replace(&found, next).await? {
                if doubt == Doubt::None {
                    tracing::info!(epoch = next.epoch.0, "the first epoch of the stream");
                } else {
                    tracing::warn!(epoch = next.epoch.0, "a new epoch: {doubt}. Subscribers are told of the gap");
                }
            }
        }
        Err(AgreeError::Contended)
    }

    /// Looks whether what was agreed on still holds, and how far the stream is. `None` if it does not.
    pub(crate) async fn check(&self, agreed: &Agreed, followed: u64) -> Result<Option<u64>, AgreeError> {
        // The log's tail may move on meanwhile. What it was is what the stream must have.
        let own = self.log.span().tail;
        let found = self.bucket.read().await?;
        let info = self.stream.get_info().await?;
        let is_same = found.entry == Some(Entry { epoch: agreed.epoch, created: agreed.created });
        let holds = is_same && self.doubt(&found, &info, own, followed).await?.is_none();
        Ok(holds.then_some(info.state.last_sequence))
    }

    async fn doubt(
        &self,
        found: &Found,
        info: &Info,
        own: Position,
        followed: u64,
    ) -> Result<Option<Doubt>, AgreeError> {
        let Some(entry) = found.entry else { return Ok(Some(Doubt::None)) };
        Ok(if entry.created != created(info) {
            Some(Doubt::MadeAnew)
        } else if entry.epoch < own.epoch {
            Some(Doubt::Older)
        } else if entry.epoch > own.epoch {
            // The log begins anew in any case.
            None
        } else if info.state.last_sequence < followed.max(sequence_of(own)) {
            Some(Doubt::RolledBack)
        } else if self.differs(own).await? {
            Some(Doubt::Differs)
        } else {
            None
        })
    }

    /// Whether the stream's message at the log's tail has other events than the log. What was lost and written again
    /// under the same number shows in nothing else.
    async fn differs(&self, own: Position) -> Result<bool, AgreeError> {
        let sequence = sequence_of(own);
        let shown = records_of(&**self.log, own, sequence)?;
        if shown.is_empty() {
            return Ok(false);
        }
        let message = match self.stream.get_raw_message(sequence).await {
            Ok(message) => message,
            // It was trimmed, or an operator took it out.
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(false),
            Err(error) => return Err(AgreeError::Message(error)),
        };
        let Ok(batch) = Batch::decode(&message.payload) else { return Ok(true) };
        let Some(first) = first_of(own.epoch, sequence) else { return Ok(true) };
        let stored =
            (first.offset..).zip(batch.drafts).map(|(offset, draft)| Record::new(draft, Position { offset, ..first }));
        // Of the oldest message kept a part may have been trimmed.
        let skipped = shown.first().map_or(0, |record| record.position.offset - first.offset);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Ok(!stored.skip(skipped).eq(shown.iter().map(|record| (**record).clone())))
    }
}

/// The local log's records of one message.
fn records_of(log: &dyn Log, own: Position, sequence: u64) -> Result<Vec<Arc<Record>>, ReadError> {
    let Some(first) = first_of(own.epoch, sequence) else { return Ok(Vec::new()) };
    let before = Position { offset: first.offset.saturating_sub(1), ..first }.max(log.span().start);
    let budget = ReadBudget { records: BATCH_EVENTS_MAX, bytes: usize::MAX, examined: BATCH_EVENTS_MAX };
    match log.read(before, Topics::All, budget) {
        Ok(batch) => Ok(batch.records.into_iter().filter(|record| record.position <= own).collect()),
        // Trimmed since: there is nothing to compare.
        Err(ReadError::Expired) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn agreed(epoch: Epoch, info: &Info) -> Agreed {
    let state = &info.state;
    Agreed { epoch, created: created(info), first_sequence: state.first_sequence, last_sequence: state.last_sequence }
}

fn created(info: &Info) -> i128 {
    info.created.unix_timestamp_nanos()
}
