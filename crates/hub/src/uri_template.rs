//! URI Templates (RFC 6570) read backwards: which strings can a template expand to?

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use regex_lite::{Regex, RegexBuilder};

use crate::limits::TEMPLATE_PROGRAM_BYTES_MAX;
use crate::topic::InvalidTopic;

/// A matcher for the expansions of a URI Template. Its time is linear in the topic, whatever the template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UriTemplate {
    /// What stands before the first expression: every expansion begins with it.
    prefix: Box<str>,
    rest: Rest,
}

/// What follows the prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Rest {
    One(Box<One>),
    Any(Pattern),
}

impl UriTemplate {
    /// Compiles `text`, or gives `None` if it is no template: nothing in braces, or not as RFC 6570 has it.
    pub(crate) fn new(text: &str) -> Result<Option<Self>, InvalidTopic> {
        let prefix = text.split_once('{').map_or(text, |(prefix, _)| prefix).into();
        let rest = match One::parse(text) {
            Some(one) => Rest::One(Box::new(one)),
            None => match pattern(text) {
                Some(pattern) => Rest::Any(Pattern::compile(&pattern)?),
                None => return Ok(None),
            },
        };
        Ok(Some(Self { prefix, rest }))
    }

    /// What every topic that it matches begins with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        match &self.rest {
            Rest::One(one) => topic.strip_prefix(&*self.prefix).is_some_and(|rest| one.matches(rest)),
            Rest::Any(pattern) => pattern.0.is_match(topic),
        }
    }
}

/// One variable and what stands after it, as in `users/42/{+any}` and `books/{id}/reviews`: nearly all templates are
/// such. Since the text around the value is fixed, the value is what lies between, and no regular expression is needed:
/// a twentieth of the memory, which counts where each user's token has a template of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct One {
    /// What the value begins with, if there is one.
    first: &'static str,
    reserved: bool,
    suffix: Box<str>,
}

impl One {
    fn parse(text: &str) -> Option<Self> {
        let (prefix, rest) = text.split_once('{')?;
        let (expression, suffix) = rest.split_once('}')?;
        if prefix.contains('}') || suffix.contains(['{', '}']) {
            return None;
        }
        let Expression { operator, variables } = Expression::parse(expression)?;
        let [Variable { prefix: None, explode: false, .. }] = variables[..] else { return None };
        let Operator { first, reserved, named, .. } = operator;
        (!named).then(|| Self { first, reserved, suffix: suffix.into() })
    }

    fn matches(&self, rest: &str) -> bool {
        let Some(value) = rest.strip_suffix(&*self.suffix) else { return false };
        value.is_empty() || value.strip_prefix(self.first).is_some_and(|value| self.is_value(value.as_bytes()))
    }

    /// Whether these are characters as [`Operator::character`] has them.
    fn is_value(&self, mut bytes: &[u8]) -> bool {
        while let Some((byte, rest)) = bytes.split_first() {
            bytes = match (byte, rest) {
                (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
                (b'-' | b'.' | b'_' | b'~' | b',', _) => rest,
                (byte, _) if byte.is_ascii_alphanumeric() || (self.reserved && RESERVED.contains(byte)) => rest,
                _ => return false,
            };
        }
        true
    }
}

/// RFC 3986, section 2.2.
const RESERVED: &[u8] = b":/?#[]@!$&'()*+,;=";

/// The regular expression for a template, which says all there is to say of it.
#[derive(Debug, Clone)]
struct Pattern(Regex);

impl Pattern {
    fn compile(pattern: &str) -> Result<Self, InvalidTopic> {
        let compiled = RegexBuilder::new(pattern).size_limit(TEMPLATE_PROGRAM_BYTES_MAX).build();
        compiled.map(Self).map_err(|_| InvalidTopic::TooComplex)
    }

    fn text(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text().cmp(other.text())
    }
}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

/// The regular expression for the whole template. `None` if it is none.
fn pattern(text: &str) -> Option<String> {
    let mut pattern = String::from("^");
    let mut rest = text;
    let mut has_expressions = false;
    while let Some((literal, after)) = rest.split_once('{') {
        let (expression, after) = after.split_once('}')?;
        if literal.contains('}') {
            return None;
        }
        pattern.push_str(&regex_lite::escape(literal));
        Expression::parse(expression)?.write_pattern(&mut pattern);
        has_expressions = true;
        rest = after;
    }
    if rest.contains('}') || !has_expressions {
        return None;
    }
    pattern.push_str(&regex_lite::escape(rest));
    pattern.push('$');
    Some(pattern)
}

/// What stands between braces: an operator and variables (section 2.2).
struct Expression<'a> {
    operator: Operator,
    variables: Vec<Variable<'a>>,
}

