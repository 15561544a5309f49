//! What one compressor gave, for all who stand where it stood.

use std::collections::VecDeque;

use bytes::Bytes;
use fanfare_log::{Position, Record};

use crate::compression::encoder::EncodeError;
use crate::compression::{Coding, Encoder};
use crate::limits::{CONTEXT_STEPS_BYTES_MAX, CONTEXT_STEPS_MAX};

/// A compressor at some step, and the last steps that it made. A step is a record.
pub(super) struct Context {
    encoder: Encoder,
    steps: VecDeque<(Position, Bytes)>,
    steps_bytes: usize,
    /// The number of the next step.
    next: u64,
}

impl Context {
    pub(super) fn new(coding: Coding) -> Result<Self, EncodeError> {
        Ok(Self { encoder: Encoder::new(coding)?, steps: VecDeque::new(), steps_bytes: 0, next: 0 })
    }

    /// The bytes of `record` for somebody who has made `step` steps. `None` if others went another way from there, or went there so
    /// long ago that it is forgotten.
    pub(super) fn step(&mut self, step: u64, record: &Record) -> Result<Option<Bytes>, EncodeError> {
        if step == self.next {
            let bytes = Bytes::from(self.encoder.flush(&record.frame)?.into_boxed_slice());
            self.next += 1;
            self.steps_bytes += bytes.len();
            self.steps.push_back((record.position, bytes.clone()));
            // The last one is kept whatever it takes: the whole group comes for it.
            let is_enough = |steps: usize, bytes| steps > CONTEXT_STEPS_MAX || bytes > CONTEXT_STEPS_BYTES_MAX;
            while self.steps.len() > 1 && is_enough(self.steps.len(), self.steps_bytes) {
                let Some((_, oldest)) = self.steps.pop_front() else { break };
                self.steps_bytes -= oldest.len();
            }
            return Ok(Some(bytes));
        }
        let back = self.next.checked_sub(step).and_then(|back| usize::try_from(back).ok());
        let made = back.and_then(|back| self.steps.get(self.steps.len().checked_sub(back)?));
        Ok(made.filter(|(position, _)| *position == record.position).map(|(_, bytes)| bytes.clone()))
    }
}
