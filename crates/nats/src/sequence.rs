//! Positions and the stream's sequence numbers: a message has room for 4096 events, so that the offset is
//! `sequence × 4096 + index`.

use fanfare_log::{BATCH_EVENTS_MAX, Epoch, Position};

const EVENTS: u64 = BATCH_EVENTS_MAX as u64;

/// The positions of `count` events in the message with this sequence. `None` past the last sequence that fits: the
/// stream would have to take a million messages a second for 140 years.
pub(crate) fn positions(epoch: Epoch, sequence: u64, count: usize) -> Option<Vec<Position>> {
    let first = first_of(epoch, sequence)?;
    Some((first.offset..).take(count).map(|offset| Position { epoch, offset }).collect())
}

/// The position of the first event of a message.
pub(crate) fn first_of(epoch: Epoch, sequence: u64) -> Option<Position> {
    let offset = sequence.checked_mul(EVENTS).filter(|offset| *offset < u64::MAX - EVENTS)?;
    Some(Position { epoch, offset })
}

/// The last position that an event of the message could have: where a history begins that has what comes after it.
pub(crate) fn end_of(epoch: Epoch, sequence: u64) -> Position {
    let first = first_of(epoch, sequence).unwrap_or(Position { epoch, offset: u64::MAX - EVENTS });
    Position { offset: first.offset + EVENTS - 1, ..first }
}

/// The message that an event is in.
pub(crate) fn sequence_of(position: Position) -> u64 {
    position.offset / EVENTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_the_sequence_and_the_index() {
        let epoch = Epoch(7);
        let offsets = |sequence, count| -> Vec<u64> {
            positions(epoch, sequence, count).unwrap().iter().map(|position| position.offset).collect()
        };
        assert_eq!(offsets(1, 2), [4096, 4097]);
        assert_eq!(offsets(2, 4096).last(), Some(&12_287));
        assert_eq!(end_of(epoch, 2).offset, 12_287);
        assert_eq!(end_of(epoch, 0).offset, 4095);
        assert_eq!([4095, 4096, 8191, 8192].map(|offset| sequence_of(Position { epoch, offset })), [0, 1, 1, 2]);
        assert_eq!(positions(epoch, u64::MAX / 4096, 1), None);
        assert_eq!(positions(epoch, u64::MAX, 1), None);
    }
}