struct Variable<'a> {
    name: &'a str,
    /// `{name:3}`: at most so many characters of the value (section 2.4.1).
    prefix: Option<u16>,
    /// `{name*}`: each member of a list on its own (section 2.4.2).
    explode: bool,
}

/// The table of appendix A.
struct Operator {
    first: &'static str,
    separator: &'static str,
    named: bool,
    /// Whether reserved characters stand for themselves in values.
    reserved: bool,
}

impl Operator {
    /// The operator that `expression` begins with, and the rest. Those that the RFC keeps for the future are none.
    fn parse(expression: &str) -> Option<(Self, &str)> {
        let operator = |first, separator, named, reserved| Self { first, separator, named, reserved };
        let known = match expression.chars().next()? {
            '+' => operator("", ",", false, true),
            '#' => operator("#", ",", false, true),
            '.' => operator(".", ".", false, false),
            '/' => operator("/", "/", false, false),
            ';' => operator(";", ";", true, false),
            '?' => operator("?", "&", true, false),
            '&' => operator("&", "&", true, false),
            '=' | ',' | '!' | '@' | '|' => return None,
            _ => return Some((operator("", ",", false, false), expression)),
        };
        Some((known, &expression[1..]))
    }

    /// One character of a value: unreserved, percent-encoded, or the comma between the members of a list.
    fn character(&self, explode: bool) -> &'static str {
        match (self.reserved, explode) {
            (true, _) => r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})",
            // The members of an exploded map are `key=value`.
            (false, true) => r"(?:[A-Za-z0-9\-._~,=]|%[0-9A-Fa-f]{2})",
            (false, false) => r"(?:[A-Za-z0-9\-._~,]|%[0-9A-Fa-f]{2})",
        }
    }
}

impl<'a> Expression<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (operator, list) = Operator::parse(text)?;
        let variables = list.split(',').map(Variable::parse).collect::<Option<_>>()?;
        Some(Self { operator, variables })
    }

    /// Any of the variables may be undefined, and then it and its separator are left out (section 3.2.1).
    fn write_pattern(&self, pattern: &mut String) {
        let Operator { first, separator, .. } = self.operator;
        let any: Vec<String> = self.variables.iter().map(|variable| variable.pattern(&self.operator)).collect();
        let any = any.join("|");
        let more = if self.variables.iter().any(|variable| variable.explode) {
            "*".to_owned()
        } else {
            format!("{{0,{}}}", self.variables.len() - 1)
        };
        let (first, separator) = (regex_lite::escape(first), regex_lite::escape(separator));
        // Writing to a string can't fail.
        let _ = write!(pattern, "(?:{first}(?:{any})(?:{separator}(?:{any})){more})?");
    }
}

