//! A stream's share of what its client and the subject of its token may have.

use std::fmt;
use std::sync::Arc;

use crate::client_address::ClientAddress;
use crate::party::Party;
use crate::quota::{Kind, Row};
use crate::shared::Shared;

/// Counts a stream for an address and a subject, for as long as it is held.
pub(crate) struct Ticket {
    hub: Arc<Shared>,
    rows: [Option<Row>; 2],
}

/// Who has as many streams as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    Address,
    Subject,
}

impl Ticket {
    /// Takes one for a stream of `client` with a token of `subject`, as far as they are known.
    pub(crate) fn take(
        hub: &Arc<Shared>,
        client: Option<ClientAddress>,
        subject: Option<Party>,
    ) -> Result<Self, Crowded> {
        let mut ticket = Self { hub: hub.clone(), rows: [None; 2] };
        if let Some((client, max)) = client.and_then(|client| Some((client, client.connections_max(&hub.settings)?))) {
            ticket.count(0, client.party(), max).ok_or(Crowded::Address)?;
        }
        if let Some(subject) = subject {
            ticket.count(1, subject, hub.settings.streams_per_subject_max).ok_or(Crowded::Subject)?;
        }
        Ok(ticket)
    }

    /// Whether it counts nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == [None; 2]
    }

    fn count(&mut self, at: usize, party: Party, max: usize) -> Option<()> {
        let (row, count) = self.hub.quotas.take(party, Kind::Stream);
        self.rows[at] = Some(row);
        (count <= max).then_some(())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.rows.iter().flatten().for_each(|row| self.hub.quotas.release(*row, Kind::Stream));
    }
}
