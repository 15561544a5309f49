//! Topics whose events are all of one type.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::selector::Selector;
use crate::topic::{InvalidTopic, Topic};
use crate::update::{Update, UpdateType};

/// A topic, or a family of topics, whose events are all a `T`, as JSON.
///
/// It is written as a URI Template of variables alone (RFC 6570, level 1): `prices/{symbol}`. A variable is expanded as
/// the RFC says, all but letters, digits, `-`, `.`, `_` and `~` percent-encoded, so that no value reaches out of its
/// place, and different values give different topics. Two topics of an application should not overlap: nothing keeps
/// apart `prices/{symbol}` of one type and `prices/{day}` of another.
///
/// ```
/// use fanfare_hub::{Hub, TypedTopic};
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Price {
///     cents: u64,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let prices = TypedTopic::<Price>::new("prices/{symbol}")?.with_type("price".try_into()?);
/// let hub = Hub::builder().build().await?;
/// hub.publish(prices.update(&[("symbol", "A/B")], &Price { cents: 1200 })?).await?;
/// assert_eq!(prices.topic(&[("symbol", "A/B")])?.as_str(), "prices/A%2FB");
/// assert_eq!(prices.selector().to_string(), "prices/{symbol}"); // for a subscription or a grant
/// # Ok(())
/// # }
/// ```
pub struct TypedTopic<T: ?Sized> {
    pieces: Box<[Piece]>,
    selector: Selector,
    event_type: Option<UpdateType>,
    values: PhantomData<fn(&T)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Variable(Box<str>),
}

/// What RFC 3986, section 2.3, calls unreserved stands for itself.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl<T: ?Sized> TypedTopic<T> {
    /// Reads `template`. Without variables it is one topic.
    ///
    /// # Errors
    ///
    /// [`InvalidTypedTopic`] if it has other expressions than `{name}`, a name twice, two variables with nothing
    /// between them that ends the first, or if no topic can be so.
    pub fn new(template: &str) -> Result<Self, InvalidTypedTopic> {
        let pieces = parse(template)?;
        let selector = match pieces.iter().any(|piece| matches!(piece, Piece::Variable(_))) {
            true => Selector::parse(template)?,
            false => Selector::exact(Topic::new(template)?),
        };
        Ok(Self { pieces, selector, event_type: None, values: PhantomData })
    }

    /// Gives its events this type: a browser hears those with `addEventListener`, and the others with `onmessage`.
    #[must_use]
    pub fn with_type(self, event_type: UpdateType) -> Self {
        Self { event_type: Some(event_type), ..self }
    }

    /// The topic where the variables have these values: each of the template's once, and no others.
    ///
    /// # Errors
    ///
    /// [`InvalidTypedTopic`] names the variable that is missing, unknown or empty, or says that the topic is too long.
    pub fn topic(&self, variables: &[(&str, &str)]) -> Result<Topic, InvalidTypedTopic> {
        let name_of = |name: &str| InvalidTypedTopic::Variable(name.to_owned());
        let mut text = String::new();
        let mut used = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Variable(name) => {
                    let (_, value) =
                        variables.iter().find(|(given, _)| *given == &**name).ok_or_else(|| name_of(name))?;
                    // Of nobody would be of a topic that is as good as any other, and grants would meet there.
                    if value.is_empty() {
                        return Err(InvalidTypedTopic::Empty(name.to_string()));
                    }
                    text.extend(utf8_percent_encode(value, &ENCODED));
                    used += 1;
                }
            }
        }
        if used < variables.len() {
            let is_unknown = |given: &str| {
                !self.pieces.iter().any(|piece| matches!(piece, Piece::Variable(name) if **name == *given))
            };
            let unknown = variables.iter().map(|(given, _)| *given).find(|given| is_unknown(given));
            return Err(name_of(unknown.or_else(|| variables.first().map(|(given, _)| *given)).unwrap_or_default()));
        }
        Ok(Topic::new(&text)?)
    }

    /// All of its topics: what a subscription asks for, or a grant allows. For one of them, make a selector of the
    /// [`topic`](Self::topic).
    #[must_use]
    pub fn selector(&self) -> Selector {
        self.selector.clone()
    }
}

impl<T: Serialize + ?Sized> TypedTopic<T> {
    /// A public update with `value` on the [`topic`](Self::topic) of these variables, for
    /// [`Hub::publish`](crate::Hub::publish).
    ///
    /// # Errors
    ///
    /// As `topic`, and [`InvalidTypedTopic::Json`].
    pub fn update(&self, variables: &[(&str, &str)], value: &T) -> Result<Update, InvalidTypedTopic> {
        let topic = self.topic(variables)?;
        let json = serde_json::to_string(value).map_err(|error| InvalidTypedTopic::Json(error.into()))?;
        let update = Update::new(topic, json);
        Ok(match &self.event_type {
            Some(event_type) => update.with_type(event_type.clone()),
            None => update,
        })
    }
}

fn parse(template: &str) -> Result<Box<[Piece]>, InvalidTypedTopic> {
    let expression = || InvalidTypedTopic::Expression(template.to_owned());
    let (mut pieces, mut names, mut rest) = (Vec::new(), HashSet::new(), template);
    loop {
        let (literal, tail) = rest.split_once('{').map_or((rest, None), |(literal, tail)| (literal, Some(tail)));
        if literal.contains('}') {
            return Err(expression());
        }
        let Some(tail) = tail else {
            pieces.push(Piece::Literal(literal.into()));
            return Ok(pieces.into());
        };
        if !names.is_empty() && !literal.chars().any(ends_a_value) {
            return Err(InvalidTypedTopic::Ambiguous(template.to_owned()));
        }
        let (name, tail) = tail.split_once('}').ok_or_else(expression)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name) || !names.insert(name) {
            return Err(expression());
        }
        pieces.extend([Piece::Literal(literal.into()), Piece::Variable(name.into())]);
        rest = tail;
    }
}

