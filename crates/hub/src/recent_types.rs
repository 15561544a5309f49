//! The event types published lately.

use std::collections::VecDeque;
use std::sync::{PoisonError, RwLock};

use crate::limits::RECENT_TYPES_MAX;

/// The types of public events published lately, the oldest first, bounded.
///
/// A browser's `EventSource` hears only the types that it asks for by name, so the page must know the names.
#[derive(Debug, Default)]
pub(crate) struct RecentTypes(RwLock<VecDeque<Box<str>>>);

impl RecentTypes {
    /// Takes note of `event_type`. The common case, a type that is known, only reads.
    pub(crate) fn note(&self, event_type: &str) {
        let knows = |types: &VecDeque<Box<str>>| types.iter().any(|known| known.as_ref() == event_type);
        if knows(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut types = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !knows(&types) {
            if types.len() == RECENT_TYPES_MAX {
                types.pop_front();
            }
            types.push_back(event_type.into());
        }
    }

    pub(crate) fn list(&self) -> Vec<Box<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_once_each() {
        let types = RecentTypes::default();
        for n in 0..RECENT_TYPES_MAX + 5 {
            types.note(&format!("t{n}"));
            types.note(&format!("t{n}"));
        }
        let list = types.list();
        assert_eq!(list.len(), RECENT_TYPES_MAX);
        assert_eq!(list.first().map(AsRef::as_ref), Some("t5"));
    }
}
