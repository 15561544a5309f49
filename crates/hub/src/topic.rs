//! What an update is about.

use std::fmt;
use std::sync::Arc;

use crate::limits::TOPIC_BYTES_MAX;

/// A topic: by convention an IRI, in fact any text without control characters, of 1 to 4096 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Makes a topic of `text`.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, InvalidTopic> {
        if text.is_empty() {
            return Err(InvalidTopic::Empty);
        }
        if text.len() > TOPIC_BYTES_MAX {
            return Err(InvalidTopic::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidTopic::Control);
        }
        Ok(Self(text.into()))
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic as the log holds it.
    #[must_use]
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// Whether it is in the namespace in which the hub alone publishes, however it is spelled: percent-encoded, with
    /// dot segments, repeated slashes or other letter case. A forged subscription event would be believed.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        let text = decode_all(&self.0);
        let mut segments: Vec<&str> = Vec::new();
        for segment in text.split(['/', '\\']) {
            // What reads a topic as a URL cuts off spaces around it.
            match segment.trim() {
                "" | "." => {}
                ".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        segments.windows(2).any(|pair| {
            let second = pair[1].split(['?', '#']).next().unwrap_or_default();
            let second = second.trim_end();
            pair[0].eq_ignore_ascii_case(".well-known") && second.eq_ignore_ascii_case("mercure")
        })
    }
}

/// Percent-decodes as often as there is something to decode, in one pass: what a decoded byte completes is decoded too.
fn decode_all(text: &str) -> String {
    let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        out.push(byte);
        while let [.., b'%', high, low] = out[..]
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            out.truncate(out.len() - 3);
            out.push(high << 4 | low);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a text that was to be a topic or a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTopic {
    /// It is empty.
    #[error("a topic must not be empty")]
    Empty,
    /// It is longer than 4096 bytes.
    #[error("a topic has at most {TOPIC_BYTES_MAX} bytes")]
    TooLong,
    /// It holds a control character.
    #[error("a topic must not hold control characters")]
    Control,
    /// As a URI Template it would take too much memory to match.
    #[error("this URI Template is too complex to match: use fewer or shorter variables")]
    TooComplex,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_control_characters_is_a_topic() {
        for text in ["a", "https://example.com/books/1", "日本", "with space", "*", "{", &"x".repeat(4096)] {
            assert_eq!(Topic::new(text).unwrap().as_str(), text);
        }
        assert_eq!(Topic::new(""), Err(InvalidTopic::Empty));
        assert_eq!(Topic::new(&"x".repeat(4097)), Err(InvalidTopic::TooLong));
        for text in ["a\nb", "\0", "a\u{7f}", "a\u{85}", "\t"] {
            assert_eq!(Topic::new(text), Err(InvalidTopic::Control), "{text:?}");
        }
    }

    fn check_reserved(text: &str, expected: bool) {
        assert_eq!(Topic::new(text).unwrap().is_reserved(), expected, "{text:?}");
    }

    #[test]
    fn the_reserved_namespace_is_known_in_every_spelling() {
        for text in [
            "/.well-known/mercure",
            "/.well-known/mercure/subscriptions/x/y",
            "https://example.com/.well-known/mercure",
            "https://example.com/.well-known/mercure?x",
            "/%2ewell-known/mercure",
            "/.well-known%2Fmercure",
            "/%252ewell-known/mercure",
            "/%25%32%65well-known/mercure",
            "/%2%352ewell-known/mercure",
            "/.well-known/./mercure",
            "/.well-known/x/../mercure",
            "/.well-known//mercure/",
            "/.Well-Known/MERCURE",
            "\\.well-known\\mercure",
            "/.well-known/mercure ",
            " /.well-known/mercure",
            "/.well-known/mercure%20",
        ] {
            check_reserved(text, true);
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for text in ["/.well-known/mercures", "/well-known/mercure", "mercure", "/.well-known/x/mercure", "%", "%zz"] {
            check_reserved(text, false);
        }
    }
}
