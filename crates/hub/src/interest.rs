//! Which groups of subscribers an event goes to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::selector::Selectors;
use crate::uri_template::UriTemplate;

/// The index from topics to groups. Subscribers with equal selectors are one group; whoever holds them numbers them.
///
/// An event costs what it finds: an exact topic is looked up, and of the URI Templates only those are asked whose text
/// before the first brace the topic begins with, each once, however many groups have it.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    numbers: HashMap<Arc<Selectors>, u32>,
    /// The group of `*`: there is one, because equal selectors are one group.
    all: Option<u32>,
    exact: HashMap<Arc<str>, Groups>,
    /// By a serial number that is never used twice.
    templates: HashMap<u64, Templated>,
    serials: HashMap<UriTemplate, u64>,
    /// Serials by what the templates begin with.
    prefixes: BTreeMap<Box<[u8]>, BTreeSet<u64>>,
    /// The last serial.
    serial: u64,
    /// Of the event that is not through yet.
    asking: Option<Asking>,
}

#[derive(Debug)]
struct Templated {
    template: UriTemplate,
    groups: Groups,
}

/// Groups with one topic or template. Nearly always there is one.
#[derive(Debug)]
enum Groups {
    One(u32),
    Several(BTreeSet<u32>),
}

/// How far the templates have been asked about an event.
#[derive(Debug)]
struct Asking {
    /// The topic at issue.
    topic: usize,
    /// Of that one, only prefixes shorter than this are still at issue.
    until: usize,
    /// Of the longest of those, templates up to this serial were asked.
    asked: u64,
    /// Templates up to `floor` were asked in earlier rounds, and up to `ceiling` are in this one. What is added meanwhile
    /// makes another round.
    floor: u64,
    ceiling: u64,
    matched: Vec<u64>,
}

impl Asking {
    fn new(ceiling: u64) -> Self {
        Self { topic: 0, until: usize::MAX, asked: 0, floor: 0, ceiling, matched: Vec::new() }
    }

    fn next_topic(&mut self) {
        (self.topic, self.until, self.asked) = (self.topic + 1, usize::MAX, self.floor);
    }

    fn next_round(&mut self, ceiling: u64) {
        (self.topic, self.until, self.asked) = (0, usize::MAX, self.ceiling);
        (self.floor, self.ceiling) = (self.ceiling, ceiling);
    }
}

impl Groups {
    fn insert(&mut self, group: u32) {
        match self {
            Self::One(held) => *self = Self::Several(BTreeSet::from([*held, group])),
            Self::Several(groups) => drop(groups.insert(group)),
        }
    }

    /// Returns whether there is none any more.
    fn remove(&mut self, group: u32) -> bool {
        match self {
            Self::One(held) => *held == group,
            Self::Several(groups) => {
                groups.remove(&group);
                groups.is_empty()
            }
        }
    }
}

impl Interest {
    /// The group with these selectors.
    pub(crate) fn number(&self, selectors: &Selectors) -> Option<u32> {
        self.numbers.get(selectors).copied()
    }

    pub(crate) fn add(&mut self, group: u32, selectors: &Arc<Selectors>) {
        self.numbers.insert(selectors.clone(), group);
        if selectors.is_all() {
            self.all = Some(group);
        }
        for topic in selectors.exact().iter() {
            self.exact.entry(topic.clone()).and_modify(|groups| groups.insert(group)).or_insert(Groups::One(group));
        }
        for template in selectors.templates() {
            self.add_template(group, template);
        }
    }

    fn add_template(&mut self, group: u32, template: &UriTemplate) {
        if let Some(held) = self.serials.get(template).and_then(|serial| self.templates.get_mut(serial)) {
            return held.groups.insert(group);
        }
        self.serial += 1;
        let serial = self.serial;
        self.serials.insert(template.clone(), serial);
        self.templates.insert(serial, Templated { template: template.clone(), groups: Groups::One(group) });
        if let Some(serials) = self.prefixes.get_mut(template.prefix().as_bytes()) {
            serials.insert(serial);
        } else {
            self.prefixes.insert(template.prefix().as_bytes().into(), BTreeSet::from([serial]));
        }
    }

