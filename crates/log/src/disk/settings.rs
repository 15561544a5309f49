//! How a disk log behaves.

use crate::limits::{ROOM_SHARE, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_RECORDS_MAX, TERM_BYTES};
use crate::{Retention, Timestamp};

/// When an event counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// When it is on stable storage: it outlasts the machine.
    #[default]
    Fsync,
    /// When the operating system has it: it outlasts the process. What the machine loses opens a new epoch.
    Os,
}

/// Who makes the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "the order is made either by the log or by somebody else")]
pub enum Order {
    /// The log: it opens a new epoch when positions past its tail may have been given out.
    #[default]
    Own,
    /// Somebody else, from whom every event can be had again: the log opens no epoch, and goes on from wherever its
    /// records end. Where a file of it is missing, what comes before is dropped.
    Followed,
}

/// How a [`DiskLog`](crate::DiskLog) behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskSettings {
    /// When an event counts as stored.
    pub durability: Durability,
    /// Who makes the order.
    pub order: Order,
    /// How much history is kept.
    pub retention: Retention,
    /// The time of day. It names the epoch, if a new one is to be opened.
    pub now: Timestamp,
    /// A text that stays the same until the machine starts again, such as Linux's `boot_id`. Without it every start in
    /// [`Durability::Os`] that follows an unclean end opens a new epoch.
    pub boot: Option<Box<str>>,
    /// Bytes of memory for the indexes. The default, 64 MiB, is enough for the topics and chosen ids of some hundred
    /// million events; beyond it a look-up reads each older segment's file once.
    pub index_bytes: usize,
    /// Bytes of memory for the newest records, 16 MiB unless set: readers that are no further behind read no file.
    pub recent_bytes: usize,
    /// Bytes of a segment file; a twentieth of the byte limit, within 1 to 48 MiB, unless set. Files take at most one and
    /// a quarter of it more than the history they keep: what is trimmed of the oldest one, and the room taken ahead in the
    /// active one and for the next.
    pub segment_bytes: Option<u64>,
}

impl DiskSettings {
    /// Everything as it is by default, with this retention and this time of day.
    #[must_use]
    pub fn new(retention: Retention, now: Timestamp) -> Self {
        Self {
            durability: Durability::default(),
            order: Order::default(),
            retention,
            now,
            boot: None,
            index_bytes: 64 << 20,
            recent_bytes: 16 << 20,
            segment_bytes: None,
        }
    }

    pub(super) fn sizes(&self) -> Sizes {
        let by_retention = self.retention.bytes.unwrap_or(u64::MAX) / 20;
        let derived = by_retention.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        // A quarter for the active segment's index, as much for the one being sealed, half for the filters.
        let terms_max = (self.index_bytes / 4 / TERM_BYTES).max(1024);
        let segment_bytes = self.segment_bytes.unwrap_or(derived).clamp(4096, u64::from(u32::MAX / 2));
        Sizes {
            segment_bytes,
            room_bytes: segment_bytes / ROOM_SHARE,
            records_max: SEGMENT_RECORDS_MAX.min(terms_max as u64 * 4),
            terms_max,
            filter_bytes: self.index_bytes / 2,
            recent_bytes: self.recent_bytes,
        }
    }
}

/// What the settings come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) segment_bytes: u64,
    /// Room that is taken ahead.
    pub(super) room_bytes: u64,
    pub(super) records_max: u64,
    pub(super) terms_max: usize,
    pub(super) filter_bytes: usize,
    pub(super) recent_bytes: usize,
}