/// Whether no expansion can have it. In `{a}-{b}` the values `x-y` and `z` would else be the topic of `x` and `y-z`.
fn ends_a_value(character: char) -> bool {
    !character.is_ascii_alphanumeric() && !"-._~%".contains(character)
}

impl<T: ?Sized> Clone for TypedTopic<T> {
    fn clone(&self) -> Self {
        let Self { pieces, selector, event_type, values } = self;
        Self { pieces: pieces.clone(), selector: selector.clone(), event_type: event_type.clone(), values: *values }
    }
}

impl<T: ?Sized> fmt::Debug for TypedTopic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedTopic")
            .field("template", &self.selector.to_string())
            .field("event_type", &self.event_type)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a typed topic, or with what was to be published on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTypedTopic {
    /// The template is not of this kind.
    #[error(
        "`{0}` must be text and variables such as `{{name}}`, each with a name of its own of letters, digits and `_`"
    )]
    Expression(String),
    /// Where a value ends could not be told.
    #[error("in `{0}` the values of two variables run into each other: put a `/` between them")]
    Ambiguous(String),
    /// A variable is missing, there is none of that name, or it is given twice.
    #[error("the variable `{0}` has to be there once, with a name of the template's")]
    Variable(String),
    /// A variable is empty.
    #[error("the variable `{0}` is empty")]
    Empty(String),
    /// It makes no topic.
    #[error(transparent)]
    Topic(#[from] InvalidTopic),
    /// The value can't be JSON: a map with keys that are no text, say.
    #[error("the value can't be written as JSON")]
    Json(#[source] Box<dyn Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selectors;
    use proptest::prelude::*;

    fn topic(template: &str) -> TypedTopic<u32> {
        TypedTopic::new(template).unwrap()
    }

    #[test]
    fn values_are_expanded_as_the_rfc_says_and_stay_in_their_place() {
        let check = |template: &str, variables: &[(&str, &str)], expected: &str| {
            assert_eq!(topic(template).topic(variables).unwrap().as_str(), expected);
        };
        check("status", &[], "status");
        check("prices/{symbol}", &[("symbol", "ACME")], "prices/ACME");
        check("prices/{symbol}", &[("symbol", "a/../b")], "prices/a%2F..%2Fb");
        check("prices/{symbol}", &[("symbol", "{x}%2F*,é-._~")], "prices/%7Bx%7D%252F%2A%2C%C3%A9-._~");
        check("{a}/x/{b_2}", &[("b_2", "2"), ("a", "1")], "1/x/2");
        check("é/{a}", &[("a", "\n")], "é/%0A");
    }

    fn check_refused(template: &str, expected: &str) {
        let error = TypedTopic::<u32>::new(template).map(drop).unwrap_err();
        assert!(error.to_string().contains(expected), "{template}: {error}");
    }

    #[test]
    fn templates_are_of_simple_variables_that_do_not_run_into_each_other() {
        for template in ["{", "}", "a}", "{}", "{a", "{+a}", "{a*}", "{a,b}", "{a:3}", "{a b}", "{a}/{a}", "{a}}"] {
            check_refused(template, "must be text and variables");
        }
        for template in ["{a}{b}", "{a}-{b}", "{a}.x{b}", "{a}%2F{b}"] {
            check_refused(template, "run into each other");
        }
        check_refused("", "must not be empty");
        check_refused("a\n{b}", "control");
    }

    #[test]
    fn each_variable_is_given_once() {
        for (variables, expected) in [
            (&[][..], "`a`"),
            (&[("b", "1")], "`a`"),
            (&[("a", "1"), ("b", "1")], "`b`"),
            (&[("a", "1"), ("a", "2")], "`a`"),
            (&[("a", "")], "`a` is empty"),
        ] {
            let error = topic("x/{a}").topic(variables).unwrap_err();
            assert!(error.to_string().contains(expected), "{variables:?}: {error}");
        }
        let long = "x".repeat(4096);
        assert!(matches!(topic("x/{a}").topic(&[("a", &long)]), Err(InvalidTypedTopic::Topic(InvalidTopic::TooLong))));
    }

    #[test]
    fn an_update_is_the_value_as_json_with_the_type() {
        let prices = topic("prices/{symbol}").with_type("price".try_into().unwrap());
        let update = prices.update(&[("symbol", "A")], &7).unwrap();
        let expected = Update::new(Topic::new("prices/A").unwrap(), "7").with_type("price".try_into().unwrap());
        assert_eq!(update, expected);
    }

    proptest! {
        #[test]
        fn every_topic_is_selected_and_is_that_of_no_other_values(
            template in prop_oneof!["[a/é,.-]{0,3}\\{x\\}[a/é,.-]{0,2}/[a.-]{0,2}\\{y\\}[a/é,.-]{0,2}"],
            one in ("\\PC{1,5}|[a./%-]{1,5}", "[a./%-]{1,4}"),
            other in ("[a./%-]{1,5}", "[a./%-]{1,4}"),
        ) {
            let typed = topic(&template);
            let of = |(x, y): &(String, String)| typed.topic(&[("x", x), ("y", y)]).unwrap();
            let selectors: Selectors = [typed.selector()].into_iter().collect();
            prop_assert!(selectors.match_any([of(&one).as_str()]));
            prop_assert_eq!(of(&one) == of(&other), one == other);
        }
    }
}
