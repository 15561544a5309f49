//! The index of a sealed segment, in a file beside it. It can be made again at any time: a file that is missing, or does
//! not fit, is no loss.
//!
//! ```text
//! header 96 bytes   magic, version, checksum of all that follows, the segment's sequence, fingerprint of the key, base,
//!                   end, terms, blocks, marks, slots, postings, records, retained bytes, last offset
//! filter            64 bytes a block: six bits of a term in one block, 10 bits a term, a false hit in a hundred
//! marks             u64 offset, u32 byte: of every sixteenth record
//! slots             u64 hash of a term, u32 where its postings begin, u32 how many; sorted by hash, each as near as can
//!                   be to where the hash says. A single posting stands in the slot itself
//! postings          u32 byte of a record
//! ```
//!
//! A look-up reads one to three places, whatever the size.

use std::cmp::Ordering;
use std::io;
use std::sync::Arc;

use crate::disk::fields::Fields;
use crate::disk::segment::Head;
use crate::disk::storage::{File, read_full};
use crate::disk::terms::{Key, MARK_RECORDS, Mark, Terms};
use crate::limits::READ_CHUNK_BYTES;

const MAGIC: [u8; 8] = *b"FFINDEX\0";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 96;
const BLOCK_BYTES: usize = 64;
const MARK_BYTES: usize = 12;
const SLOT_BYTES: usize = 16;
const POSTING_BYTES: usize = 4;

/// Slots that one read looks at: a term is nearly always among them.
const SLOTS_READ: usize = 32;
/// Entries of a sorted list that are read at once where it is searched.
const WINDOW: u64 = 512;

/// What a sealed segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    /// Where its records end.
    pub(super) end: u32,
    pub(super) records: u64,
    pub(super) retained_bytes: u64,
    pub(super) last_offset: u64,
}

/// A side file that fits its segment.
#[derive(Debug)]
pub(super) struct Side {
    file: Arc<dyn File>,
    layout: Layout,
    /// In memory, or else read where it is asked.
    filter: Option<Box<[u8]>>,
}

#[derive(Debug, Clone, Copy)]
struct Layout {
    terms: u64,
    blocks: u64,
    marks: u64,
    slots: u64,
    postings: u64,
}

impl Layout {
    fn marks_at(&self) -> u64 {
        HEADER_BYTES as u64 + self.blocks * BLOCK_BYTES as u64
    }

    fn slots_at(&self) -> u64 {
        self.marks_at() + self.marks * MARK_BYTES as u64
    }

    fn postings_at(&self) -> u64 {
        self.slots_at() + self.slots * SLOT_BYTES as u64
    }

    fn size(&self) -> u64 {
        self.postings_at() + self.postings * POSTING_BYTES as u64
    }
}

