//! A batch as the payload of one message.
//!
//! ```text
//! u8      version: 1
//! varint  epoch that its publisher knew
//! varint  events
//! event:  u8 flags PRIVATE, CHOSEN, SLOT; varint time; varint topics, and of each varint bytes, text
//!         CHOSEN   varint bytes, text of the id
//!         SLOT     varint byte of the frame where the position goes
//!         varint bytes of the frame, frame
//! ```
//!
//! A varint has seven bits a byte, the lowest first. Nothing follows the last event.

use bytes::Bytes;
use fanfare_log::{BATCH_EVENTS_MAX, Draft, Epoch, Frame, Id, Timestamp, Visibility};

const VERSION: u8 = 1;

const PRIVATE: u8 = 1;
const CHOSEN: u8 = 2;
const SLOT: u8 = 4;

/// What a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The epoch that its publisher knew: a later one than ours says that ours is over.
    pub(crate) epoch: Epoch,
    /// The events. Not empty.
    pub(crate) drafts: Vec<Draft>,
}

impl Batch {
    /// A batch for a message.
    pub(crate) fn new(epoch: Epoch, drafts: Vec<Draft>) -> Self {
        Self { epoch, drafts }
    }

    /// The payload.
    pub(crate) fn encode(&self) -> Bytes {
        let frames: usize = self.drafts.iter().map(|draft| draft.frame.parts().0.len() + 64).sum();
        let mut out = Vec::with_capacity(frames + 16);
        out.push(VERSION);
        put(&mut out, self.epoch.0);
        put(&mut out, self.drafts.len() as u64);
        self.drafts.iter().for_each(|draft| encode(&mut out, draft));
        out.into()
    }

    /// Reads a payload, whose frames are shared and not copied.
    ///
    /// # Errors
    ///
    /// [`Undecodable`] if it is anything but what [`encode`](Self::encode) gives.
    pub(crate) fn decode(payload: &Bytes) -> Result<Self, Undecodable> {
        let mut rest = Rest { payload, at: 0 };
        match rest.byte()? {
            VERSION => {}
            other => return Err(Undecodable::Version(other)),
        }
        let epoch = Epoch(rest.varint()?);
        let count = rest.count(BATCH_EVENTS_MAX)?;
        if count == 0 {
            return Err(Undecodable::Malformed);
        }
        let drafts = (0..count).map(|_| decode(&mut rest)).collect::<Result<_, _>>()?;
        if rest.at != payload.len() {
            return Err(Undecodable::Malformed);
        }
        Ok(Self { epoch, drafts })
    }
}

/// A payload that is no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecodable {
    /// A later Fanfare wrote it.
    #[error("version {0} of the format is not known: use a newer Fanfare on this node")]
    Version(u8),
    /// It was not written by Fanfare, or is damaged.
    #[error("it is not a batch of events")]
    Malformed,
}

fn encode(out: &mut Vec<u8>, draft: &Draft) {
    let (frame, slot) = draft.frame.parts();
    let private = if draft.visibility == Visibility::Private { PRIVATE } else { 0 };
    let chosen = if matches!(draft.id, Id::Chosen(_)) { CHOSEN } else { 0 };
    out.push(private | chosen | slot.map_or(0, |_| SLOT));
    put(out, draft.time.0);
    put(out, draft.topics.len() as u64);
    draft.topics.iter().for_each(|topic| put_bytes(out, topic.as_bytes()));
    if let Id::Chosen(id) = &draft.id {
        put_bytes(out, id.as_bytes());
    }
    if let Some(slot) = slot {
        put(out, slot as u64);
    }
    put_bytes(out, frame);
}

