//! The grants of a shard's subscribers: equal ones are one, and remember their last answer.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_log::{Position, RecordRef};
use slab::Slab;

use crate::grant::Grant;

/// Grants by number.
#[derive(Debug, Default)]
pub(super) struct Grants {
    numbers: HashMap<Arc<Grant>, u32>,
    grants: Slab<Interned>,
}

#[derive(Debug)]
struct Interned {
    grant: Arc<Grant>,
    holders: u32,
    /// The private record asked for last, and the answer: of a crowd with one grant only the first pays for it.
    answer: Option<(Position, bool)>,
}

impl Grants {
    /// The number of `grant`, which has one holder more.
    pub(super) fn take(&mut self, grant: &Arc<Grant>) -> u32 {
        if let Some(number) = self.numbers.get(grant) {
            self.grants[*number as usize].holders += 1;
            return *number;
        }
        let number = self.grants.insert(Interned { grant: grant.clone(), holders: 1, answer: None }) as u32;
        self.numbers.insert(grant.clone(), number);
        number
    }

    /// It has one holder less.
    pub(super) fn release(&mut self, number: u32) {
        let interned = &mut self.grants[number as usize];
        interned.holders -= 1;
        if interned.holders == 0 {
            let interned = self.grants.remove(number as usize);
            self.numbers.remove(&interned.grant);
        }
    }

    pub(super) fn may_see<'r>(&mut self, number: u32, record: impl Into<RecordRef<'r>>) -> bool {
        let record = record.into();
        let interned = &mut self.grants[number as usize];
        match interned.answer {
            Some((position, answer)) if position == record.position => answer,
            _ => {
                let answer = interned.grant.may_see(record);
                interned.answer = Some((record.position, answer));
                answer
            }
        }
    }
}
