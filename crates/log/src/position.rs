//! Where an event stands in the history.

use std::fmt;
use std::str::FromStr;

/// A stretch of history in which no offset is used twice: the time at which it was opened, in milliseconds since 1970.
///
/// A new one opens when offsets could otherwise repeat, as after the history was lost. A later epoch is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// An event's place in the one order of the log: the offset within an epoch. Positions order as their events do.
///
/// Printed it is an event id: `e`, the epoch in lower-case hexadecimal, `-`, the offset in decimal. Letters, digits and
/// `-` alone let a browser send it back across origins without a CORS preflight. Only this one spelling of a position
/// is read as one, so that publishers can have every other id.
///
/// ```
/// use fanfare_log::Position;
///
/// let position: Position = "e19a9c3b5d40-42".parse()?;
/// assert_eq!(position.offset, 42);
/// assert_eq!(position.to_string(), "e19a9c3b5d40-42");
/// assert!("e19A9c3b5d40-042".parse::<Position>().is_err());
/// # Ok::<(), fanfare_log::NotAPosition>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The stretch of history.
    pub epoch: Epoch,
    /// The number in it. 0 stands before its first event.
    pub offset: u64,
}

impl Position {
    /// The position before the first event of `epoch`.
    #[must_use]
    pub const fn start_of(epoch: Epoch) -> Self {
        Self { epoch, offset: 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{:x}-{}", self.epoch.0, self.offset)
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (epoch, offset) = text.strip_prefix('e').and_then(|rest| rest.split_once('-')).ok_or(NotAPosition)?;
        let canonical = |digits: &str, allowed: &[u8]| {
            digits.bytes().all(|digit| allowed.contains(&digit)) && (digits == "0" || !digits.starts_with('0'))
        };
        if !canonical(epoch, b"0123456789abcdef") || !canonical(offset, b"0123456789") {
            return Err(NotAPosition);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| NotAPosition)?;
        let offset = offset.parse().map_err(|_| NotAPosition)?;
        Ok(Self { epoch: Epoch(epoch), offset })
    }
}

/// The text is not a position as one is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position: `e`, hexadecimal digits, `-` and decimal digits")]
pub struct NotAPosition;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_as_printed() {
        for (epoch, offset) in [(0, 0), (1, 1), (0x19a_9c3b_5d40, 42), (u64::MAX, u64::MAX)] {
            let position = Position { epoch: Epoch(epoch), offset };
            assert_eq!(position.to_string().parse(), Ok(position));
        }
    }

    #[test]
    fn there_is_one_spelling() {
        for text in [
            "",
            "e",
            "-",
            "e-",
            "e1-",
            "e-1",
            "1-1",
            "E1-1",
            "e01-1",
            "e1-01",
            "eA-1",
            "e1-a",
            "e1--1",
            "e1-1-1",
            " e1-1",
            "e1-1 ",
            "e+1-1",
            "e1-+1",
            "e10000000000000000-1",
            "e1-18446744073709551616",
            "urn:uuid:0",
            "e1-١",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text:?}");
        }
    }

    #[test]
    fn a_later_epoch_is_greater_whatever_its_offset() {
        assert!(Position { epoch: Epoch(2), offset: 0 } > Position { epoch: Epoch(1), offset: 9 });
    }
}
