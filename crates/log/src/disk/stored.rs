//! A record in a file.
//!
//! ```text
//! u32 checksum of all that follows     CRC-32
//! u32 bytes of the body
//! u8  check of the length              with the flags' spare bits it makes a search for records in garbage cheap
//! u8  flags                            PRIVATE, CONTINUES, CHOSEN, REPEATS
//! body: varints  bytes back to where its group begins, offset past the segment's base, time past the base's (zigzag),
//!                topics, bytes of each topic
//!       CHOSEN   bytes of the id
//!       REPEATS  epoch and offset of the first record with this id
//!       text of the topics, of the id, the frame
//! ```
//!
//! A *group* is what was written and synced at once. A group is written only after the one before was synced, so a
//! record of a later group proves that an earlier place was whole once: that tells damage from a torn tail. CONTINUES
//! says that the next record is of the same batch, which is kept whole or not at all.

use crate::disk::fields::{Fields, put_varint, unzigzag, zigzag};
use crate::limits::BATCH_BYTES_MAX;
use crate::{Epoch, Id, Position, Record, RecordRef, Timestamp, Visibility};

pub(super) const HEADER_BYTES: usize = 10;

const PRIVATE: u8 = 1;
const CONTINUES: u8 = 2;
const CHOSEN: u8 = 4;
const REPEATS: u8 = 8;
const FLAGS: u8 = 15;

/// What the records of a segment are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Base {
    /// A position before the first record.
    pub(super) position: Position,
    pub(super) time: Timestamp,
}

/// Where a record stands among those written with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placing {
    /// Bytes back to where its group begins.
    pub(super) group_distance: u64,
    /// The next record is of the same batch.
    pub(super) continues: bool,
    /// The first record with the same chosen id, if it is another.
    pub(super) first: Option<Position>,
}

/// Appends `record`, whose offset is past that of `base`.
pub(super) fn encode(out: &mut Vec<u8>, base: &Base, record: &Record, placing: Placing) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    put_varint(out, placing.group_distance);
    put_varint(out, record.position.offset.wrapping_sub(base.position.offset));
    put_varint(out, zigzag(record.time.0.wrapping_sub(base.time.0) as i64));
    put_varint(out, record.topics.len() as u64);
    record.topics.iter().for_each(|topic| put_varint(out, topic.len() as u64));
    let mut flags = 0;
    if record.visibility == Visibility::Private {
        flags |= PRIVATE;
    }
    if placing.continues {
        flags |= CONTINUES;
    }
    if let Id::Chosen(id) = &record.id {
        flags |= CHOSEN;
        put_varint(out, id.len() as u64);
    }
    if let Some(first) = placing.first {
        flags |= REPEATS;
        put_varint(out, first.epoch.0);
        put_varint(out, first.offset);
    }
    record.topics.iter().for_each(|topic| out.extend_from_slice(topic.as_bytes()));
    if let Id::Chosen(id) = &record.id {
        out.extend_from_slice(id.as_bytes());
    }
    out.extend_from_slice(&record.frame);
    let written = &mut out[start..];
    let len = (written.len() - HEADER_BYTES) as u32;
    written[4..8].copy_from_slice(&len.to_le_bytes());
    written[8] = check_of(len);
    written[9] = flags;
    let checksum = crc32fast::hash(&written[4..]);
    written[..4].copy_from_slice(&checksum.to_le_bytes());
}

fn check_of(len: u32) -> u8 {
    (len.wrapping_mul(0x9E37_79B1) >> 24) as u8 ^ 0xA5
}

/// Whether a record may begin with these bytes: one random place in ten thousand passes.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let Some([_, _, _, _, l0, l1, l2, l3, check, flags]) = bytes.first_chunk() else { return false };
    *check == check_of(u32::from_le_bytes([*l0, *l1, *l2, *l3])) && flags & !FLAGS == 0
}