fn decode(rest: &mut Rest<'_>) -> Result<Draft, Undecodable> {
    let flags = rest.byte()?;
    if flags & !(PRIVATE | CHOSEN | SLOT) != 0 {
        return Err(Undecodable::Malformed);
    }
    let time = Timestamp(rest.varint()?);
    // A topic has a byte at least, so that a short payload can't claim many.
    let count = rest.count(rest.left())?;
    let topics = (0..count).map(|_| rest.text().map(Into::into)).collect::<Result<Vec<_>, _>>()?;
    if topics.is_empty() {
        return Err(Undecodable::Malformed);
    }
    let id = if flags & CHOSEN != 0 { Id::Chosen(rest.text()?.into()) } else { Id::Position };
    let slot = if flags & SLOT != 0 { Some(rest.varint()?) } else { None };
    let frame = rest.bytes()?;
    let frame = match slot.map(usize::try_from) {
        None => Frame::whole(frame),
        Some(Ok(slot)) if slot <= frame.len() => Frame::with_slot(frame, slot),
        Some(_) => return Err(Undecodable::Malformed),
    };
    let visibility = if flags & PRIVATE != 0 { Visibility::Private } else { Visibility::Public };
    Ok(Draft { topics, id, visibility, time, frame })
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is not read yet.
struct Rest<'a> {
    payload: &'a Bytes,
    at: usize,
}

impl Rest<'_> {
    fn left(&self) -> usize {
        self.payload.len() - self.at
    }

    fn byte(&mut self) -> Result<u8, Undecodable> {
        let byte = self.payload.get(self.at).copied().ok_or(Undecodable::Malformed)?;
        self.at += 1;
        Ok(byte)
    }

    /// One spelling of a number is read, so that a batch has one encoding.
    fn varint(&mut self) -> Result<u64, Undecodable> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits || (byte == 0 && shift > 0) {
                return Err(Undecodable::Malformed);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Undecodable::Malformed)
    }

    fn count(&mut self, max: usize) -> Result<usize, Undecodable> {
        usize::try_from(self.varint()?).ok().filter(|count| *count <= max).ok_or(Undecodable::Malformed)
    }

    fn bytes(&mut self) -> Result<Bytes, Undecodable> {
        let length = self.count(self.left())?;
        if length > self.left() {
            return Err(Undecodable::Malformed);
        }
        let bytes = self.payload.slice(self.at..self.at + length);
        self.at += length;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&str, Undecodable> {
        let length = self.count(self.left())?;
        let bytes = self.payload.get(self.at..self.at + length).ok_or(Undecodable::Malformed)?;
        self.at += length;
        str::from_utf8(bytes).map_err(|_| Undecodable::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn draft() -> impl Strategy<Value = Draft> {
        let topics = prop::collection::vec(".{0,12}", 1..4);
        let id = prop::option::of(".{0,12}");
        let frame = prop::collection::vec(any::<u8>(), 0..40);
        (topics, id, any::<bool>(), any::<u64>(), frame, prop::option::of(0_usize..50)).prop_map(
            |(topics, id, is_private, time, frame, slot)| Draft {
                topics: topics.into_iter().map(Into::into).collect(),
                id: id.map_or(Id::Position, |id| Id::Chosen(id.into())),
                visibility: if is_private { Visibility::Private } else { Visibility::Public },
                time: Timestamp(time),
                frame: match slot {
                    Some(slot) => Frame::with_slot(frame, slot),
                    None => Frame::whole(frame),
                },
            },
        )
    }

    proptest! {
        #[test]
        fn a_batch_reads_back(epoch: u64, drafts in prop::collection::vec(draft(), 1..5)) {
            let batch = Batch::new(Epoch(epoch), drafts);
            let encoded = batch.encode();
            prop_assert_eq!(Batch::decode(&encoded), Ok(batch));
            for end in 0..encoded.len() {
                prop_assert_eq!(Batch::decode(&encoded.slice(..end)), Err(Undecodable::Malformed));
            }
            let longer = [&encoded[..], &[0]].concat().into();
            prop_assert_eq!(Batch::decode(&longer), Err(Undecodable::Malformed));
        }

        /// What is read at all is what would have been written.
        #[test]
        fn any_bytes_are_a_batch_or_none(mut bytes: Vec<u8>, drafts in prop::collection::vec(draft(), 1..3), at: usize, to: u8) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let mut changed = Batch::new(Epoch(1), drafts).encode().to_vec();
            let at = at % changed.len();
            changed[at] = to;
            for bytes in [bytes, changed] {
                let bytes = Bytes::from(bytes);
                if let Ok(batch) = Batch::decode(&bytes) {
                    prop_assert_eq!(batch.encode(), bytes);
                }
            }
        }
    }

    #[test]
    fn a_later_version_is_named() {
        assert_eq!(Batch::decode(&Bytes::from_static(&[2, 0])), Err(Undecodable::Version(2)));
    }
}
