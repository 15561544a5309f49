//! When events arrive: each at once, in lumps, or not at all.

use tokio::time::Instant;

use super::cure::Fault;
use super::limits::{BUFFER_BYTES_MIN, FILL_BYTES, FILLS_MAX, LATE, LUMP_GAP};
use super::marks::{Mark, Marks};
use super::report::Check;
use super::stream::{Seen, Stream, shown};

const FIRST_BYTES: &str = "first-bytes";
const DELIVERY: &str = "delivery";

/// What became of a mark.
#[derive(Debug)]
pub(super) enum Fate {
    /// It came, and how long after its acknowledgement.
    Came(Mark),
    /// It came when so many bytes had been published after it.
    CameWith(Mark, usize),
    /// It did not come.
    Lost,
    /// It was not even taken.
    Refused(String),
}

/// Publishes a mark and waits for it; if it does not come, with more and more behind it, which fills buffers.
pub(super) async fn follow(
    stream: &Stream,
    marks: &mut Marks,
    patience: std::time::Duration,
    deadline: Instant,
) -> Fate {
    let mark = match marks.publish(deadline).await {
        Ok(mark) => mark,
        Err(reason) => return Fate::Refused(reason),
    };
    let arrived = |marks: &Marks, seen: &Seen| seen.events.iter().any(|event| marks.is(event, &mark));
    let until = (mark.acknowledged_at + patience).min(deadline);
    if stream.wait(until, |seen| arrived(marks, seen)).await {
        return Fate::Came(mark);
    }
    for fills in 1..=FILLS_MAX {
        if stream.seen().end.is_some() || Instant::now() >= deadline || marks.fill(deadline).await.is_err() {
            break;
        }
        let until = (Instant::now() + LUMP_GAP).min(deadline);
        if stream.wait(until, |seen| arrived(marks, seen)).await {
            return Fate::CameWith(mark, fills * FILL_BYTES);
        }
    }
    // What was published last is on its way.
    let until = (Instant::now() + patience).min(deadline);
    if stream.wait(until, |seen| arrived(marks, seen)).await {
        return Fate::CameWith(mark, FILLS_MAX * FILL_BYTES);
    }
    Fate::Lost
}

/// Of a mark.
pub(super) fn of_mark(fate: &Fate, seen: &Seen, marks: &Marks, patience: std::time::Duration) -> Check {
    match fate {
        Fate::Came(mark) => {
            let came = seen.events.iter().find(|event| marks.is(event, mark));
            // The event may overtake the acknowledgement.
            let delay =
                came.map_or_else(Default::default, |event| event.at.saturating_duration_since(mark.acknowledged_at));
            Check::ok(DELIVERY, format!("an event came {} after the hub had it", shown(delay)))
        }
        Fate::CameWith(mark, bytes) => {
            let came = seen.events.iter().filter(|event| marks.is(event, mark)).map(|event| event.at).next();
            let delay = came.map_or(patience, |at| at.saturating_duration_since(mark.acknowledged_at));
            let text = format!(
                "events are held back: one came only {} after the hub had it, in a lump, when up to {} KiB more had been published",
                shown(delay),
                bytes >> 10
            );
            Check::problem(DELIVERY, text, Fault::Buffered)
        }
        Fate::Lost if seen.end.is_some() => {
            Check::unknown(DELIVERY, "the stream ended before an event could come: see below")
        }
        Fate::Lost if seen.bytes > 0 => {
            let text = format!(
                "an event that the hub took did not come, also not with {} KiB more behind it, though the start of the stream \
                 did: it is held until the response ends, or the publish went to another hub than the stream comes from",
                (FILLS_MAX * FILL_BYTES) >> 10
            );
            Check::problem(DELIVERY, text, Fault::Buffered)
        }
        Fate::Lost => {
            let text = "nothing came of what the hub took: it is held until the response ends";
            Check::problem(DELIVERY, text, Fault::Buffered)
        }
        Fate::Refused(reason) => Check::unknown(DELIVERY, format!("the next event was not taken: {reason}")),
    }
}

