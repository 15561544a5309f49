//! What a subscriber is told beside the events, if the settings want it told.

use fanfare_log::{Position, Span};

use crate::cursor::{Gap, Start};
use crate::shared::Shared;

impl Shared {
    /// Appends what a subscriber is told before any event: a gap, or else where it is if it can't know.
    pub(crate) fn greet(&self, start: &Start, out: &mut Vec<u8>) {
        start.greet(out);
        if let Some(gap) = &start.gap {
            self.tell(gap, start.after, out);
        }
    }

    /// Appends the gap event, unless it is switched off.
    pub(crate) fn tell(&self, gap: &Gap, start: Position, out: &mut Vec<u8>) -> bool {
        self.counters.count_gap(gap.reason);
        if !self.settings.gap_event {
            return false;
        }
        gap.event(Span { start, ..self.log.span() }).encode(out);
        true
    }
}
