//! What is written and synced at once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::disk::queue::Answer;
use crate::disk::segment::Head;
use crate::disk::stored::{Base, Placing, encode};
use crate::{AppendError, Id, Position, Record};

/// Batches that go to the disk together, encoded.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// As it will stand in the file.
    pub(super) bytes: Vec<u8>,
    /// The records, and where in the bytes each begins.
    pub(super) records: Vec<(Arc<Record>, usize)>,
    /// Who waits, for where its batch begins, and of how many events it is.
    answers: Vec<(Answer, Position, u64)>,
    /// The ids among the records, each with the first record that has it.
    ids: HashMap<Arc<str>, Position>,
}

impl Group {
    /// An empty group that is encoded where an earlier one was.
    pub(super) fn in_room(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Begins the file: the head is written with the first group.
    pub(super) fn begin(&mut self, head: &Head) {
        self.bytes.extend_from_slice(&head.encode());
    }

    /// The first record of this group that has the id, or the one before it that had it.
    pub(super) fn first_of(&self, id: &str) -> Option<Position> {
        self.ids.get(id).copied()
    }

    /// Encodes a batch; `firsts` are the earlier records with the same ids.
    pub(super) fn add(&mut self, base: &Base, batch: Vec<Arc<Record>>, firsts: &[Option<Position>]) {
        let count = batch.len();
        for (index, (record, first)) in batch.into_iter().zip(firsts).enumerate() {
            let at = self.bytes.len();
            let placing = Placing { group_distance: at as u64, continues: index + 1 < count, first: *first };
            encode(&mut self.bytes, base, &record, placing);
            self.records.push((record, at));
        }
    }

    /// Gives back the batch that was added last, at so many bytes.
    pub(super) fn take_back(&mut self, bytes: usize) -> Vec<Arc<Record>> {
        self.bytes.truncate(bytes);
        let first = self.records.partition_point(|(_, at)| *at < bytes);
        self.records.drain(first..).map(|(record, _)| record).collect()
    }

    /// The batch that was added last stays: `answer` waits for it.
    pub(super) fn keep(&mut self, answer: Answer, first: Position, firsts: &[Option<Position>]) {
        let batch = &self.records[self.records.len() - firsts.len()..];
        for ((record, _), first) in batch.iter().zip(firsts) {
            if let Id::Chosen(id) = &record.id {
                self.ids.entry(id.clone()).or_insert_with(|| first.unwrap_or(record.position));
            }
        }
        self.answers.push((answer, first, firsts.len() as u64));
    }

    /// Tells every publisher that its batch is stored.
    pub(super) fn confirm(self) {
        for (answer, first, count) in self.answers {
            let offsets = first.offset..first.offset + count;
            answer.give(Ok(offsets.map(|offset| Position { offset, ..first }).collect()));
        }
    }

    /// Tells every publisher that its batch is not confirmed.
    pub(super) fn fail(self, error: impl Fn() -> AppendError) {
        self.answers.into_iter().for_each(|(answer, ..)| answer.give(Err(error())));
    }
}