    pub(crate) fn remove(&mut self, group: u32, selectors: &Selectors) {
        self.numbers.remove(selectors);
        if selectors.is_all() {
            self.all = None;
        }
        for topic in selectors.exact().iter() {
            if self.exact.get_mut(topic).is_some_and(|groups| groups.remove(group)) {
                self.exact.remove(topic);
            }
        }
        for template in selectors.templates() {
            self.remove_template(group, template);
        }
    }

    fn remove_template(&mut self, group: u32, template: &UriTemplate) {
        let Some(serial) = self.serials.get(template).copied() else { return };
        if !self.templates.get_mut(&serial).is_some_and(|held| held.groups.remove(group)) {
            return;
        }
        self.templates.remove(&serial);
        self.serials.remove(template);
        if let Some(serials) = self.prefixes.get_mut(template.prefix().as_bytes()) {
            serials.remove(&serial);
            if serials.is_empty() {
                self.prefixes.remove(template.prefix().as_bytes());
            }
        }
    }

    /// Writes the groups that want an event on `topics` to `groups`, each once. Takes at most `budget` steps among the
    /// templates, and takes them from it: false if that was not enough, and then nothing is written. Called again with
    /// the same topics it goes on where it was, if it may take two steps; groups may come and go in between.
    pub(crate) fn groups(&mut self, topics: &[Arc<str>], groups: &mut Vec<u32>, budget: &mut usize) -> bool {
        groups.clear();
        if !self.ask(topics, budget) {
            return false;
        }
        groups.extend(self.all);
        let mut sources = groups.len();
        let exact = topics.iter().filter_map(|topic| self.exact.get(topic));
        let matched = self.asking.take().map(|asking| asking.matched).unwrap_or_default();
        // A template that is gone meanwhile has no groups.
        let templated = matched.iter().filter_map(|serial| self.templates.get(serial)).map(|held| &held.groups);
        for found in exact.chain(templated) {
            sources += 1;
            match found {
                Groups::One(group) => groups.push(*group),
                Groups::Several(several) => groups.extend(several),
            }
        }
        // What one source gives is sorted, and has nothing twice.
        if sources > 1 {
            groups.sort_unstable();
            groups.dedup();
        }
        true
    }

