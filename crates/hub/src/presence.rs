//! Who is subscribed: the protocol's subscription events, and the list behind its API.
//!
//! Each selector of each subscriber is a subscription. That it begins or ends is news, which goes to those who subscribe
//! to its path and whose grant covers it. News stands in a ring of its own, so that a crowd that comes and goes does not
//! push the application's events out of the history.
//!
//! ```text
//! a stream begins or ends ─► Roster: who there is     ─► GET /.well-known/mercure/subscriptions…
//!                       └──► Bulletin: the last news  ─► Watching, around the delivery of whoever watches
//! ```

mod document;

mod roster;

mod bulletin;

mod watching;

pub(crate) use document::{CONTEXT, Document, SUBSCRIPTIONS, path};
pub(crate) use roster::Subscriber;
pub(crate) use watching::Watching;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use fanfare_log::{Position, Timestamp};
use serde_json::value::RawValue;
use slab::Slab;
use tokio::sync::watch;

use bulletin::Bulletin;
use roster::Roster;

/// Everyone who is subscribed to a hub, and what became known of that last.
pub(crate) struct Presence {
    state: Mutex<State>,
    /// The tail of the log: where somebody stands who resumes by an event of the application.
    tail: watch::Receiver<Position>,
}

struct State {
    roster: Roster,
    bulletin: Bulletin,
    /// Those who wait for news.
    wakers: Slab<Option<Waker>>,
}

impl Presence {
    /// Nobody, at the time `now`.
    pub(crate) fn new(tail: watch::Receiver<Position>, now: Timestamp) -> Self {
        let state = State { roster: Roster::default(), bulletin: Bulletin::new(now), wakers: Slab::new() };
        Self { state: Mutex::new(state), tail }
    }

    /// Takes in somebody with these selectors. They are there as long as the result is.
    pub(crate) fn join(
        self: &Arc<Self>,
        uuid: u128,
        selectors: impl Iterator<Item = Arc<str>>,
        payload: Option<Arc<RawValue>>,
    ) -> Member {
        let subscriber = Arc::new(Subscriber::new(uuid, selectors, payload));
        let mut state = self.state();
        let number = state.roster.add(subscriber.clone());
        self.note(state, subscriber.clone(), true);
        Member { presence: self.clone(), subscriber, number }
    }

    /// The numbers of those who are subscribed to `selector`, or of all, for [`subscribers`](Self::subscribers).
    pub(crate) fn numbers(&self, selector: Option<&str>) -> Vec<u32> {
        self.state().roster.numbers(selector)
    }

    /// Those of `numbers` who are still there.
    pub(crate) fn subscribers(&self, numbers: &[u32]) -> Vec<Arc<Subscriber>> {
        let state = self.state();
        numbers.iter().filter_map(|number| state.roster.get(*number).cloned()).collect()
    }

    /// The subscriber of this name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Subscriber>> {
        self.state().roster.named(name).cloned()
    }

    /// From where to go on for whoever reads the list now: after the last event of the log and the last news. `None` if
    /// there was neither.
    pub(crate) fn cursor(&self) -> Option<NewsCursor> {
        let state = self.state();
        let position = *self.tail.borrow();
        let has_any = position.offset > 0 || !state.bulletin.is_empty();
        has_any.then(|| NewsCursor { position, number: state.bulletin.next().saturating_sub(1) })
    }

    /// Adds news, and wakes those who wait for it.
    ///
    /// The tail is looked at with the state in hand: so whoever has an event past it, and looks for news then, finds this.
    fn note(&self, mut state: MutexGuard<'_, State>, subscriber: Arc<Subscriber>, active: bool) {
        state.bulletin.add(subscriber, active, *self.tail.borrow());
        let wakers: Vec<Waker> = state.wakers.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

/// Somebody who is subscribed, for as long as this is held.
pub(crate) struct Member {
    presence: Arc<Presence>,
    subscriber: Arc<Subscriber>,
    number: u32,
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.presence.state();
        state.roster.remove(self.number);
        self.presence.note(state, self.subscriber.clone(), false);
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.subscriber.name()).finish()
    }
}

/// A cursor into both orders: the log's and the news'. It is the id of a subscription event: the position of the last event
/// of the log before it on the same stream, and its own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewsCursor {
    pub(crate) position: Position,
    pub(crate) number: u64,
}

impl NewsCursor {
    /// Reads one as it is printed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (position, number) = text.rsplit_once("-s")?;
        let is_canonical = !number.is_empty()
            && number.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
            && (number == "0" || !number.starts_with('0'));
        let number = is_canonical.then(|| u64::from_str_radix(number, 16).ok())??;
        Some(Self { position: position.parse().ok()?, number })
    }
}

impl fmt::Display for NewsCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-s{:x}", self.position, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare_log::Epoch;

    fn presence() -> Arc<Presence> {
        let (_, tail) = watch::channel(Position::start_of(Epoch(0xf)));
        Arc::new(Presence::new(tail, Timestamp(1)))
    }

    fn join(presence: &Arc<Presence>, uuid: u128, selectors: &[&str]) -> Member {
        presence.join(uuid, selectors.iter().map(|text| Arc::from(*text)), None)
    }

    fn names(presence: &Presence, selector: Option<&str>) -> Vec<String> {
        let subscribers = presence.subscribers(&presence.numbers(selector));
        subscribers.iter().map(|one| one.name().to_owned()).collect()
    }

    #[test]
    fn members_are_there_as_long_as_they_are_held() {
        let presence = presence();
        assert_eq!(presence.cursor(), None);
        let first = join(&presence, 1, &["a", "b", "a"]);
        let second = join(&presence, 2, &["a"]);
        let (one, two) = (first.subscriber.name().to_owned(), second.subscriber.name().to_owned());
        assert_eq!(names(&presence, None), [one.clone(), two.clone()]);
        assert_eq!(names(&presence, Some("a")), [one.clone(), two.clone()]);
        assert_eq!(names(&presence, Some("b")), std::slice::from_ref(&one));
        assert_eq!(names(&presence, Some("c")), [] as [&str; 0]);
        assert!(presence.named(&one).is_some());
        drop(first);
        assert_eq!(names(&presence, Some("a")), [two]);
        assert_eq!(names(&presence, Some("b")), [] as [&str; 0]);
        assert!(presence.named(&one).is_none());
        drop(second);
        assert!(presence.numbers(None).is_empty());
        assert!(presence.state().roster.is_empty());
        let newest = presence.cursor().unwrap();
        assert_eq!(newest.position.offset, 0);
        // Two selectors of the first and one of the second, which came and went.
        let state = presence.state();
        assert_eq!(state.bulletin.from(state.bulletin.oldest(), 100).map(|news| news.len()), Some(6));
        assert_eq!(state.bulletin.next() - 1, newest.number);
    }

    #[test]
    fn a_cursor_reads_back_as_printed_and_nothing_else_does() {
        for (offset, number) in [(0, 0), (7, 0x1f), (u64::MAX, u64::MAX)] {
            let cursor = NewsCursor { position: Position { epoch: Epoch(0xab), offset }, number };
            assert_eq!(NewsCursor::parse(&cursor.to_string()), Some(cursor));
        }
        for text in ["", "eab-1", "eab-1-s", "eab-1-s01", "eab-1-sA", "eab-01-s1", "x-s1", "eab-1-s1 ", "eab-1-s-1"] {
            assert_eq!(NewsCursor::parse(text), None, "{text}");
        }
    }
}
