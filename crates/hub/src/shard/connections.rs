//! The connections of a shard that make requests, and whose turn it is.

use std::collections::VecDeque;

use slab::Slab;

use crate::shard::connection::Connection;

/// A table of connections and the queue of those for whom something has happened.
#[derive(Debug, Default)]
pub(super) struct Connections {
    table: Slab<Slot>,
    queue: VecDeque<u32>,
}

#[derive(Debug)]
struct Slot {
    connection: Connection,
    is_queued: bool,
}

impl Connections {
    pub(super) fn insert(&mut self, connection: Connection) -> u32 {
        self.table.insert(Slot { connection, is_queued: false }) as u32
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Connection> {
        self.table.get_mut(number as usize).map(|slot| &mut slot.connection)
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Connection> {
        self.table.try_remove(number as usize).map(|slot| slot.connection)
    }

    /// Has one go on when it is its turn.
    pub(super) fn enqueue(&mut self, number: u32) {
        if let Some(slot) = self.table.get_mut(number as usize)
            && !slot.is_queued
        {
            slot.is_queued = true;
            self.queue.push_back(number);
        }
    }

    /// Whose turn it is. A number in the queue may belong to a later connection by now, which then has nothing to do.
    pub(super) fn next(&mut self) -> Option<u32> {
        let number = self.queue.pop_front()?;
        if let Some(slot) = self.table.get_mut(number as usize) {
            slot.is_queued = false;
        }
        Some(number)
    }

    /// How many wait for their turn.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Those whose time is up. At some 5 ns for each that is not, a timing wheel would not pay.
    pub(super) fn late(&self, now: u32) -> Vec<u32> {
        self.table.iter().filter(|(_, slot)| slot.connection.is_late(now)).map(|(number, _)| number as u32).collect()
    }

    /// Whether a request is under way on one of them.
    pub(super) fn are_under_way(&self) -> bool {
        self.table.iter().any(|(_, slot)| slot.connection.is_under_way())
    }
}
