//! Where a subscription to a log starts, and what a subscriber is told beside the events: where it is, and what it has
//! missed. The same for a [`Channel`](crate::Channel) and for the hub.

use std::sync::Arc;

use fanfare_log::{Located, Log, Position, ReadBudget, ReadError, Record, Span, Topics};
use fanfare_wire::{Event, EventId, EventType};

/// An id in bytes: a browser sends it back in a header, and servers commonly refuse heads over 8 KiB.
pub const ID_BYTES_MAX: usize = 4096;

/// The type of the event that tells a subscriber what it has missed.
pub const GAP_TYPE: &str = "fanfare-gap";

/// Where a subscriber asks to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a request means one of these")]
pub enum Cursor {
    /// It has none: only what comes from now on.
    Tail,
    /// All history.
    Earliest,
    /// After the event of this id: the text, and the position if it reads as one.
    After(Box<str>, Option<Position>),
}

impl Cursor {
    /// Reads a `Last-Event-ID`, which is empty or absent if there is none.
    ///
    /// # Errors
    ///
    /// [`InvalidCursor`] if no event can have such an id.
    pub fn parse(text: Option<&str>) -> Result<Self, InvalidCursor> {
        match text {
            None | Some("") => Ok(Self::Tail),
            Some(EARLIEST) => Ok(Self::Earliest),
            // It is sent back in a header, so it must be able to stand in one; no event can have such an id anyway.
            Some(text) if text.len() > ID_BYTES_MAX || text.chars().any(char::is_control) => Err(InvalidCursor),
            Some(text) => Ok(Self::After(text.into(), text.parse().ok())),
        }
    }

    /// Finds the position in `log` to read on from, for somebody who `may_know` a record.
    ///
    /// The chosen id of an event that they may not know is as unknown to them as one that nobody chose: otherwise ids
    /// could be tried until one is found. So is that of one that has left the history.
    ///
    /// # Errors
    ///
    /// [`ReadError::Failed`] if the log can't be read.
    pub fn locate(&self, log: &dyn Log, may_know: impl FnOnce(&Record) -> bool) -> Result<Start, ReadError> {
        let span = log.span();
        let (text, position) = match self {
            Self::Tail => {
                let start = Start::at(span.tail, span.tail.to_string());
                return Ok(Start { is_tail: true, tells_position: true, ..start });
            }
            Self::Earliest => return Ok(Start::at(span.start, EARLIEST.to_owned())),
            Self::After(text, Some(position)) => (text, Some(*position)),
            Self::After(text, None) => {
                let record = log.position_of(text)?.map(|position| record_at(log, position)).transpose()?.flatten();
                (text, record.filter(|record| may_know(record)).map(|record| record.position))
            }
        };
        let reason = match position.map(|position| (position, log.locate(position))) {
            Some((after, Located::Kept)) => return Ok(Start::at(after, text.to_string())),
            Some((_, Located::Expired)) => GapReason::Expired,
            Some((_, Located::Unknown)) | None => GapReason::Unknown,
        };
        let gap = Gap { requested: text.to_string(), reason };
        Ok(Start { gap: Some(gap), ..Start::at(span.start, EARLIEST.to_owned()) })
    }
}

/// The record at this position, if it is kept.
fn record_at(log: &dyn Log, position: Position) -> Result<Option<Arc<Record>>, ReadError> {
    let before = Position { offset: position.offset.saturating_sub(1), ..position };
    let budget = ReadBudget { records: 1, bytes: 1, examined: 1 };
    match log.read(before, Topics::All, budget) {
        Ok(batch) => Ok(batch.records.into_iter().next().filter(|record| record.position == position)),
        Err(ReadError::Expired) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where a subscription starts, and what its response says of that.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a subscriber is told of its start")]
pub struct Start {
    /// Everything after it is for the subscriber.
    pub after: Position,
    /// The response's `Last-Event-ID`: never a publisher's id that the request did not name.
    pub header: String,
    /// What it has missed.
    pub gap: Option<Gap>,
    /// It is wherever the tail was, which the subscriber can't know.
    pub is_tail: bool,
    /// The stream begins with the position, as an id without an event.
    pub tells_position: bool,
}

impl Start {
    fn at(after: Position, header: String) -> Self {
        Self { after, header, gap: None, is_tail: false, tells_position: false }
    }

    /// Appends where the subscriber is, if it is to be told.
    ///
    /// Without the position a subscriber that loses the connection before its first event would come back without a
    /// cursor, and miss in silence what was published meanwhile. An id without data is no event (P9).
    pub fn greet(&self, out: &mut Vec<u8>) {
        if self.tells_position
            && let Some(id) = id_of(self.after)
        {
            fanfare_wire::encode_id(&id, out);
        }
    }
}

/// The cursor that means all history.
pub const EARLIEST: &str = "earliest";

/// Events that the subscriber has not seen and can't get any more, or may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the gap event says")]
pub struct Gap {
    /// The cursor that can't be served.
    pub requested: String,
    /// Why not.
    pub reason: GapReason,
}

impl Gap {
    /// The gap event. Its id is the position before the oldest event kept, so that a reconnect right after it goes on
    /// from there.
    #[must_use]
    pub fn event(&self, span: Span) -> Event {
        let oldest = span.oldest.map(|position| position.to_string());
        let data = serde_json::json!({ "requested": self.requested, "oldest": oldest, "reason": self.reason.as_str() });
        let event = Event::data(data.to_string());
        match (EventType::new(GAP_TYPE), id_of(span.start)) {
            (Ok(event_type), Some(id)) => event.with_type(event_type).with_id(id),
            _ => event,
        }
    }
}

/// The id that is this position.
fn id_of(position: Position) -> Option<EventId> {
    EventId::new(position.to_string()).ok()
}

/// Why a cursor can't be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the reasons are promised to subscribers")]
pub enum GapReason {
    /// The position has left the history.
    Expired,
    /// Nobody knows it.
    Unknown,
    /// A live subscriber fell behind the history.
    Lagged,
}

impl GapReason {
    /// The reason as the gap event has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Lagged => "lagged",
        }
    }
}

