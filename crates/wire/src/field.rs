//! The two fields whose values are one line: an event's id and its type.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// An event's id: any text without CR, LF or NUL.
///
/// A line break would end the field and let the rest of the value speak as fields of its own (the injection that
/// nearly every server library has had to patch), and a parser ignores an id that holds NUL (P7). The empty id is
/// allowed: it resets the client's last event id (S11). An id comes back in a request header: longer than some KiB, a
/// server may refuse it.
///
/// ```
/// use fanfare_wire::EventId;
///
/// assert_eq!(EventId::new("42")?.as_str(), "42");
/// assert!(EventId::new("42\ndata: forged").is_err());
/// # Ok::<(), fanfare_wire::InvalidField>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Box<str>);

/// An event's type: text without CR, LF or NUL, not empty.
///
/// An empty type would arrive as `message` (P5), so there is none: leave the type out instead.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(Box<str>);

impl EventId {
    /// Makes an id of `text`.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if `text` holds CR, LF or NUL.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidField> {
        one_line(text.into()).map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EventType {
    /// Makes a type of `text`.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if `text` is empty or holds CR, LF or NUL.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidField> {
        let text = one_line(text.into())?;
        if text.is_empty() {
            return Err(InvalidField { error: FieldError::Empty });
        }
        Ok(Self(text))
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn one_line(text: String) -> Result<Box<str>, InvalidField> {
    match text.bytes().position(|byte| matches!(byte, b'\r' | b'\n' | b'\0')) {
        Some(at) => Err(InvalidField { error: FieldError::Control { at } }),
        None => Ok(text.into_boxed_str()),
    }
}

/// A text that can't be an id or a type, from [`EventId::new`] and [`EventType::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    error: FieldError,
}

impl InvalidField {
    /// What is wrong with the text.
    #[must_use]
    pub fn error(&self) -> &FieldError {
        &self.error
    }
}

/// What is wrong with a text that was to be an id or a type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldError {
    /// It is empty, and only an id may be.
    Empty,
    /// It holds CR, LF or NUL, first at this byte.
    Control {
        /// Counted from the start of the text, in bytes.
        at: usize,
    },
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error {
            FieldError::Empty => write!(f, "is empty: leave it out instead"),
            FieldError::Control { at } => write!(f, "holds a line break or NUL at byte {at}"),
        }
    }
}

impl core::error::Error for InvalidField {}

macro_rules! text_newtype {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidField;

            fn try_from(text: &str) -> Result<Self, InvalidField> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidField;

            fn try_from(text: String) -> Result<Self, InvalidField> {
                Self::new(text)
            }
        }
    };
}

text_newtype!(EventId);
text_newtype!(EventType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_or_nul_makes_neither_an_id_nor_a_type() {
        for (text, at) in [("a\nb", 1), ("a\rb", 1), ("\0", 0), ("end\r\n", 3), ("é\n", 2)] {
            let expected = FieldError::Control { at };
            assert_eq!(EventId::new(text).unwrap_err().error(), &expected, "{text:?}");
            assert_eq!(EventType::new(text).unwrap_err().error(), &expected, "{text:?}");
        }
    }

    #[test]
    fn only_an_id_may_be_empty() {
        assert_eq!(EventId::new("").unwrap().as_str(), "");
        assert_eq!(EventType::new("").unwrap_err().error(), &FieldError::Empty);
    }

    #[test]
    fn other_control_characters_and_unicode_line_ends_are_text() {
        for text in ["\u{85}", "\u{2028}", "\u{b}", "\t", "日本"] {
            assert_eq!(EventId::new(text).unwrap().as_str(), text);
            assert_eq!(EventType::new(text).unwrap().as_str(), text);
        }
    }
}
