//! Which topics a subscriber or a token is about.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use fanfare_log::{TopicSet, Topics};

use crate::topic::{InvalidTopic, Topic};
use crate::uri_template::UriTemplate;

/// Which topics: all of them, one, or those that a URI Template (RFC 6570) can expand to.
///
/// As text it is read as the protocol writes it, and a [`Topic`] is the selector of itself, however it is spelled. What
/// comes from a user belongs in a topic: a selector made of text that holds `{+any}` selects more than was meant.
///
/// ```
/// use fanfare_hub::{Selector, Topic};
///
/// let all: Selector = "*".parse()?;
/// let shelf: Selector = "books/{id}".parse()?;
/// let one = Selector::from(Topic::new("books/{id}")?);
/// assert_ne!(shelf, one);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    All,
    Exact(Topic),
    /// A template also selects the topic that is spelled as it is.
    Template(Topic, UriTemplate),
}

impl Selector {
    /// The selector `*`: every topic.
    #[must_use]
    pub const fn all() -> Self {
        Self(Kind::All)
    }

    /// The one `topic`, also if it is spelled like a template or `*`.
    pub(crate) const fn exact(topic: Topic) -> Self {
        Self(Kind::Exact(topic))
    }

    /// Reads a selector as the protocol writes it: `*`, a URI Template, or else a topic.
    /// A text that is no template is a topic.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidTopic> {
        if text == "*" {
            return Ok(Self::all());
        }
        let topic = Topic::new(text)?;
        Ok(match UriTemplate::new(text)? {
            Some(template) => Self(Kind::Template(topic, template)),
            None => Self::exact(topic),
        })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> Arc<str> {
        match &self.0 {
            Kind::All => "*".into(),
            Kind::Exact(topic) | Kind::Template(topic, _) => topic.shared().clone(),
        }
    }
}

impl From<Topic> for Selector {
    fn from(topic: Topic) -> Self {
        Self::exact(topic)
    }
}

impl FromStr for Selector {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Selector {
    type Error = InvalidTopic;

    fn try_from(text: &str) -> Result<Self, InvalidTopic> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Selector {
    type Error = InvalidTopic;

    fn try_from(text: String) -> Result<Self, InvalidTopic> {
        Self::parse(&text)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// Several selectors, of which any may match, sorted by what it costs to ask them. Equal if they select the same by the
/// same means, in whatever order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Selectors {
    all: bool,
    exact: TopicSet,
    templates: Box<[UriTemplate]>,
}

impl Selectors {
    /// The URI Templates among them: those cost memory, and time for each topic.
    pub(crate) fn templates(&self) -> &[UriTemplate] {
        &self.templates
    }

    /// Whether `*` is among them, and so nothing else matters.
    pub(crate) fn is_all(&self) -> bool {
        self.all
    }

    /// The topics that are selected by name.
    pub(crate) fn exact(&self) -> &TopicSet {
        &self.exact
    }

    /// Whether any of them selects any of `topics`.
    pub(crate) fn match_any(&self, topics: impl IntoIterator<Item: AsRef<str>>) -> bool {
        topics.into_iter().any(|topic| self.match_one(topic.as_ref()))
    }

    /// Whether any of them selects each of `topics`.
    pub(crate) fn match_all(&self, topics: &[Arc<str>]) -> bool {
        topics.iter().all(|topic| self.match_one(topic))
    }

    /// What the log needs to look at for them: with a template among them, everything.
    pub(crate) fn topics(&self) -> Topics<'_> {
        if self.all || !self.templates.is_empty() { Topics::All } else { Topics::Any(&self.exact) }
    }

    /// Appends what tells these from others: each text with its length. A template's text is among the exact ones.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.all));
        for count in [self.templates.len(), self.exact.len()] {
            out.extend_from_slice(&(count as u64).to_le_bytes());
        }
        for text in self.exact.iter() {
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn match_one(&self, topic: &str) -> bool {
        self.all || self.exact.contains(topic) || self.templates.iter().any(|template| template.matches(topic))
    }
}

impl FromIterator<Selector> for Selectors {
    fn from_iter<I: IntoIterator<Item = Selector>>(selectors: I) -> Self {
        let (mut all, mut exact, mut templates) = (false, Vec::new(), Vec::new());
        for selector in selectors {
            match selector.0 {
                Kind::All => all = true,
                Kind::Exact(topic) => exact.push(topic.shared().clone()),
                Kind::Template(topic, template) => {
                    exact.push(topic.shared().clone());
                    templates.push(template);
                }
            }
        }
        if all {
            return Self { all, ..Self::default() };
        }
        templates.sort_unstable();
        templates.dedup();
        Self { all, exact: exact.into_iter().collect(), templates: templates.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(selector: &str, topic: &str, expected: bool) {
        for beside in [None, Some(Selector::exact(Topic::new("other").unwrap()))] {
            let parsed = Selector::parse(selector).unwrap();
            let selectors: Selectors = beside.into_iter().chain([parsed]).collect();
            assert_eq!(selectors.match_any([topic]), expected, "{selector} {topic}");
        }
    }

    #[test]
    fn star_exact_and_template() {
        check("*", "anything", true);
        check("a", "a", true);
        check("a", "A", false);
        check("a", "a/", false);
        check("a/{x}", "a/1", true);
        check("a/{x}", "a/{x}", true);
        check("a/{x", "a/{x", true);
        check("a/{x", "a/1", false);
        check("a*", "ab", false);
    }

    #[test]
    fn an_exact_selector_is_no_pattern() {
        let star: Selectors = [Selector::exact(Topic::new("*").unwrap())].into_iter().collect();
        assert!(!star.match_any(["a"]));
        assert!(star.match_any(["*"]));
    }

    #[test]
    fn a_grant_must_cover_every_topic_and_a_subscription_any() {
        let selectors: Selectors = ["a", "b/{x}"].map(|text| Selector::parse(text).unwrap()).into_iter().collect();
        let topics = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect::<Vec<Arc<str>>>();
        assert!(selectors.match_any(topics(&["z", "b/1"])));
        assert!(!selectors.match_all(&topics(&["z", "b/1"])));
        assert!(selectors.match_all(&topics(&["a", "b/1"])));
        assert!(!Selectors::default().match_any(topics(&["a"])));
    }

    proptest! {
        /// Only exact and `*`: a list of strings is the oracle.
        #[test]
        fn any_text_selects_itself(text in "[^\\p{Cc}]{1,20}", other in "[^\\p{Cc}]{1,20}") {
            let selectors: Selectors = [Selector::parse(&text).unwrap()].into_iter().collect();
            prop_assert!(selectors.match_any([&text]));
            if !text.contains('{') && text != "*" {
                prop_assert_eq!(selectors.match_any([&other]), text == other);
            }
        }
    }
}
