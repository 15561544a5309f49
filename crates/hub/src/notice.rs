//! What a subscriber is told beside the events: where it is, and what it has missed.

use fanfare_log::Position;
use fanfare_wire::{Event, EventId, EventType};

use crate::cursor::{Gap, Start};
use crate::shared::Shared;

/// The type of the event that tells a subscriber what it has missed.
pub const GAP_TYPE: &str = "fanfare-gap";

impl Shared {
    /// Appends what a subscriber is told before any event: a gap, or else where it is.
    pub(crate) fn greet(&self, start: &Start, out: &mut Vec<u8>) {
        if start.tells_position
            && let Some(id) = id_of(start.after)
        {
            fanfare_wire::encode_id(&id, out);
        }
        if let Some(gap) = &start.gap {
            self.tell(gap, start.after, out);
        }
    }

    /// Appends the gap event, unless it is switched off. Its id is the position before the oldest event kept, so that a
    /// reconnect right after it goes on from there.
    pub(crate) fn tell(&self, gap: &Gap, start: Position, out: &mut Vec<u8>) -> bool {
        self.counters.count_gap(gap.reason);
        if !self.settings.gap_event {
            return false;
        }
        let oldest = self.log.span().oldest.map(|position| position.to_string());
        let data = serde_json::json!({ "requested": gap.requested, "oldest": oldest, "reason": gap.reason.as_str() });
        let mut event = Event::data(data.to_string());
        if let (Ok(event_type), Some(id)) = (EventType::new(GAP_TYPE), id_of(start)) {
            event = event.with_type(event_type).with_id(id);
        }
        event.encode(out);
        true
    }
}

fn id_of(position: Position) -> Option<EventId> {
    EventId::new(position.to_string()).ok()
}
