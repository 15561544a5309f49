//! Where a subscription starts.

use fanfare_log::{Located, Log, Position, ReadBudget, ReadError, Topics};

use crate::grant::Grant;
use crate::limits::ID_BYTES_MAX;
use crate::presence::NewsCursor;

/// Where a subscriber asks to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// It has none: only what comes from now on.
    Tail,
    /// All history.
    Earliest,
    /// After the event of this id: the text, and the position if it reads as one.
    After(Box<str>, Option<Position>),
}

impl Cursor {
    /// Reads a `Last-Event-ID`, which is empty or absent if there is none.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, InvalidCursor> {
        match text {
            None | Some("") => Ok(Self::Tail),
            Some(EARLIEST) => Ok(Self::Earliest),
            // It is sent back in a header, so it must be able to stand in one; no event can have such an id anyway.
            Some(text) if text.len() > ID_BYTES_MAX || text.chars().any(char::is_control) => Err(InvalidCursor),
            Some(text) => Ok(Self::After(text.into(), position_in(text))),
        }
    }

    /// Finds the position in `log` to read on from, for somebody with `grant`.
    ///
    /// The chosen id of an event that they may not see is as unknown to them as one that nobody chose: otherwise ids
    /// could be tried until one is found.
    pub(crate) fn locate(&self, log: &dyn Log, grant: &Grant) -> Result<Start, ReadError> {
        let span = log.span();
        let (text, position) = match self {
            Self::Tail => {
                return Ok(Start {
                    is_tail: true,
                    tells_position: true,
                    ..Start::at(span.tail, span.tail.to_string())
                });
            }
            Self::Earliest => return Ok(Start::at(span.start, EARLIEST.to_owned())),
            Self::After(text, Some(position)) => (text, Some(*position)),
            Self::After(text, None) => {
                let position = log.position_of(text)?;
                (text, position.map(|position| may_see(log, position, grant)).transpose()?.flatten())
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

/// The position that an id of the hub's own says: that of an event, or the one that a subscription event came after.
fn position_in(id: &str) -> Option<Position> {
    id.parse().ok().or_else(|| Some(NewsCursor::parse(id)?.position))
}

/// The position of a chosen id, if its event is there to be seen.
fn may_see(log: &dyn Log, position: Position, grant: &Grant) -> Result<Option<Position>, ReadError> {
    let before = Position { offset: position.offset.saturating_sub(1), ..position };
    let budget = ReadBudget { records: 1, bytes: 1, examined: 1 };
    let record = match log.read(before, Topics::All, budget) {
        Ok(batch) => batch.records.into_iter().next(),
        Err(ReadError::Expired) => None,
        Err(error) => return Err(error),
    };
    let is_seen = record.is_some_and(|record| record.position == position && grant.may_see(&record));
    Ok(is_seen.then_some(position))
}

/// Where a subscription starts, and what its response says of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) after: Position,
    /// The response's `Last-Event-ID`: never a publisher's id that the request did not name.
    pub(crate) header: String,
    pub(crate) gap: Option<Gap>,
    /// It is wherever the tail was, which the subscriber can't know.
    pub(crate) is_tail: bool,
    /// The stream begins with the position, as an id without an event.
    pub(crate) tells_position: bool,
}

impl Start {
    fn at(after: Position, header: String) -> Self {
        Self { after, header, gap: None, is_tail: false, tells_position: false }
    }
}

/// The cursor that means all history.
const EARLIEST: &str = "earliest";

/// Events that the subscriber has not seen and can't get any more, or may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) requested: String,
    pub(crate) reason: GapReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GapReason {
    /// The position has left the history.
    Expired,
    /// Nobody knows it.
    Unknown,
    /// A live subscriber fell behind the history.
    Lagged,
}

impl GapReason {
    pub(crate) fn as_str(self) -> &'static str {
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
pub(crate) struct InvalidCursor;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::{Selector, Selectors};
    use crate::{Topic, Update};
    use fanfare_log::{Engine, Epoch, MemoryLog, Retention, Timestamp};

    async fn log(ids: &[Option<&str>], filler: usize) -> MemoryLog {
        let log = MemoryLog::new(Epoch(0xf), Retention { count: Some(0), ..Retention::default() });
        let update = |id: &Option<&str>| {
            let update = Update::new(Topic::new("t").unwrap(), "");
            id.map_or_else(|| update.clone(), |id| update.clone().with_id(id.try_into().unwrap()))
                .into_draft(Timestamp(0))
        };
        let filler = vec![None; filler];
        Engine::append(&log, ids.iter().chain(&filler).map(update).collect()).await.unwrap();
        log
    }

    fn check(log: &MemoryLog, cursor: Option<&str>, after: u64, header: &str, gap: Option<GapReason>) {
        check_for(&Grant::everything(), log, cursor, after, header, gap);
    }

    fn check_for(
        grant: &Grant,
        log: &MemoryLog,
        cursor: Option<&str>,
        after: u64,
        header: &str,
        gap: Option<GapReason>,
    ) {
        let start = Cursor::parse(cursor).unwrap().locate(log, grant).unwrap();
        assert_eq!((start.after.offset, start.header.as_str()), (after, header), "{cursor:?}");
        assert_eq!(start.gap.as_ref().map(|gap| gap.reason), gap, "{cursor:?}");
        assert_eq!(start.gap.map(|gap| gap.requested), gap.and(cursor).map(str::to_owned));
    }

    #[tokio::test]
    async fn a_cursor_that_is_found_is_the_answer_and_no_other_id_ever_is() {
        let log = log(&[None, Some("mine"), None, Some("mine"), None], 0).await;
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

    #[tokio::test]
    async fn a_cursor_that_left_the_history_gets_all_that_is_kept() {
        let log = log(&[Some("mine"), Some("twice"), None, Some("twice")], 66).await;
        check(&log, Some("ef-1"), 6, "earliest", Some(GapReason::Expired));
        check(&log, Some("ef-6"), 6, "ef-6", None);
        check(&log, Some("mine"), 6, "earliest", Some(GapReason::Unknown));
        check(&log, Some("earliest"), 6, "earliest", None);
    }

    /// Nobody can find out which ids others chose by asking for them.
    #[tokio::test]
    async fn the_id_of_an_event_that_one_may_not_see_is_unknown() {
        let log = MemoryLog::new(Epoch(0xf), Retention::default());
        let update = |topic: &str, id: &str| {
            let update = Update::new(Topic::new(topic).unwrap(), "").with_id(id.try_into().unwrap());
            (if topic == "open" { update } else { update.private() }).into_draft(Timestamp(0))
        };
        let ids = [("secret", "first"), ("open", "public"), ("mine", "own"), ("open", "first")];
        Engine::append(&log, ids.map(|(topic, id)| update(topic, id)).into()).await.unwrap();
        let mine = [Selector::parse("mine").unwrap()].into_iter().collect();
        let grant = Grant::new(Selectors::default(), mine);
        let check = |cursor, after, header, gap| check_for(&grant, &log, Some(cursor), after, header, gap);
        check("public", 2, "public", None);
        check("own", 3, "own", None);
        check("nobody's", 0, "earliest", Some(GapReason::Unknown));
        check("first", 0, "earliest", Some(GapReason::Unknown));
        // A position says nothing but how many events there are.
        check("ef-1", 1, "ef-1", None);
        check_for(&Grant::everything(), &log, Some("first"), 1, "first", None);
    }

    #[test]
    fn what_no_header_can_carry_is_no_cursor() {
        for text in ["a\nb", "\0", "\u{85}", &"x".repeat(4097)] {
            assert_eq!(Cursor::parse(Some(text)), Err(InvalidCursor), "{text:?}");
        }
    }
}
