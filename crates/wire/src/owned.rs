//! An event that outlives the decoder's next call, and what the adapters yield in its place.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::error::Error;
use core::fmt;

#[cfg(any(feature = "std", feature = "stream"))]
use crate::{Decoded, Decoder};
use crate::{Message, SkipReason};

/// A [`Message`] of its own: what the adapters yield, and what a program keeps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct OwnedMessage {
    /// Its type, `message` if it said none (P9).
    pub event_type: String,
    /// Its data, with LF between the lines.
    pub data: String,
    /// The last event id string: its own id, or the one that an earlier block set (P7, P9).
    pub last_event_id: String,
}

impl Message<'_> {
    /// Copies it.
    #[must_use]
    pub fn to_owned(&self) -> OwnedMessage {
        OwnedMessage {
            event_type: self.event_type.to_owned(),
            data: self.data.to_owned(),
            last_event_id: self.last_event_id.to_owned(),
        }
    }
}

/// Decodes up to the next event that is to be yielded.
#[cfg(any(feature = "std", feature = "stream"))]
pub(crate) fn next_message<E>(
    decoder: &mut Decoder,
    rest: &mut &[u8],
) -> Option<Result<OwnedMessage, MessageError<E>>> {
    while let Some(decoded) = decoder.decode(rest) {
        match decoded {
            Decoded::Event(message) => return Some(Ok(message.to_owned())),
            Decoded::Skipped(skipped) => {
                return Some(Err(MessageError::Skipped { reason: skipped.reason, bytes: skipped.bytes }));
            }
            Decoded::Comment(_) | Decoded::Retry(_) => {}
        }
    }
    None
}

/// An event that could not be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum MessageError<E> {
    /// The source failed.
    Source(E),
    /// It was larger than the [`Limits`](crate::Limits) allow. The next one is behind it.
    Skipped {
        /// Which limit.
        reason: SkipReason,
        /// Its size, in bytes.
        bytes: u64,
    },
}

impl<E> fmt::Display for MessageError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(_) => f.write_str("the source of the stream failed"),
            Self::Skipped { bytes, .. } => {
                write!(f, "an event of {bytes} bytes was skipped: raise the limits to receive it")
            }
        }
    }
}

impl<E: Error + 'static> Error for MessageError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Source(error) => Some(error),
            Self::Skipped { .. } => None,
        }
    }
}
