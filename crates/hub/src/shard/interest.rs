//! Which groups an event goes to.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::limits::{RESOLVED_GROUPS_MAX, RESOLVED_TOPICS_MAX};
use crate::selector::Selectors;

/// The index from topics to groups.
///
/// An exact topic is looked up. A URI Template is asked once for each topic that appears, when it appears, and the
/// answer is remembered; a group that comes later is asked about the topics that appear again.
#[derive(Debug, Default)]
pub(super) struct Interest {
    /// The group of `*`: there is one, because equal selectors are one group.
    all: Option<u32>,
    exact: HashMap<Arc<str>, Vec<u32>>,
    /// Groups with templates, by a serial number that is never used twice.
    templated: BTreeMap<u64, (u32, Arc<Selectors>)>,
    serial: u64,
    resolved: HashMap<Arc<str>, Resolved>,
    /// Groups in all of `resolved`.
    resolved_groups: usize,
    /// Whether the last event is not through yet.
    is_asking: bool,
}

/// What is known of the templates for one topic.
#[derive(Debug, Default)]
struct Resolved {
    /// Serials up to this one were asked.
    asked: u64,
    /// Those who want it. Some may be gone by now.
    serials: Vec<u64>,
}

impl Interest {
    pub(super) fn add(&mut self, group: u32, selectors: &Arc<Selectors>) {
        if selectors.is_all() {
            self.all = Some(group);
            return;
        }
        for topic in selectors.exact().iter() {
            self.exact.entry(topic.clone()).or_default().push(group);
        }
        if selectors.templates() > 0 {
            self.serial += 1;
            self.templated.insert(self.serial, (group, selectors.clone()));
        }
    }

    pub(super) fn remove(&mut self, group: u32, selectors: &Selectors) {
        if selectors.is_all() {
            self.all = None;
            return;
        }
        for topic in selectors.exact().iter() {
            if let Some(groups) = self.exact.get_mut(topic) {
                groups.retain(|held| *held != group);
                if groups.is_empty() {
                    self.exact.remove(topic);
                }
            }
        }
        if selectors.templates() > 0 {
            self.templated.retain(|_, (held, _)| *held != group);
        }
        if self.templated.is_empty() {
            self.forget();
        }
    }

    /// Writes the groups that want an event on `topics` to `groups`, each once. Asks at most about `budget` templates,
    /// which it takes them from: false if that was not enough. Called again it goes on where it was.
    pub(super) fn groups(&mut self, topics: &[Arc<str>], groups: &mut Vec<u32>, budget: &mut usize) -> bool {
        // Not in the middle of an event, whose answers would be forgotten again and again. What one event adds is
        // bounded by its topics. Topics that are alive come back at once.
        let is_full = self.resolved.len() >= RESOLVED_TOPICS_MAX || self.resolved_groups >= RESOLVED_GROUPS_MAX;
        if is_full && !self.is_asking {
            self.forget();
        }
        groups.clear();
        groups.extend(self.all);
        self.is_asking = true;
        for topic in topics {
            groups.extend(self.exact.get(topic).into_iter().flatten());
            if !self.templated.is_empty() && !self.resolve(topic, groups, budget) {
                return false;
            }
        }
        self.is_asking = false;
        if groups.len() > 1 {
            groups.sort_unstable();
            groups.dedup();
        }
        true
    }

    fn resolve(&mut self, topic: &Arc<str>, groups: &mut Vec<u32>, budget: &mut usize) -> bool {
        let resolved = self.resolved.entry(topic.clone()).or_default();
        for (serial, (_, selectors)) in self.templated.range((Bound::Excluded(resolved.asked), Bound::Unbounded)) {
            let Some(rest) = budget.checked_sub(selectors.templates()) else {
                *budget = 0;
                return false;
            };
            *budget = rest;
            resolved.asked = *serial;
            if selectors.templates_match(topic) {
                resolved.serials.push(*serial);
                self.resolved_groups += 1;
            }
        }
        let before = resolved.serials.len();
        resolved.serials.retain(|serial| {
            let group = self.templated.get(serial).map(|(group, _)| *group);
            groups.extend(group);
            group.is_some()
        });
        self.resolved_groups -= before - resolved.serials.len();
        true
    }

    fn forget(&mut self) {
        self.resolved = HashMap::new();
        self.resolved_groups = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;
    use proptest::prelude::*;

    const SELECTORS: [&str; 7] = ["*", "a", "b", "{x}", "a{x}", "{x}b", "c{+x}"];
    const TOPICS: [&str; 6] = ["a", "b", "ab", "c", "c/d", "{x}"];

    proptest! {
        /// Asking every group about every event is the oracle.
        #[test]
        fn it_gives_whoever_wants_an_event(
            steps in proptest::collection::vec(
                (0_usize..3, proptest::collection::vec(0_usize..7, 1..4), 0_usize..5), 1..60),
        ) {
            let mut interest = Interest::default();
            let mut groups: Vec<(Arc<Selectors>, u32)> = Vec::new();
            let mut number = 0;
            for (step, picks, budget) in steps {
                let selectors: Arc<Selectors> =
                    Arc::new(picks.iter().map(|pick| Selector::parse(SELECTORS[*pick]).unwrap()).collect());
                match (step, groups.iter().position(|(held, _)| *held == selectors)) {
                    (0, None) => {
                        number += 1;
                        interest.add(number, &selectors);
                        groups.push((selectors, number));
                    }
                    (1, Some(at)) => {
                        let (_, group) = groups.swap_remove(at);
                        interest.remove(group, &selectors);
                    }
                    _ => {
                        let topics: Vec<Arc<str>> = picks.iter().map(|pick| TOPICS[pick % 6].into()).collect();
                        let mut found = Vec::new();
                        // One group with three templates must fit.
                        while !interest.groups(&topics, &mut found, &mut (budget + 7)) {}
                        let mut expected: Vec<u32> = groups
                            .iter()
                            .filter(|(selectors, _)| selectors.match_any(&topics))
                            .map(|(_, group)| *group)
                            .collect();
                        expected.sort_unstable();
                        prop_assert_eq!(found, expected);
                        let is_asked_once = |resolved: &Resolved| resolved.serials.is_sorted_by(|a, b| a < b);
                        prop_assert!(interest.resolved.values().all(is_asked_once));
                    }
                }
            }
        }
    }
}