/// A cursor that can't be an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor holds no control characters and has at most {ID_BYTES_MAX} bytes: send an id as it was received")]
pub struct InvalidCursor;

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare_log::{Draft, Epoch, Frame, Id, MemoryLog, Place, Retention, Timestamp, Visibility};

    fn log(ids: &[Option<&str>], filler: usize) -> MemoryLog {
        let log = MemoryLog::new(Epoch(0xf), Retention { count: Some(0), ..Retention::default() });
        let draft = |id: &Option<&str>| Draft {
            topics: vec!["t".into()],
            id: id.map_or(Id::Position, |id| Id::Chosen(id.into())),
            visibility: Visibility::Public,
            time: Timestamp(0),
            frame: Frame::whole(""),
        };
        let filler = vec![None; filler];
        log.store_now(ids.iter().chain(&filler).map(draft).collect(), Place::Next).unwrap();
        log
    }

    fn check(log: &MemoryLog, cursor: Option<&str>, after: u64, header: &str, gap: Option<GapReason>) {
        let start = Cursor::parse(cursor).unwrap().locate(log, |_| true).unwrap();
        assert_eq!((start.after.offset, start.header.as_str()), (after, header), "{cursor:?}");
        assert_eq!(start.gap.as_ref().map(|gap| gap.reason), gap, "{cursor:?}");
        assert_eq!(start.gap.map(|gap| gap.requested), gap.and(cursor).map(str::to_owned));
    }

    #[test]
    fn a_cursor_that_is_found_is_the_answer_and_no_other_id_ever_is() {
        let log = log(&[None, Some("mine"), None, Some("mine"), None], 0);
        check(&log, None, 5, "ef-5", None);
        check(&log, Some(""), 5, "ef-5", None);
        check(&log, Some("earliest"), 0, "earliest", None);
        check(&log, Some("ef-3"), 3, "ef-3", None);
        check(&log, Some("ef-0"), 0, "ef-0", None);
        check(&log, Some("mine"), 2, "mine", None);
        check(&log, Some("ef-6"), 0, "earliest", Some(GapReason::Unknown));
        check(&log, Some("ee-3"), 0, "earliest", Some(GapReason::Unknown));
        check(&log, Some("yours"), 0, "earliest", Some(GapReason::Unknown));
    }

    #[test]
    fn a_cursor_that_left_the_history_gets_all_that_is_kept() {
        let log = log(&[Some("mine"), Some("twice"), None, Some("twice")], 66);
        check(&log, Some("ef-1"), 6, "earliest", Some(GapReason::Expired));
        check(&log, Some("ef-6"), 6, "ef-6", None);
        check(&log, Some("mine"), 6, "earliest", Some(GapReason::Unknown));
        check(&log, Some("earliest"), 6, "earliest", None);
    }

    /// Nobody can find out which ids others chose by asking for them.
    #[test]
    fn the_id_of_an_event_that_one_may_not_know_is_unknown() {
        let log = log(&[Some("first"), Some("second"), Some("first")], 0);
        let locate = |cursor, hidden: u64| {
            let start = Cursor::parse(Some(cursor)).unwrap().locate(&log, |record| record.position.offset != hidden);
            let start = start.unwrap();
            (start.after.offset, start.gap.map(|gap| gap.reason))
        };
        assert_eq!(locate("first", 2), (1, None));
        assert_eq!(locate("first", 1), (0, Some(GapReason::Unknown)));
        assert_eq!(locate("second", 1), (2, None));
        assert_eq!(locate("nobody's", 0), (0, Some(GapReason::Unknown)));
        // A position says nothing but how many events there are.
        assert_eq!(locate("ef-1", 1), (1, None));
    }

    #[test]
    fn what_no_header_can_carry_is_no_cursor() {
        for text in ["a\nb", "\0", "\u{85}", &"x".repeat(4097)] {
            assert_eq!(Cursor::parse(Some(text)), Err(InvalidCursor), "{text:?}");
        }
    }
}
