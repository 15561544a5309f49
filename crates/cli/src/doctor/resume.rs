//! Whether whoever comes back gets what it missed.

use super::cure::Fault;
use super::marks::{Mark, Marks};
use super::report::Check;
use super::stream::{Event, Seen};

const NAME: &str = "resume";

/// Of a stream that was asked for all after `cursor`, and should begin with `next`.
pub(super) fn of_hub(seen: &Seen, cursor: &Mark, next: &Mark, marks: &Marks) -> Check {
    let first = seen.events.first();
    if first.is_some_and(|event| marks.is(event, next)) {
        return Check::ok(NAME, "Last-Event-ID is passed on: who comes back gets the event after its last one");
    }
    if seen.head.is_none() {
        return Check::unknown(NAME, "with Last-Event-ID there was no answer in time");
    }
    if first.is_some_and(|event| event.event_type == "fanfare-gap") {
        let text = "the hub has forgotten an event of a moment ago: it keeps too little, or another hub answered";
        return Check::problem(NAME, text, None);
    }
    let answered = seen.header("last-event-id");
    let text = match first {
        Some(_) => "the stream goes on with another event than the one after the last: some are lost",
        None if answered == Some(&cursor.id) => "the hub knows the last event, and the one after it does not come",
        None => "Last-Event-ID is not passed on: who comes back gets only what is new, and what came meanwhile is lost",
    };
    let fault = (answered != Some(&cursor.id)).then_some(Fault::CursorGone);
    Check::problem(NAME, text, fault)
}

/// The events by which a watched stream can be asked to go on: one, and the one after it.
pub(super) fn cursor(seen: &Seen) -> Option<(&Event, &Event)> {
    let mut with_id = seen.events.iter().filter(|event| !event.id.is_empty());
    let (first, second) = (with_id.next()?, with_id.next()?);
    (first.id != second.id).then_some((first, second))
}

/// Of a stream that is nobody's we know. It may not be able to resume, which is no fault.
pub(super) fn of_stranger(seen: &Seen, next: &Event) -> Check {
    match seen.events.first() {
        Some(event) if event.id == next.id => {
            Check::ok(NAME, "Last-Event-ID is passed on: who comes back gets the event after its last one")
        }
        Some(_) => Check::unknown(
            NAME,
            "with Last-Event-ID the stream begins with another event than the one after it: this server may not resume",
        ),
        None => Check::unknown(NAME, "with Last-Event-ID no event came in time"),
    }
}
