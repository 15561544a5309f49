//! Which topics a subscriber or a token is about.

use std::sync::Arc;

use fanfare_log::{TopicSet, Topics};

use crate::topic::{InvalidTopic, Topic};
use crate::uri_template::UriTemplate;

/// Which topics: all of them, one, or those that a URI Template can expand to.
///
/// ```
/// use fanfare_hub::{Selector, Topic};
///
/// let selector = Selector::parse("https://example.com/books/{id}")?;
/// assert!(selector.matches(&Topic::new("https://example.com/books/1")?));
/// assert!(!selector.matches(&Topic::new("https://example.com/authors/1")?));
/// # Ok::<(), fanfare_hub::InvalidTopic>(())
/// ```
#[derive(Debug, Clone)]
pub struct Selector(Kind);

#[derive(Debug, Clone)]
enum Kind {
    All,
    Exact(Topic),
    /// A template also selects the topic that is spelled as it is.
    Template(Topic, UriTemplate),
}

impl Selector {
    /// The selector `*`.
    #[must_use]
    pub const fn all() -> Self {
        Self(Kind::All)
    }

    /// The one `topic`, also if it is spelled like a template or `*`.
    #[must_use]
    pub const fn exact(topic: Topic) -> Self {
        Self(Kind::Exact(topic))
    }

    /// Reads a selector as the protocol writes it: `*`, a URI Template, or else a topic.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] says what is wrong with it. A text that is no template is no error: it is a topic.
    pub fn parse(text: &str) -> Result<Self, InvalidTopic> {
        if text == "*" {
            return Ok(Self::all());
        }
        let topic = Topic::new(text)?;
        Ok(match UriTemplate::new(text)? {
            Some(template) => Self(Kind::Template(topic, template)),
            None => Self::exact(topic),
        })
    }

    /// Whether it selects `topic`.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Exact(exact) => exact == topic,
            Kind::Template(exact, template) => exact == topic || template.matches(topic.as_str()),
        }
    }
}

/// Several selectors, of which any may match, sorted by what it costs to ask them.
#[derive(Debug, Clone, Default)]
pub struct Selectors {
    all: bool,
    exact: TopicSet,
    templates: Box<[UriTemplate]>,
}

impl Selectors {
    /// Whether any of them selects any of `topics`.
    #[must_use]
    pub fn match_any(&self, topics: &[Arc<str>]) -> bool {
        topics.iter().any(|topic| self.match_one(topic))
    }

    /// Whether any of them selects each of `topics`.
    #[must_use]
    pub fn match_all(&self, topics: &[Arc<str>]) -> bool {
        topics.iter().all(|topic| self.match_one(topic))
    }

    /// What the log needs to look at for them: with a template among them, everything.
    #[must_use]
    pub fn topics(&self) -> Topics<'_> {
        if self.all || !self.templates.is_empty() { Topics::All } else { Topics::Any(&self.exact) }
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
        Self { all, exact: exact.into_iter().collect(), templates: templates.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(selector: &str, topic: &str, expected: bool) {
        let parsed = Selector::parse(selector).unwrap();
        let topic = Topic::new(topic).unwrap();
        assert_eq!(parsed.matches(&topic), expected, "{selector} {topic}");
        let several: Selectors = [Selector::exact(Topic::new("other").unwrap()), parsed].into_iter().collect();
        assert_eq!(several.match_any(&[topic.shared().clone()]), expected, "{selector} {topic}");
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
        let star = Selector::exact(Topic::new("*").unwrap());
        assert!(!star.matches(&Topic::new("a").unwrap()));
        assert!(star.matches(&Topic::new("*").unwrap()));
    }

    #[test]
    fn a_grant_must_cover_every_topic_and_a_subscription_any() {
        let selectors: Selectors = ["a", "b/{x}"].map(|text| Selector::parse(text).unwrap()).into_iter().collect();
        let topics = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect::<Vec<Arc<str>>>();
        assert!(selectors.match_any(&topics(&["z", "b/1"])));
        assert!(!selectors.match_all(&topics(&["z", "b/1"])));
        assert!(selectors.match_all(&topics(&["a", "b/1"])));
        assert!(!Selectors::default().match_any(&topics(&["a"])));
    }

    proptest! {
        /// Only exact and `*`: a list of strings is the oracle.
        #[test]
        fn any_text_selects_itself(text in "[^\\p{Cc}]{1,20}", other in "[^\\p{Cc}]{1,20}") {
            let selector = Selector::parse(&text).unwrap();
            prop_assert!(selector.matches(&Topic::new(&text).unwrap()));
            if !text.contains('{') && text != "*" {
                prop_assert_eq!(selector.matches(&Topic::new(&other).unwrap()), text == other);
            }
        }
    }
}