/// The bytes of a side file.
pub(super) fn encode(head: &Head, key: &Key, terms: &Terms, summary: &Summary) -> Vec<u8> {
    let sorted = terms.sorted();
    let blocks = (sorted.len() * 10).div_ceil(BLOCK_BYTES * 8).max(1);
    let mut filter = vec![0_u8; blocks * BLOCK_BYTES];
    let (mut slots, mut postings) = (Vec::new(), Vec::new());
    let nominal = nominal_slots(sorted.len() as u64);
    for (term, places) in &sorted {
        let block = home(*term, blocks as u64) as usize * BLOCK_BYTES;
        for bit in bits(*term) {
            filter[block + bit / 8] |= 1 << (bit % 8);
        }
        let before = home(*term, nominal) as usize * SLOT_BYTES;
        if slots.len() < before {
            slots.resize(before, 0);
        }
        slots.extend_from_slice(&term.to_le_bytes());
        let start = match places {
            [single] => *single,
            many => {
                let start = (postings.len() / POSTING_BYTES) as u32;
                many.iter().for_each(|byte| postings.extend_from_slice(&byte.to_le_bytes()));
                start
            }
        };
        slots.extend_from_slice(&start.to_le_bytes());
        slots.extend_from_slice(&(places.len() as u32).to_le_bytes());
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + filter.len() + slots.len() + postings.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for field in [head.sequence, key.fingerprint(), head.base.position.epoch.0, head.base.position.offset] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    let counts = [sorted.len(), blocks, terms.marks().len(), slots.len() / SLOT_BYTES, postings.len() / POSTING_BYTES];
    bytes.extend_from_slice(&summary.end.to_le_bytes());
    counts.iter().for_each(|count| bytes.extend_from_slice(&(*count as u32).to_le_bytes()));
    for field in [summary.records, summary.retained_bytes, summary.last_offset] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(&filter);
    for mark in terms.marks() {
        bytes.extend_from_slice(&mark.offset.to_le_bytes());
        bytes.extend_from_slice(&mark.byte.to_le_bytes());
    }
    bytes.extend_from_slice(&slots);
    bytes.extend_from_slice(&postings);
    let checksum = crc32fast::hash(&bytes[CHECKED_FROM..]);
    bytes[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

const CHECKED_FROM: usize = 16;

fn nominal_slots(terms: u64) -> u64 {
    terms * 4 / 3 + 1
}

/// Maps a hash to one of `count` places, in the order of the hashes.
fn home(term: u64, count: u64) -> u64 {
    ((u128::from(term) * u128::from(count)) >> 64) as u64
}

/// The bits of a term in its block, from other bits of the hash than chose the block.
fn bits(term: u64) -> impl Iterator<Item = usize> {
    let mixed = term.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..6).map(move |index| (mixed >> (10 + 9 * index)) as usize % (BLOCK_BYTES * 8))
}

impl Side {
    /// Opens the side file of the segment with `head`, of which `segment_size` bytes are there. `None` if it does not fit.
    pub(super) fn open(
        file: Arc<dyn File>,
        head: &Head,
        key: &Key,
        segment_size: u64,
    ) -> io::Result<Option<(Self, Summary)>> {
        let mut header = [0; HEADER_BYTES];
        let size = file.size()?;
        if read_full(&*file, &mut header, 0)? < HEADER_BYTES {
            return Ok(None);
        }
        let Some((checksum, layout, summary)) = parse(&header, head, key) else { return Ok(None) };
        if layout.size() != size || u64::from(summary.end) > segment_size {
            return Ok(None);
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&header[CHECKED_FROM..]);
        let mut filter = vec![0; (layout.blocks as usize) * BLOCK_BYTES];
        if read_full(&*file, &mut filter, HEADER_BYTES as u64)? < filter.len() {
            return Ok(None);
        }
        hasher.update(&filter);
        let mut at = layout.marks_at();
        let mut buffer = vec![0; READ_CHUNK_BYTES.min((size - at) as usize)];
        while at < size {
            let read = read_full(&*file, &mut buffer, at)?;
            if read == 0 {
                return Ok(None);
            }
            hasher.update(&buffer[..read]);
            at += read as u64;
        }
        let fits = hasher.finalize() == checksum;
        Ok(fits.then(|| (Self { file, layout, filter: Some(filter.into()) }, summary)))
    }

    /// Bytes of memory that the filter takes.
    pub(super) fn filter_bytes(&self) -> usize {
        self.filter.as_ref().map_or(0, |filter| filter.len())
    }

    /// Gives the filter's memory back.
    pub(super) fn drop_filter(&mut self) {
        self.filter = None;
    }

    /// Whether the segment may have records with `term`: no is certain.
    pub(super) fn may_contain(&self, term: u64) -> io::Result<bool> {
        let block = home(term, self.layout.blocks) as usize * BLOCK_BYTES;
        let mut read = [0; BLOCK_BYTES];
        let bytes = match &self.filter {
            Some(filter) => filter.get(block..block + BLOCK_BYTES).unwrap_or(&read),
            None => {
                self.read(&mut read, HEADER_BYTES as u64 + block as u64)?;
                &read
            }
        };
        Ok(bits(term).all(|bit| bytes[bit / 8] & (1 << (bit % 8)) != 0))
    }

    /// At most `limit` places of records with `term`, from byte `from` on.
    pub(super) fn postings(&self, term: u64, from: u32, limit: usize, into: &mut Vec<u32>) -> io::Result<()> {
        let Some((start, count)) = self.slot(term)? else { return Ok(()) };
        if count == 1 {
            into.extend(Some(start).filter(|byte| *byte >= from && limit > 0));
            return Ok(());
        }
        let list_at = self.layout.postings_at() + u64::from(start) * POSTING_BYTES as u64;
        let at = |index: u64| list_at + index * POSTING_BYTES as u64;
        let skipped = self.partition(u64::from(count), |index| {
            let mut posting = [0; POSTING_BYTES];
            self.read(&mut posting, at(index))?;
            Ok(u32::from_le_bytes(posting) < from)
        })?;
        let mut bytes = vec![0; (u64::from(count) - skipped).min(limit as u64 + WINDOW) as usize * POSTING_BYTES];
        self.read(&mut bytes, at(skipped))?;
        let places = bytes.as_chunks::<POSTING_BYTES>().0.iter().map(|posting| u32::from_le_bytes(*posting));
        into.extend(places.skip_while(|byte| *byte < from).take(limit));
        Ok(())
    }

    /// A record at or before the first past `offset`, in a segment whose offsets begin past `base`. `None` if there is no
    /// record.
    pub(super) fn mark(&self, offset: u64, base: u64) -> io::Result<Option<Mark>> {
        // Where offsets follow each other this is the place.
        let guess = (offset.saturating_sub(base) / MARK_RECORDS).min(self.layout.marks).saturating_sub(WINDOW / 2);
        let (mut from, mut marks) = (guess, self.marks(guess)?);
        let is_within = |marks: &[Mark], from: u64| {
            let begins = from == 0 || marks.first().is_some_and(|mark| mark.offset <= offset);
            begins && (from + WINDOW >= self.layout.marks || marks.last().is_some_and(|mark| mark.offset > offset))
        };
        if !is_within(&marks, from) {
            from = self.partition(self.layout.marks, |index| {
                let mut mark = [0; MARK_BYTES];
                self.read(&mut mark, self.layout.marks_at() + index * MARK_BYTES as u64)?;
                Ok(Fields(&mark).u64().is_some_and(|first| first <= offset))
            })?;
            marks = self.marks(from)?;
        }
        let past = marks.partition_point(|mark| mark.offset <= offset);
        Ok(marks.get(past.saturating_sub(1)).copied())
    }

    /// A window of the marks.
    fn marks(&self, from: u64) -> io::Result<Vec<Mark>> {
        let mut bytes = vec![0; self.layout.marks.saturating_sub(from).min(WINDOW) as usize * MARK_BYTES];
        self.read(&mut bytes, self.layout.marks_at() + from * MARK_BYTES as u64)?;
        let marks = bytes.as_chunks::<MARK_BYTES>().0.iter().filter_map(|mark| {
            let mut fields = Fields(mark);
            Some(Mark { offset: fields.u64()?, byte: fields.u32()? })
        });
        Ok(marks.collect())
    }

    /// Where among `count` sorted entries those that are `before` end, or at most a window earlier.
    fn partition(&self, count: u64, before: impl Fn(u64) -> io::Result<bool>) -> io::Result<u64> {
        let (mut low, mut high) = (0, count);
        while high - low > WINDOW {
            let middle = low + (high - low) / 2;
            if before(middle)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Where the postings of `term` begin, and how many there are; a single one is given itself.
    fn slot(&self, term: u64) -> io::Result<Option<(u32, u32)>> {
        let mut index = home(term, nominal_slots(self.layout.terms));
        let mut bytes = [0; SLOTS_READ * SLOT_BYTES];
        while index < self.layout.slots {
            let slots = (self.layout.slots - index).min(SLOTS_READ as u64);
            let bytes = &mut bytes[..slots as usize * SLOT_BYTES];
            self.read(bytes, self.layout.slots_at() + index * SLOT_BYTES as u64)?;
            for slot in bytes.as_chunks::<SLOT_BYTES>().0 {
                let mut fields = Fields(slot);
                let (Some(hash), Some(start), Some(count)) = (fields.u64(), fields.u32(), fields.u32()) else {
                    return Ok(None);
                };
                match hash.cmp(&term) {
                    _ if count == 0 => return Ok(None),
                    Ordering::Equal => return Ok(Some((start, count))),
                    Ordering::Greater => return Ok(None),
                    Ordering::Less => {}
                }
            }
            index += slots;
        }
        Ok(None)
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        if read_full(&*self.file, buffer, at)? < buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn parse(header: &[u8; HEADER_BYTES], head: &Head, key: &Key) -> Option<(u32, Layout, Summary)> {
    let mut fields = Fields(header);
    let (magic, version, checksum) = (fields.array()?, fields.u32()?, fields.u32()?);
    let identity = [fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?];
    let base = head.base.position;
    if (magic, version) != (MAGIC, VERSION) || identity != [head.sequence, key.fingerprint(), base.epoch.0, base.offset]
    {
        return None;
    }
    let end = fields.u32()?;
    let mut count = || fields.u32().map(u64::from);
    let layout = Layout { terms: count()?, blocks: count()?, marks: count()?, slots: count()?, postings: count()? };
    let summary = Summary { end, records: fields.u64()?, retained_bytes: fields.u64()?, last_offset: fields.u64()? };
    (layout.blocks > 0).then_some((checksum, layout, summary))
}
