//! What stands in the data of every event: whose it is, which one it is, and when it was due.

use std::fmt::Write as _;

/// The beginning of an event's data, as hexadecimal digits; the rest, up to the size that was asked for, is filler.
///
/// Text without anything that JSON or an event stream would have to escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Tells this run's events from those of another one on the same topics.
    pub(super) run: u32,
    /// Counts the events of the run over all topics, from 0. Below 2^48.
    pub(super) sequence: u64,
    /// Nanoseconds since the run began. Below 2^56, two years.
    pub(super) due_ns: u64,
}

impl Stamp {
    /// In bytes: `rrrrrrrr-ssssssssssss-nnnnnnnnnnnnnn`.
    pub(super) const BYTES: usize = 36;

    /// Appends data of `size` bytes, at least [`Self::BYTES`].
    pub(super) fn write(self, size: usize, text: &mut String) {
        let end = text.len() + size;
        // A `String` takes whatever is written to it.
        let _ = write!(text, "{:08x}-{:012x}-{:014x}", self.run, self.sequence, self.due_ns);
        text.extend(std::iter::repeat_n('.', end.saturating_sub(text.len())));
    }

    /// Reads the data of an event, which must have exactly `size` bytes.
    pub(super) fn read(data: &str, size: usize) -> Option<Self> {
        if data.len() != size {
            return None;
        }
        let stamp = data.as_bytes().get(..Self::BYTES)?;
        if stamp[8] != b'-' || stamp[21] != b'-' {
            return None;
        }
        let run = u32::try_from(hexadecimal(&stamp[..8])?).ok()?;
        Some(Self { run, sequence: hexadecimal(&stamp[9..21])?, due_ns: hexadecimal(&stamp[22..])? })
    }
}

/// The number that at most 16 digits write. Once for each delivery, so without the checks of `from_str_radix`.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (size, sequence, due_ns) in [(36, 0, 0), (37, 1, 1), (4096, (1 << 48) - 1, (1 << 56) - 1)] {
            let stamp = Stamp { run: 0xF00D_CAFE, sequence, due_ns };
            let mut data = "before".to_owned();
            stamp.write(size, &mut data);
            let data = &data["before".len()..];
            assert_eq!(Stamp::read(data, size), Some(stamp), "{data}");
            assert_eq!(Stamp::read(data, size + 1), None);
        }
    }

    #[test]
    fn anything_else_is_not() {
        for data in [
            "",
            "f00dcafe-000000000001-0000000000000",
            "f00dcafe-000000000001-0000000000000g",
            "F00DCAFE-000000000001-00000000000001",
            "f00dcafe+000000000001-00000000000001",
            "f00dcafe-00000000000é-00000000000001",
        ] {
            assert_eq!(Stamp::read(data, data.len()), None, "{data}");
        }
    }
}
