//! One record of a file after the other.

use std::io;

use crate::disk::storage::{File, read_full};
use crate::disk::stored::{Base, Decoded, View, decode, may_begin, needed};
use crate::limits::READ_CHUNK_BYTES;

/// Reads the records of a segment in order. Takes no more memory than a chunk or the largest record.
#[derive(Debug)]
pub(super) struct Scan<'f> {
    file: &'f dyn File,
    base: Base,
    /// Where the next record begins.
    byte: u64,
    /// Where reading ends.
    limit: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins.
    at: usize,
}

/// What the scan came to.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A record, and where it begins.
    Record(u64, View<'a>),
    /// Nothing was written from here on.
    End(u64),
    /// Something else than a record begins here.
    Bad(u64),
}

impl<'f> Scan<'f> {
    /// Reads from `byte`, where a record begins, to `limit`.
    pub(super) fn new(file: &'f dyn File, base: Base, byte: u64, limit: u64) -> Self {
        Self { file, base, byte, limit, buffer: Vec::new(), at: 0 }
    }

    /// The next record. After [`Step::End`] and [`Step::Bad`] the same comes again.
    pub(super) fn next(&mut self) -> io::Result<Step<'_>> {
        while let Some(needed) = needed(self.buffer.get(self.at..).unwrap_or_default()) {
            if needed as u64 > self.limit.saturating_sub(self.byte) {
                return self.rest();
            }
            if self.fill(needed)? < needed {
                self.limit = self.byte + self.buffer.len() as u64;
            }
        }
        let bytes = self.buffer.get(self.at..).unwrap_or_default();
        let byte = self.byte;
        Ok(match decode(bytes, &self.base) {
            Decoded::Record(view) => {
                self.at += view.size;
                self.byte += view.size as u64;
                Step::Record(byte, view)
            }
            Decoded::End => Step::End(byte),
            Decoded::Short | Decoded::Bad => Step::Bad(byte),
        })
    }

    /// Too little is left for a record: nothing, or half a one.
    fn rest(&mut self) -> io::Result<Step<'_>> {
        let left = self.limit.saturating_sub(self.byte) as usize;
        let filled = self.fill(left.min(READ_CHUNK_BYTES))?;
        let is_empty = left <= READ_CHUNK_BYTES && self.buffer.iter().take(filled).all(|byte| *byte == 0);
        Ok(if is_empty { Step::End(self.byte) } else { Step::Bad(self.byte) })
    }

    /// Reads on from the next record, at least `least` bytes if the file has them.
    fn fill(&mut self, least: usize) -> io::Result<usize> {
        let left = self.limit.saturating_sub(self.byte);
        let wanted = (READ_CHUNK_BYTES.max(least) as u64).min(left) as usize;
        self.buffer.resize(wanted, 0);
        let filled = read_full(self.file, &mut self.buffer, self.byte)?;
        self.buffer.truncate(filled);
        self.at = 0;
        Ok(filled)
    }
}

/// Looks in what follows a bad place for a record whose group begins after it. One that does was written when the bad
/// place had been synced.
pub(super) fn later_group(file: &dyn File, bad: u64, limit: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; limit.saturating_sub(bad) as usize];
    let read = read_full(file, &mut bytes, bad)?;
    bytes.truncate(read);
    // What the record is relative to does not matter for where it begins.
    let any_base = Base { position: crate::Position::start_of(crate::Epoch(0)), time: crate::Timestamp(0) };
    for distance in 1..bytes.len() {
        let candidate = bytes.get(distance..).unwrap_or_default();
        if may_begin(candidate)
            && let Decoded::Record(view) = decode(candidate, &any_base)
            && view.placing.group_distance < distance as u64
        {
            return Ok(Some(bad + distance as u64));
        }
    }
    Ok(None)
}

/// Where the last byte that is not zero lies, plus one: all after it was never written.
pub(super) fn written_end(file: &dyn File, from: u64, limit: u64) -> io::Result<u64> {
    let (mut at, mut end) = (from, from);
    let mut buffer = vec![0; READ_CHUNK_BYTES.min(limit.saturating_sub(from) as usize)];
    while at < limit {
        let read = read_full(file, &mut buffer, at)?;
        if read == 0 {
            break;
        }
        // Compared at once, since nearly all of it is room that was taken ahead.
        if buffer[..read] != ZEROS[..read] {
            let last = buffer.iter().take(read).rposition(|byte| *byte != 0);
            end = at + last.map_or(0, |last| last as u64 + 1);
        }
        at += read as u64;
    }
    Ok(end.min(limit))
}

static ZEROS: [u8; READ_CHUNK_BYTES] = [0; READ_CHUNK_BYTES];
