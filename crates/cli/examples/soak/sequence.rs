//! What one subscriber must get: of each topic every event, once and in order.

use std::collections::HashMap;

use anyhow::{Context, ensure};

/// Events of each topic are numbered from 0 by its one publisher. The data of one is `TOPIC NUMBER PADDING`.
pub(crate) fn data(topic: usize, number: u64, padding_bytes: usize) -> String {
    format!("{topic} {number} {}", "x".repeat(padding_bytes))
}

/// The numbers that a subscriber may get next, over all the connections that it resumes.
#[derive(Debug, Default)]
pub(crate) struct Sequences(HashMap<usize, Next>);

#[derive(Debug, Clone, Copy)]
struct Next {
    least: u64,
    most: u64,
}

impl Sequences {
    /// Begins with a topic of which the next event is between these, the ends included.
    pub(crate) fn begin(&mut self, topic: usize, least: u64, most: u64) {
        self.0.insert(topic, Next { least, most });
    }

    /// Takes an event as it was received.
    pub(crate) fn take(&mut self, data: &str) -> anyhow::Result<()> {
        let mut parts = data.splitn(3, ' ');
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        let (topic, number): (Option<u64>, Option<u64>) = (number(), number());
        let (topic, number) = (topic.context("no event of ours")? as usize, number.context("no event of ours")?);
        let next = self.0.get_mut(&topic).with_context(|| format!("topic {topic} was not asked for"))?;
        let Next { least, most } = *next;
        ensure!(number >= least, "event {number} of topic {topic} came again, or late: {least} is next");
        ensure!(number <= most, "event {most} of topic {topic} is missing: {number} came");
        *next = Next { least: number + 1, most: number + 1 };
        Ok(())
    }

    /// Some are missing, and that was told: the next of each topic may be any later one.
    pub(crate) fn gap(&mut self) {
        self.0.values_mut().for_each(|next| next.most = u64::MAX);
    }

    /// Whether it has all of the first `published` events of each of its topics, as far as it can know.
    pub(crate) fn has_all(&self, published: impl Fn(usize) -> u64) -> bool {
        self.0.iter().all(|(topic, next)| next.least >= published(*topic))
    }

    /// What is still missing, for people.
    pub(crate) fn missing(&self, published: impl Fn(usize) -> u64) -> Vec<String> {
        let missing = self.0.iter().filter(|(topic, next)| next.least < published(**topic));
        missing.map(|(topic, next)| format!("{} to {} of topic {topic}", next.least, published(*topic))).collect()
    }
}