impl<'a> Variable<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, prefix, explode) = match (text.split_once(':'), text.strip_suffix('*')) {
            (Some((name, length)), _) => {
                let canonical =
                    !length.starts_with('0') && length.len() <= 4 && length.bytes().all(|b| b.is_ascii_digit());
                (name, Some(length.parse().ok().filter(|_| canonical)?), false)
            }
            (None, Some(name)) => (name, None, true),
            (None, None) => (text, None, false),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'%' | b'.');
        (!name.is_empty() && name.bytes().all(is_name)).then_some(Self { name, prefix, explode })
    }

    /// What the variable expands to, with its name if the operator writes names.
    fn pattern(&self, operator: &Operator) -> String {
        let character = operator.character(self.explode);
        let value = match self.prefix {
            Some(length) => format!("{character}{{0,{length}}}"),
            None => format!("{character}*"),
        };
        match (operator.named, self.explode) {
            (true, false) => format!("{}(?:={value})?", regex_lite::escape(self.name)),
            _ => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The regular expression is the oracle.
        #[test]
        fn one_variable_matches_as_its_regular_expression_does(
            prefix in "[a%.*/,é]{0,3}",
            expression in prop_oneof!["[+#./]?[a-z]{1,2}", "[;?&][a-z]", "[a-z][*]", "[+/][a-z]:2", "[a-z],[a-z]"],
            suffix in "[a%.*/,é]{0,3}",
            middle in prop_oneof!["[#./+]?[a-zA-Z0-9._~,-]{0,4}", "([a#./,!é \\[\\]]|%[0-9a-fA-Fg]{1,2}){0,5}", "\\PC{0,4}"],
            around in prop_oneof![4 => Just(None), 1 => "[a%.*/,é]{0,5}".prop_map(Some)],
        ) {
            let text = format!("{prefix}{{{expression}}}{suffix}");
            let oracle = Pattern::compile(&pattern(&text).unwrap()).unwrap();
            let template = UriTemplate::new(&text).unwrap().unwrap();
            let topics = [
                around.unwrap_or_else(|| format!("{prefix}{middle}{suffix}")),
                format!("{prefix}{middle}"),
                format!("{middle}{suffix}"),
                format!("{prefix}{suffix}"),
            ];
            for topic in topics {
                prop_assert_eq!(template.matches(&topic), oracle.0.is_match(&topic), "{} {}", &text, topic);
                prop_assert!(!template.matches(&topic) || topic.starts_with(template.prefix()));
            }
        }
    }

    #[test]
    fn templates_that_match_the_same_by_the_same_means_are_equal() {
        let template = |text| UriTemplate::new(text).unwrap().unwrap();
        assert_eq!(template("a/{x}"), template("a/{y}"));
        assert_eq!(template("a/{x,y}"), template("a/{z,w}"));
        for other in ["a/{+x}", "b/{x}", "a/{x}/", "a/{x,y}", "a{/x}"] {
            assert_ne!(template("a/{x}"), template(other));
        }
    }

    #[test]
    fn nearly_all_templates_need_no_regular_expression() {
        for text in ["users/42/{+any}", "books/{id}", "books/{id}/reviews", "x{/y}", "{x}", "a{.b}c", "x{#y}"] {
            let template = UriTemplate::new(text).unwrap().unwrap();
            assert!(matches!(template.rest, Rest::One(_)), "{text}");
        }
    }

    fn check(template: &str, matching: &[&str], others: &[&str]) {
        let compiled = UriTemplate::new(template).unwrap().unwrap();
        for topic in matching {
            assert!(compiled.matches(topic), "{template} expands to {topic}");
        }
        for topic in others {
            assert!(!compiled.matches(topic), "{template} does not expand to {topic}");
        }
    }

    #[test]
    fn level_1_simple_strings() {
        let template = "https://example.com/books/{id}";
        check(
            template,
            &["https://example.com/books/1", "https://example.com/books/"],
            &["https://example.com/books/1/2"],
        );
        check(
            template,
            &["https://example.com/books/a%20b"],
            &["https://example.com/books/a b", "xhttps://example.com/books/1"],
        );
        check("{a}.{b}", &["x.y", "."], &["x/y", ""]);
    }

    #[test]
    fn level_2_reserved_characters_and_fragments() {
        check("/x/{+path}", &["/x/a/b?c", "/x/"], &["/y", "/x/a b"]);
        check("/x{#f}", &["/x", "/x#a/b"], &["/x/a"]);
    }

    #[test]
    fn level_3_more_variables_and_operators() {
        check("/m{/a,b}", &["/m", "/m/1", "/m/1/2"], &["/m/1/2/3", "/m1"]);
        check("x{.a,b}", &["x", "x.1", "x.1.2"], &["x1"]);
        check("x{;a,b}", &["x", "x;a=1;b=2", "x;a"], &["x;c=1", "xa=1"]);
        check("x{?a,b}", &["x", "x?a=1", "x?b=2", "x?a=1&b=2"], &["x?c=1", "x&a=1"]);
        check("x?y=1{&a}", &["x?y=1", "x?y=1&a=2"], &["x?y=1?a=2"]);
        check("{a,b}", &["1,2", "1", ""], &["1/2"]);
    }

    #[test]
    fn level_4_prefixes_and_lists() {
        check("/{a:3}", &["/", "/abc"], &["/abcd"]);
        check("{/a*}", &["", "/1/2/3/4"], &["1"]);
        check("x{?a*}", &["x?k=v&l=w", "x"], &["x/k"]);
    }

    #[test]
    fn non_ascii_literals_stand_for_themselves() {
        check("é/{x}", &["é/1"], &["e/1", "é/é"]);
    }

    #[test]
    fn what_is_no_template_is_none() {
        for text in [
            "plain",
            "*",
            "{",
            "}",
            "{}",
            "a{b",
            "a}b{c}",
            "{a}}",
            "{a b}",
            "{a:0}",
            "{a:99999}",
            "{=a}",
            "{a,}",
            "{+}",
            "{*}",
        ] {
            assert!(UriTemplate::new(text).unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn the_matchers_memory_is_bounded() {
        let many = (0..40).map(|n| format!("{{v{n}:9999}}")).collect::<String>();
        for large in [many.as_str(), "{x:9999}", "{x:300}"] {
            assert_eq!(UriTemplate::new(large).unwrap_err(), InvalidTopic::TooComplex, "{large}");
        }
    }
}