/// How many bytes are needed to tell what `bytes` begin with, if they are too few.
pub(super) fn needed(bytes: &[u8]) -> Option<usize> {
    let Some([_, _, _, _, l0, l1, l2, l3, _, _]) = bytes.first_chunk() else { return Some(HEADER_BYTES) };
    let size = HEADER_BYTES + u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
    (may_begin(bytes) && size <= BATCH_BYTES_MAX && bytes.len() < size).then_some(size)
}

/// What stands at the start of some bytes.
#[derive(Debug)]
pub(super) enum Decoded<'a> {
    Record(View<'a>),
    /// Nothing was written here: zeros.
    End,
    /// There are too few bytes to tell: [`needed`] says how many are.
    Short,
    /// Neither a record nor nothing.
    Bad,
}

/// A record that was checked, where it lies.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) position: Position,
    pub(super) time: Timestamp,
    pub(super) visibility: Visibility,
    pub(super) placing: Placing,
    pub(super) id: Option<&'a str>,
    pub(super) topics: StoredTopics<'a>,
    pub(super) frame: &'a [u8],
    /// Bytes of the whole.
    pub(super) size: usize,
}

/// The topics of a record, as they lie: how long each is, and one text, with the record's id at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredTopics<'a> {
    left: usize,
    lens: Fields<'a>,
    text: &'a str,
}

/// Decodes the record at the start of `bytes`.
pub(super) fn decode<'a>(bytes: &'a [u8], base: &Base) -> Decoded<'a> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Decoded::Short;
    };
    let [c0, c1, c2, c3, l0, l1, l2, l3, _, flags] = *header;
    if *header == [0; HEADER_BYTES] {
        return Decoded::End;
    }
    let len = u32::from_le_bytes([l0, l1, l2, l3]);
    let size = HEADER_BYTES + len as usize;
    if !may_begin(bytes) || size > BATCH_BYTES_MAX {
        return Decoded::Bad;
    }
    let (Some(body), Some(checked)) = (body.get(..len as usize), bytes.get(4..size)) else {
        return Decoded::Short;
    };
    if crc32fast::hash(checked) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Decoded::Bad;
    }
    view(body, flags, base).map_or(Decoded::Bad, Decoded::Record)
}

/// Reads a body whose checksum is right, which whoever made the file may have chosen all the same.
fn view<'a>(body: &'a [u8], flags: u8, base: &Base) -> Option<View<'a>> {
    let has = |flag| flags & flag != 0;
    let mut fields = Fields(body);
    let group_distance = fields.varint()?;
    let offset = base.position.offset.checked_add(fields.varint()?)?;
    let time = Timestamp(base.time.0.wrapping_add(unzigzag(fields.varint()?) as u64));
    let topics = fields.length()?;
    let lens = fields;
    // A topic takes a byte for its length at least, so this ends with the body.
    let mut topics_len = 0_usize;
    for _ in 0..topics {
        topics_len = topics_len.checked_add(fields.length()?)?;
    }
    let id_len = if has(CHOSEN) { fields.length()? } else { 0 };
    let first =
        if has(REPEATS) { Some(Position { epoch: Epoch(fields.varint()?), offset: fields.varint()? }) } else { None };
    let text = str::from_utf8(fields.take(topics_len.checked_add(id_len)?)?).ok()?;
    let id = text.get(topics_len..)?;
    let view = View {
        position: Position { offset, ..base.position },
        time,
        visibility: if has(PRIVATE) { Visibility::Private } else { Visibility::Public },
        placing: Placing { group_distance, continues: has(CONTINUES), first },
        id: has(CHOSEN).then_some(id),
        topics: StoredTopics { left: topics, lens, text },
        frame: fields.0,
        size: HEADER_BYTES + body.len(),
    };
    (topics == 1 || view.topics.count() == topics).then_some(view)
}

impl<'a> Iterator for StoredTopics<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.left = self.left.checked_sub(1)?;
        let (topic, rest) = self.text.split_at_checked(self.lens.length()?)?;
        self.text = rest;
        Some(topic)
    }
}

