//! What a log knows of itself from one start to the next: the file `state`, replaced as a whole.
//!
//! ```text
//! magic, version, checksum of all that follows, key of the hashes (16 bytes), flags: closed, durability, order,
//! the segment and the byte where the records ended, the last epoch, bytes of the boot's name, the boot's name
//! ```

use std::hash::{BuildHasher, RandomState};
use std::io;

use crate::disk::fields::Fields;
use crate::disk::settings::{Durability, Order};
use crate::disk::storage::{Folder, read_whole, write_full};
use crate::disk::terms::Key;

pub(super) const STATE_NAME: &str = "state";
const NEW_STATE_NAME: &str = "state.new";
const MAGIC: [u8; 8] = *b"FFSTATE\0";
const VERSION: u32 = 1;
const BYTES_MAX: u64 = 4096;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) key: Key,
    /// Where the records ended when the log was closed: segment and byte. `None` while it is open.
    pub(super) closed_at: Option<(u64, u32)>,
    /// The last epoch that was opened here: without it a clock that went back could open one twice.
    pub(super) epoch: u64,
    pub(super) durability: Durability,
    /// Who makes the order.
    pub(super) order: Order,
    pub(super) boot: Option<Box<str>>,
}

impl State {
    /// A log that is new, or has lost its state.
    pub(super) fn new(durability: Durability, order: Order, boot: Option<Box<str>>) -> Self {
        // The key needs to be unknown to publishers, and std has a source of such numbers.
        let random = RandomState::new();
        Self { key: Key([random.hash_one(1), random.hash_one(2)]), closed_at: None, epoch: 0, durability, order, boot }
    }

    /// Reads the state. `None` if there is none that can be read.
    pub(super) fn load(folder: &dyn Folder) -> io::Result<Option<Self>> {
        match folder.open(STATE_NAME) {
            Ok(file) => Ok(Self::decode(&read_whole(&*file, BYTES_MAX)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the state, durably.
    pub(super) fn save(&self, folder: &dyn Folder) -> io::Result<()> {
        let file = folder.create(NEW_STATE_NAME)?;
        write_full(&*file, &self.encode(), 0)?;
        file.sync()?;
        folder.rename(NEW_STATE_NAME, STATE_NAME)?;
        folder.sync()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let Key([k0, k1]) = self.key;
        let (segment, byte) = self.closed_at.unwrap_or_default();
        let flags = u64::from(self.closed_at.is_some())
            | u64::from(self.durability == Durability::Os) << 1
            | u64::from(self.order == Order::Followed) << 2;
        for field in [k0, k1, flags, segment, u64::from(byte), self.epoch] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let boot = self.boot.as_deref().filter(|boot| boot.len() <= BOOT_BYTES_MAX).unwrap_or_default();
        bytes.extend_from_slice(&(boot.len() as u32).to_le_bytes());
        bytes.extend_from_slice(boot.as_bytes());
        let checksum = crc32fast::hash(&bytes[CHECKED_FROM..]);
        bytes[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let checksum = crc32fast::hash(bytes.get(CHECKED_FROM..)?);
        if (fields.array()?, fields.u32()?, fields.u32()?) != (MAGIC, VERSION, checksum) {
            return None;
        }
        let key = Key([fields.u64()?, fields.u64()?]);
        let (flags, segment, byte) = (fields.u64()?, fields.u64()?, u32::try_from(fields.u64()?).ok()?);
        let epoch = fields.u64()?;
        let boot_len = fields.u32()? as usize;
        let boot = str::from_utf8(fields.take(boot_len)?).ok()?;
        Some(Self {
            key,
            closed_at: (flags & 1 != 0).then_some((segment, byte)),
            epoch,
            durability: if flags & 2 != 0 { Durability::Os } else { Durability::Fsync },
            order: if flags & 4 != 0 { Order::Followed } else { Order::Own },
            boot: (!boot.is_empty()).then(|| boot.into()),
        })
    }
}

const CHECKED_FROM: usize = 16;
const BOOT_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_state_reads_back_and_no_bit_of_it_may_differ() {
        let mut state = State::new(Durability::Os, Order::Followed, Some("b7c1".into()));
        state.closed_at = Some((7, 99));
        let mut bytes = state.encode();
        assert_eq!(State::decode(&bytes), Some(state));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(State::decode(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_state_or_none(bytes: Vec<u8>) {
            State::decode(&bytes);
        }
    }
}
