//! Who is subscribed to what now.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;
use slab::Slab;

use crate::presence::NodeName;

/// One connection with its subscriptions.
#[derive(Debug)]
pub(crate) struct Subscriber {
    uuid: Uuid,
    name: Box<str>,
    selectors: Box<[Arc<str>]>,
    payload: Option<Arc<RawValue>>,
    node: Option<NodeName>,
}

impl Subscriber {
    /// Somebody on this node with these selectors, each of which counts once, and a name of these random bits.
    pub(super) fn new(
        bits: u128,
        selectors: impl Iterator<Item = Arc<str>>,
        payload: Option<Arc<RawValue>>,
        node: Option<NodeName>,
    ) -> Self {
        let mut selectors: Vec<_> = selectors.collect();
        selectors.sort_unstable();
        selectors.dedup();
        let uuid = Uuid::of(bits);
        Self { uuid, name: uuid.to_string().into(), selectors: selectors.into(), payload, node }
    }

    pub(super) fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The name of the node that serves them, if it has one.
    pub(crate) fn node(&self) -> Option<&str> {
        self.node.as_ref().map(NodeName::as_str)
    }

    /// Its `urn:uuid:`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it is subscribed to, as it was written.
    pub(crate) fn selectors(&self) -> &[Arc<str>] {
        &self.selectors
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let payload = self.payload().map_or(0, |payload| payload.get().len());
        SUBSCRIBER_BYTES + payload + self.selectors.iter().map(|selector| selector.len() + 32).sum::<usize>()
    }

    /// What its token says of it, as JSON.
    pub(crate) fn payload(&self) -> Option<&RawValue> {
        self.payload.as_deref()
    }
}

/// What a subscriber takes beside what it is subscribed to and what its token says: its name, and its own parts.
const SUBSCRIBER_BYTES: usize = 128;

/// A random UUID (RFC 9562, version 4), which reads as a URN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Uuid(u128);

impl Uuid {
    fn of(bits: u128) -> Self {
        Self(bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62)
    }

    /// Its bits, of which the same is made again.
    pub(super) fn bits(self) -> u128 {
        self.0
    }

    /// Reads one as it is printed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: String = text.strip_prefix("urn:uuid:")?.split('-').collect();
        let uuid = Self(u128::from_str_radix(&digits, 16).ok()?);
        (uuid.to_string() == text && Self::of(uuid.0) == uuid).then_some(uuid)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |shift: u32, digits: u32| (self.0 >> shift) & ((1 << (4 * digits)) - 1);
        let [a, b, c, d, e] = [part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12)];
        write!(f, "urn:uuid:{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }
}

/// Everyone who is there, by number, by name and by selector. Coming and going costs a few look-ups, however many there
/// are.
#[derive(Debug, Default)]
pub(super) struct Roster {
    subscribers: Slab<Arc<Subscriber>>,
    by_name: HashMap<Box<str>, u32>,
    by_selector: HashMap<Arc<str>, BTreeSet<u32>>,
}

impl Roster {
    /// `None` if there is somebody of this name: a neighbour has no say about those of others.
    pub(super) fn add(&mut self, subscriber: Arc<Subscriber>) -> Option<u32> {
        let number = self.subscribers.vacant_key() as u32;
        match self.by_name.entry(subscriber.name.clone()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(entry) => entry.insert(number),
        };
        for selector in &subscriber.selectors {
            self.by_selector.entry(selector.clone()).or_default().insert(number);
        }
        self.subscribers.insert(subscriber);
        Some(number)
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Arc<Subscriber>> {
        let subscriber = self.subscribers.try_remove(number as usize)?;
        self.by_name.remove(&subscriber.name);
        for selector in &subscriber.selectors {
            if let Some(numbers) = self.by_selector.get_mut(selector) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_selector.remove(selector);
                }
            }
        }
        Some(subscriber)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Arc<Subscriber>> {
        self.subscribers.get(number as usize)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Arc<Subscriber>> {
        self.get(*self.by_name.get(name)?)
    }

    /// Those who are subscribed to `selector`, or all.
    pub(super) fn numbers(&self, selector: Option<&str>) -> Vec<u32> {
        match selector {
            None => self.subscribers.iter().map(|(number, _)| number as u32).collect(),
            Some(selector) => self.by_selector.get(selector).into_iter().flatten().copied().collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.by_name.is_empty() && self.by_selector.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_random_uuids_and_nothing_else_is_one() {
        for (bits, text) in [
            (0, "urn:uuid:00000000-0000-4000-8000-000000000000"),
            (u128::MAX, "urn:uuid:ffffffff-ffff-4fff-bfff-ffffffffffff"),
            (0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, "urn:uuid:01234567-89ab-4def-8123-456789abcdef"),
        ] {
            let uuid = Uuid::of(bits);
            assert_eq!(uuid.to_string(), text);
            assert_eq!(Uuid::parse(text), Some(uuid));
            assert_eq!(Uuid::of(uuid.bits()), uuid);
        }
        for text in [
            "",
            "urn:uuid:",
            "00000000-0000-4000-8000-000000000000",
            "urn:uuid:00000000-0000-1000-8000-000000000000",
            "urn:uuid:00000000-0000-4000-0000-000000000000",
            "urn:uuid:000000000000-4000-8000-000000000000",
            "urn:uuid:FFFFFFFF-ffff-4fff-bfff-ffffffffffff",
            "urn:uuid:+0000000-0000-4000-8000-000000000000",
        ] {
            assert_eq!(Uuid::parse(text), None, "{text}");
        }
    }
}
