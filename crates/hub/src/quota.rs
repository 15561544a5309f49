//! How much of a hub each party holds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use slab::Slab;

use crate::party::Party;

/// Connections and streams by party. A party that holds none has no entry, so that there are never more entries than
/// connections and streams.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    numbers: HashMap<Party, u32>,
    entries: Slab<Entry>,
}

#[derive(Debug)]
struct Entry {
    party: Party,
    held: [u32; 2],
}

/// What is counted. A stream over HTTP/1.1 is one of each; HTTP/2 has many on one connection, and so has a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Connection,
    Stream,
}

/// A party's row in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row(u32);

impl Quotas {
    /// Counts one more for `party`. Gives where, and how many it holds with it.
    pub(crate) fn take(&self, party: Party, kind: Kind) -> (Row, usize) {
        let mut table = self.table();
        let Table { numbers, entries } = &mut *table;
        let number = *numbers.entry(party).or_insert_with(|| entries.insert(Entry { party, held: [0; 2] }) as u32);
        let held = &mut entries[number as usize].held[kind as usize];
        *held += 1;
        (Row(number), *held as usize)
    }

    /// One less.
    pub(crate) fn release(&self, Row(number): Row, kind: Kind) {
        let mut table = self.table();
        let entry = &mut table.entries[number as usize];
        entry.held[kind as usize] -= 1;
        if entry.held == [0; 2] {
            let entry = table.entries.remove(number as usize);
            table.numbers.remove(&entry.party);
            // A flood that is over leaves no room behind.
            if table.numbers.capacity() > 4 * table.numbers.len() + ROOM {
                table.numbers.shrink_to_fit();
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries that the table has room for whoever there is.
const ROOM: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_each_party_is_counted_and_nothing_is_left_behind() {
        let quotas = Quotas::default();
        let (one, other) = (Party::V4([192, 0, 2, 1]), Party::of_subject("u"));
        let (row, count) = quotas.take(one, Kind::Connection);
        assert_eq!(count, 1);
        assert_eq!(quotas.take(one, Kind::Stream), (row, 1));
        assert_eq!(quotas.take(one, Kind::Stream), (row, 2));
        let (others, count) = quotas.take(other, Kind::Stream);
        assert!(others != row && count == 1);
        for kind in [Kind::Stream, Kind::Connection, Kind::Stream] {
            quotas.release(row, kind);
        }
        assert_eq!(quotas.take(one, Kind::Connection).1, 1);
        quotas.release(row, Kind::Connection);
        quotas.release(others, Kind::Stream);
        let table = quotas.table();
        assert!(table.numbers.is_empty() && table.entries.is_empty());
    }

    #[test]
    fn a_flood_that_is_over_leaves_no_room_behind() {
        let quotas = Quotas::default();
        let rows: Vec<_> =
            (0..100_000_u32).map(|n| quotas.take(Party::V4(n.to_be_bytes()), Kind::Connection).0).collect();
        rows.into_iter().for_each(|row| quotas.release(row, Kind::Connection));
        assert!(quotas.table().numbers.capacity() <= 8 * ROOM);
    }
}