/// The first comment of a hub comes with the head. `was_held` says that after `patience` there was none yet.
pub(super) fn of_first_bytes(seen: &Seen, was_held: bool, is_hub: bool, patience: std::time::Duration) -> Check {
    let (Some(head), first) = (&seen.head, seen.pieces.first()) else {
        return Check::unknown(FIRST_BYTES, "there was no answer");
    };
    let head_delay = head.at - seen.started;
    if was_held && head_delay > patience {
        let text = format!(
            "not even the head of the answer came for {}: a buffer waits until it is worth it",
            shown(head_delay)
        );
        return Check::problem(FIRST_BYTES, text, Fault::Buffered);
    }
    match first {
        Some(first) if !was_held => {
            Check::ok(FIRST_BYTES, format!("they came {} after the head", shown(first.at - head.at)))
        }
        _ if is_hub => {
            let text = format!(
                "the hub's first comment did not come within {} of the head: a buffer waits until it is worth it",
                shown(patience)
            );
            Check::problem(FIRST_BYTES, text, Fault::Buffered)
        }
        _ => Check::unknown(
            FIRST_BYTES,
            format!("nothing came within {} of the head; this server may have had nothing to say", shown(patience)),
        ),
    }
}

/// What came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lump {
    from: Instant,
    to: Instant,
    bytes: usize,
    cuts_a_line: bool,
}

fn lumps(seen: &Seen) -> Vec<Lump> {
    let mut lumps: Vec<Lump> = Vec::new();
    for piece in &seen.pieces {
        match lumps.last_mut() {
            Some(last) if piece.at - last.to < LUMP_GAP => {
                *last = Lump { to: piece.at, bytes: last.bytes + piece.bytes, cuts_a_line: piece.cuts_a_line, ..*last };
            }
            _ => lumps.push(Lump { from: piece.at, to: piece.at, bytes: piece.bytes, cuts_a_line: piece.cuts_a_line }),
        }
    }
    lumps
}

/// How many times something came.
pub(super) fn lump_count(seen: &Seen) -> usize {
    lumps(seen).len()
}

/// Of a stream that was only watched. Who does not know when events were sent has only their shape: a server writes
/// whole events, and a buffer that is full ends anywhere.
pub(super) fn of_watched(seen: &Seen, is_hub: bool, was_held: bool) -> Check {
    let (lumps, events) = (lumps(seen), seen.events.len());
    let (Some(first), Some(last)) = (lumps.first(), lumps.last()) else {
        return Check::unknown(DELIVERY, "nothing came, so that nothing tells whether it is held back");
    };
    let came_with_end = seen.end.as_ref().is_some_and(|end| end.at - last.to < LUMP_GAP);
    if lumps.len() == 1 && events > 1 && came_with_end && first.from - seen.started >= LATE {
        let text = format!(
            "all {events} events came at once with the end of the response, {} after it was asked for: they were kept until then",
            shown(first.from - seen.started)
        );
        return Check::problem(DELIVERY, text, Fault::Buffered);
    }
    let full: Vec<_> = lumps.iter().filter(|lump| lump.cuts_a_line && lump.bytes >= BUFFER_BYTES_MIN).collect();
    if let ([_, one, ..], true) = (full.as_slice(), full.len() * 2 >= lumps.len()) {
        let text = format!(
            "events come in lumps that end in the middle of a line, such as of {} bytes: a buffer is handed on when it is full",
            one.bytes
        );
        return Check::problem(DELIVERY, text, Fault::Buffered);
    }
    match lumps.len() {
        1 if is_hub && !was_held => Check::ok(
            DELIVERY,
            "the hub's first comment came at once, which a buffer would have held; no event was seen",
        ),
        1 => Check::unknown(DELIVERY, "what came came together, so that nothing tells whether it was held back"),
        times => Check::ok(
            DELIVERY,
            format!("{events} events came in {times} pieces that end where events end: nothing gathers them"),
        ),
    }
}

#[cfg(test)]
mod tests;
