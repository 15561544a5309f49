//! Seats with equal selectors.

use std::sync::Arc;

use slab::Slab;

use crate::interest::Interest;
use crate::selector::Selectors;

/// The groups and their index: a crowd with the same selectors is one entry.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) interest: Interest,
    groups: Slab<Group>,
}

#[derive(Debug)]
struct Group {
    selectors: Arc<Selectors>,
    /// Numbers of seats.
    members: Vec<u32>,
}

impl Groups {
    /// Takes `seat` into the group with these selectors. Gives the group, the place in it, and its own copy of them.
    pub(super) fn join(&mut self, selectors: &Arc<Selectors>, seat: u32) -> (u32, u32, Arc<Selectors>) {
        let number = self.interest.number(selectors).unwrap_or_else(|| {
            let group = Group { selectors: selectors.clone(), members: Vec::new() };
            let number = self.groups.insert(group) as u32;
            self.interest.add(number, selectors);
            number
        });
        let Group { selectors, members } = &mut self.groups[number as usize];
        members.push(seat);
        (number, members.len() as u32 - 1, selectors.clone())
    }

    /// Takes out who is at `place`, and gives who has that place now.
    pub(super) fn leave(&mut self, number: u32, place: u32) -> Option<u32> {
        let members = &mut self.groups[number as usize].members;
        members.swap_remove(place as usize);
        if members.is_empty() {
            let group = self.groups.remove(number as usize);
            self.interest.remove(number, &group.selectors);
            return None;
        }
        members.get(place as usize).copied()
    }

    /// The last of the first `until` members of a group, and its place. `None` if there is none, or no such group.
    pub(super) fn last_of(&self, number: u32, until: usize) -> Option<(usize, u32)> {
        let members = &self.groups.get(number as usize)?.members;
        let place = until.min(members.len()).checked_sub(1)?;
        Some((place, members[place]))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}