    /// Finds the templates that match any of `topics`.
    fn ask(&mut self, topics: &[Arc<str>], budget: &mut usize) -> bool {
        if self.templates.is_empty() && self.asking.is_none() {
            return true;
        }
        let asking = self.asking.get_or_insert_with(|| Asking::new(self.serial));
        loop {
            while let Some(topic) = topics.get(asking.topic) {
                let Some(longest) = asking.until.checked_sub(1) else {
                    asking.next_topic();
                    continue;
                };
                let Some(rest) = budget.checked_sub(1) else { return false };
                *budget = rest;
                // The last one that is not after the topic: if it is no prefix itself, no prefix is longer than what both
                // have in common.
                let topic_start = &topic.as_bytes()[..topic.len().min(longest)];
                let range = (Bound::Unbounded, Bound::Included(topic_start));
                let Some((prefix, serials)) = self.prefixes.range::<[u8], _>(range).next_back() else {
                    asking.next_topic();
                    continue;
                };
                let common = prefix.iter().zip(topic_start).take_while(|(one, other)| one == other).count();
                if asking.until != common + 1 {
                    (asking.until, asking.asked) = (common + 1, asking.floor);
                }
                if common < prefix.len() {
                    continue;
                }
                for serial in serials.range((Bound::Excluded(asking.asked), Bound::Unbounded)) {
                    if *serial > asking.ceiling {
                        break;
                    }
                    let Some(rest) = budget.checked_sub(1) else { return false };
                    *budget = rest;
                    asking.asked = *serial;
                    if self.templates.get(serial).is_some_and(|held| held.template.matches(topic)) {
                        asking.matched.push(*serial);
                    }
                }
                (asking.until, asking.asked) = (common, asking.floor);
            }
            if asking.ceiling == self.serial {
                return true;
            }
            asking.next_round(self.serial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;
    use proptest::prelude::*;

    const SELECTORS: [&str; 12] =
        ["*", "a", "b", "{x}", "a{x}", "{x}b", "c{+x}", "ab{x}", "aa{x,y:2}", "é{x}", "c/{x}", "a{+x}b"];
    const TOPICS: [&str; 10] = ["a", "b", "ab", "c", "c/d", "{x}", "aab", "é1", "è", "a/b"];

    struct Model {
        interest: Interest,
        groups: Vec<(Arc<Selectors>, u32)>,
        number: u32,
    }

    impl Model {
        fn come_or_go(&mut self, picks: &[usize]) {
            let texts = picks.iter().map(|pick| SELECTORS[pick % SELECTORS.len()]);
            let selectors: Arc<Selectors> = Arc::new(texts.map(|text| Selector::parse(text).unwrap()).collect());
            let held = self.groups.iter().position(|(held, _)| *held == selectors);
            assert_eq!(self.interest.number(&selectors), held.map(|at| self.groups[at].1));
            if let Some(at) = held {
                let (_, group) = self.groups.swap_remove(at);
                self.interest.remove(group, &selectors);
            } else {
                self.number += 1;
                self.interest.add(self.number, &selectors);
                self.groups.push((selectors, self.number));
            }
        }

        fn wanted(&self, topics: &[Arc<str>]) -> Vec<u32> {
            let wanting = self.groups.iter().filter(|(selectors, _)| selectors.match_any(topics));
            let mut wanted: Vec<u32> = wanting.map(|(_, group)| *group).collect();
            wanted.sort_unstable();
            wanted
        }
    }

    proptest! {
        /// Asking every group about every event is the oracle. Groups also come and go while templates are asked.
        #[test]
        fn it_gives_whoever_wants_an_event(
            steps in proptest::collection::vec(
                (any::<bool>(), proptest::collection::vec(0_usize..120, 1..4), 2_usize..9, 0_usize..3), 1..60),
        ) {
            let mut model = Model { interest: Interest::default(), groups: Vec::new(), number: 0 };
            for (comes_or_goes, picks, budget, meanwhile) in steps {
                if comes_or_goes {
                    model.come_or_go(&picks);
                    continue;
                }
                let topics: Vec<Arc<str>> = picks.iter().map(|pick| TOPICS[pick % TOPICS.len()].into()).collect();
                let mut found = Vec::new();
                let mut changes = meanwhile;
                while !model.interest.groups(&topics, &mut found, &mut { budget }) {
                    if changes > 0 {
                        changes -= 1;
                        model.come_or_go(&[picks[0] + changes, picks[0] / 3]);
                    }
                }
                prop_assert_eq!(found, model.wanted(&topics));
            }
            for (selectors, group) in std::mem::take(&mut model.groups) {
                model.interest.remove(group, &selectors);
            }
            let Interest { numbers, all, exact, templates, serials, prefixes, .. } = model.interest;
            prop_assert!(numbers.is_empty() && all.is_none() && exact.is_empty(), "nothing stays behind");
            prop_assert!(templates.is_empty() && serials.is_empty() && prefixes.is_empty(), "nothing stays behind");
        }
    }

    /// What is asked does not grow with the templates that can't match.
    #[test]
    fn only_templates_that_begin_like_the_topic_are_asked() {
        let mut interest = Interest::default();
        for group in 0..10_000 {
            let selector = Selector::parse(&format!("https://example.com/rooms/{group}/{{id}}")).unwrap();
            interest.add(group, &Arc::new([selector].into_iter().collect()));
        }
        let mut found = Vec::new();
        for (topic, expected) in [("rooms/77/1", &[77][..]), ("rooms/10000/1", &[]), ("users/77", &[]), ("", &[])] {
            let mut budget = 8;
            let topics = [format!("https://example.com/{topic}").into()];
            assert!(interest.groups(&topics, &mut found, &mut budget), "{topic}");
            assert_eq!(found, expected, "{topic}");
        }
    }
}
