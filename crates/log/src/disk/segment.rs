//! A stretch of the history in one file.
//!
//! ```text
//! NNNNNNNNNN.events   header 64 bytes: magic, version, checksum of the rest, sequence, base (epoch, offset, time), the
//!                     position of the last record before it; then the records; then zeros, until it is sealed
//! NNNNNNNNNN.index    its side file, once it is sealed
//! ```

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::disk::damage::{Damage, DamageKind};
use crate::disk::fields::Fields;
use crate::disk::side::Side;
use crate::disk::storage::File;
use crate::disk::stored::Base;
use crate::disk::terms::{Mark, Terms};
use crate::{Epoch, Position, Timestamp};

pub(super) const HEAD_BYTES: u32 = 64;
const MAGIC: [u8; 8] = *b"FFEVENTS";
const VERSION: u32 = 1;

/// The start of a segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Segments are numbered in the order of the history, without a gap.
    pub(super) sequence: u64,
    pub(super) base: Base,
    /// The tail when the segment was begun: it must be where the segment before ends.
    pub(super) before: Position,
}

impl Head {
    pub(super) fn encode(&self) -> [u8; HEAD_BYTES as usize] {
        let Self { sequence, base, before } = self;
        let mut bytes = [0; HEAD_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let fields =
            [*sequence, base.position.epoch.0, base.position.offset, base.time.0, before.epoch.0, before.offset];
        for (index, field) in fields.iter().enumerate() {
            bytes[16 + 8 * index..][..8].copy_from_slice(&field.to_le_bytes());
        }
        let checksum = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DamageKind> {
        let mut fields = Fields(bytes);
        let (magic, version) = (fields.array(), fields.u32());
        if magic == Some(MAGIC) && version.is_some_and(|version| version > VERSION) {
            return Err(DamageKind::Version);
        }
        if (magic, version) != (Some(MAGIC), Some(VERSION)) {
            return Err(DamageKind::Header);
        }
        Self::decode_fields(bytes, fields).ok_or(DamageKind::Header)
    }

    fn decode_fields(bytes: &[u8], mut fields: Fields<'_>) -> Option<Self> {
        if fields.u32()? != crc32fast::hash(bytes.get(16..HEAD_BYTES as usize)?) {
            return None;
        }
        let sequence = fields.u64()?;
        let base = Position { epoch: Epoch(fields.u64()?), offset: fields.u64()? };
        let time = Timestamp(fields.u64()?);
        let before = Position { epoch: Epoch(fields.u64()?), offset: fields.u64()? };
        Some(Self { sequence, base: Base { position: base, time }, before })
    }
}

pub(super) fn events_name(sequence: u64) -> String {
    format!("{sequence:010}.events")
}

pub(super) fn index_name(sequence: u64) -> String {
    format!("{sequence:010}.index")
}

/// The sequence in the name of a segment.
pub(super) fn sequence_of(name: &str) -> Option<u64> {
    let sequence = name.strip_suffix(".events")?.parse().ok()?;
    (events_name(sequence) == name).then_some(sequence)
}

/// A segment and its index.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) head: Head,
    pub(super) file: Arc<dyn File>,
    path: PathBuf,
    index: RwLock<Index>,
}

/// Where records lie.
#[derive(Debug)]
pub(super) enum Index {
    Memory(Terms),
    Side(Side),
}

impl Segment {
    pub(super) fn new(head: Head, file: Arc<dyn File>, path: PathBuf, index: Index) -> Self {
        Self { head, file, path, index: RwLock::new(index) }
    }

    pub(super) fn damage(&self, byte: u64, kind: DamageKind) -> Damage {
        Damage { file: self.path.clone(), byte, kind }
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there may be records with `term`: no is certain.
    pub(super) fn may_contain(&self, term: u64) -> io::Result<bool> {
        match &*self.index() {
            Index::Memory(terms) => Ok(terms.contains(term)),
            Index::Side(side) => side.may_contain(term),
        }
    }

    /// At most `limit` places of records with `term`, from byte `from` on, also such as readers may not see yet.
    pub(super) fn postings(&self, term: u64, from: u32, limit: usize, into: &mut Vec<u32>) -> io::Result<()> {
        match &*self.index() {
            Index::Memory(terms) => {
                terms.postings(term, from, limit, into);
                Ok(())
            }
            Index::Side(side) if side.may_contain(term)? => side.postings(term, from, limit, into),
            Index::Side(_) => Ok(()),
        }
    }

    /// A place at or before the first record past `after`, and not far before.
    pub(super) fn seek(&self, after: Position) -> io::Result<u32> {
        let base = self.head.base.position;
        if after <= base {
            return Ok(HEAD_BYTES);
        }
        let mark = match &*self.index() {
            Index::Memory(terms) => terms.mark(after.offset),
            Index::Side(side) => side.mark(after.offset, base.offset)?,
        };
        Ok(mark.map_or(HEAD_BYTES, |Mark { byte, .. }| byte))
    }
}