impl<'a> View<'a> {
    /// What it counts towards `retain_bytes`: as [`Record::retained_bytes`] says.
    pub(super) fn retained_bytes(&self) -> u64 {
        crate::record::retained_bytes(self.topics.text.len() + self.frame.len(), self.topics.left)
    }

    pub(super) fn as_ref(&self) -> RecordRef<'a> {
        let Self { position, topics, visibility, time, frame, .. } = *self;
        RecordRef { position, topics: topics.into(), visibility, time, frame }
    }

    pub(super) fn id(&self) -> Id {
        self.id.map_or(Id::Position, |id| Id::Chosen(id.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draft, Frame};
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn base() -> Base {
        Base { position: Position { epoch: Epoch(7), offset: 100 }, time: Timestamp(1_000) }
    }

    fn record(topics: &[String], id: Option<&str>, time: u64, frame: &[u8]) -> Record {
        let draft = Draft {
            topics: topics.iter().map(|topic| Arc::from(topic.as_str())).collect(),
            id: id.map_or(Id::Position, |id| Id::Chosen(id.into())),
            visibility: if time.is_multiple_of(2) { Visibility::Public } else { Visibility::Private },
            time: Timestamp(time),
            frame: Frame::whole(Bytes::copy_from_slice(frame)),
        };
        Record::new(draft, Position { epoch: Epoch(7), offset: 101 + time % 1000 })
    }

    proptest! {
        #[test]
        fn a_record_reads_back(
            topics in prop::collection::vec(".{0,20}", 0..4),
            id in prop::option::of(".{0,20}"),
            time: u64,
            frame: Vec<u8>,
            group_distance in 0_u64..1 << 30,
            continues: bool,
            first in prop::option::of((0_u64.., 0_u64..)),
            rest: Vec<u8>,
        ) {
            let record = record(&topics, id.as_deref(), time, &frame);
            let first = first.map(|(epoch, offset)| Position { epoch: Epoch(epoch), offset });
            let mut bytes = Vec::new();
            encode(&mut bytes, &base(), &record, Placing { group_distance, continues, first });
            let size = bytes.len();
            bytes.extend(rest);
            let Decoded::Record(view) = decode(&bytes, &base()) else { panic!("a record") };
            prop_assert_eq!(view.position, record.position);
            prop_assert_eq!(view.time, record.time);
            prop_assert_eq!(view.visibility, record.visibility);
            prop_assert_eq!(view.id(), record.id.clone());
            prop_assert_eq!(view.topics.collect::<Vec<_>>(), topics);
            prop_assert_eq!(view.frame, &frame);
            prop_assert_eq!(view.placing.group_distance, group_distance);
            prop_assert_eq!((view.placing.continues, view.placing.first, view.size), (continues, first, size));
            prop_assert_eq!(view.retained_bytes(), record.retained_bytes());
            for cut in 0..size {
                prop_assert!(matches!(decode(&bytes[..cut], &base()), Decoded::Short));
            }
        }

        #[test]
        fn any_bytes_with_a_right_checksum_are_a_record_or_bad(mut bytes: Vec<u8>, flags in 0..=FLAGS, text in ".{0,30}") {
            bytes.extend(text.as_bytes());
            let mut framed = vec![0; HEADER_BYTES];
            framed.extend(&bytes);
            let len = bytes.len() as u32;
            framed[4..8].copy_from_slice(&len.to_le_bytes());
            framed[8] = check_of(len);
            framed[9] = flags;
            let checksum = crc32fast::hash(&framed[4..]);
            framed[..4].copy_from_slice(&checksum.to_le_bytes());
            if let Decoded::Record(view) = decode(&framed, &base()) {
                view.topics.for_each(drop);
                prop_assert_eq!(view.size, framed.len());
            }
        }
    }

    #[test]
    fn a_bit_that_flips_is_noticed() {
        let mut bytes = Vec::new();
        let placing = Placing { group_distance: 64, continues: false, first: None };
        encode(&mut bytes, &base(), &record(&["a".to_owned()], Some("id"), 5, b"frame"), placing);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&bytes, &base()), Decoded::Record(_) | Decoded::End), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
