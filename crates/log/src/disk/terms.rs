//! The index of the active segment, in memory: where the records with a topic or an id lie.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip::SipHasher13;

use crate::Position;
use crate::disk::stored::View;

/// The key of a log's hashes. Publishers choose topics and ids: without a secret they could choose some that collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(pub(super) [u64; 2]);

impl Key {
    pub(super) fn topic(&self, topic: &str) -> u64 {
        self.term(0, topic)
    }

    pub(super) fn id(&self, id: &str) -> u64 {
        self.term(1, id)
    }

    fn term(&self, kind: u8, text: &str) -> u64 {
        let Self([k0, k1]) = *self;
        let mut hasher = SipHasher13::new_with_keys(k0, k1);
        hasher.write(text.as_bytes());
        hasher.write_u8(kind);
        hasher.finish()
    }

    /// Tells whether a file was made with this key, without giving it away.
    pub(super) fn fingerprint(&self) -> u64 {
        self.term(2, "")
    }

    /// The terms of a record, each once for each time it is named.
    pub(super) fn terms_of<'a>(&self, view: &View<'a>) -> impl Iterator<Item = u64> + use<'a> {
        let key = *self;
        view.topics.map(move |topic| key.topic(topic)).chain(view.id.map(|id| key.id(id)))
    }
}

/// Every sixteenth record: 0.75 bytes a record, and at most 15 records are passed over to find one.
pub(super) const MARK_RECORDS: u64 = 16;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) byte: u32,
}

/// Places of the records of one segment.
#[derive(Debug, Default)]
pub(super) struct Terms {
    postings: HashMap<u64, Postings, BuildHasherDefault<Hashed>>,
    marks: Vec<Mark>,
    records: u64,
}

/// The places of the records that have one term, ascending.
#[derive(Debug)]
enum Postings {
    One(u32),
    Many(Vec<u32>),
}

impl Terms {
    /// Adds a record that lies at `byte`, past all others.
    pub(super) fn add(&mut self, position: Position, byte: u32, terms: impl Iterator<Item = u64>) {
        if self.records.is_multiple_of(MARK_RECORDS) {
            self.marks.push(Mark { offset: position.offset, byte });
        }
        self.records += 1;
        for term in terms {
            self.postings.entry(term).and_modify(|postings| postings.add(byte)).or_insert(Postings::One(byte));
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// How many terms there are.
    pub(super) fn len(&self) -> usize {
        self.postings.len()
    }

    pub(super) fn contains(&self, term: u64) -> bool {
        self.postings.contains_key(&term)
    }

    /// At most `limit` places of records with `term`, from byte `from` on.
    pub(super) fn postings(&self, term: u64, from: u32, limit: usize, into: &mut Vec<u32>) {
        let all = self.postings.get(&term).map_or(&[][..], Postings::as_slice);
        let start = all.partition_point(|byte| *byte < from);
        into.extend(all.iter().skip(start).take(limit));
    }

    /// A record at or before the first past `offset`. `None` if there is no record.
    pub(super) fn mark(&self, offset: u64) -> Option<Mark> {
        let past = self.marks.partition_point(|mark| mark.offset <= offset);
        self.marks.get(past.saturating_sub(1)).copied()
    }

    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// All terms with their places, by hash.
    pub(super) fn sorted(&self) -> Vec<(u64, &[u32])> {
        let mut terms: Vec<_> = self.postings.iter().map(|(term, postings)| (*term, postings.as_slice())).collect();
        terms.sort_unstable_by_key(|(term, _)| *term);
        terms
    }
}

impl Postings {
    fn add(&mut self, byte: u32) {
        match self {
            // An update may name a topic twice.
            Self::One(last) if *last == byte => {}
            Self::One(last) => *self = Self::Many(vec![*last, byte]),
            Self::Many(bytes) if bytes.last() == Some(&byte) => {}
            Self::Many(bytes) => bytes.push(byte),
        }
    }

    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(byte) => std::slice::from_ref(byte),
            Self::Many(bytes) => bytes,
        }
    }
}

/// The hash of a number that is a keyed hash already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
