//! What a terminal may be shown.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

/// How one of the output streams is written to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) is_terminal: bool,
    pub(crate) has_colours: bool,
}

impl Style {
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let is_terminal = stream.is_terminal();
        // <https://no-color.org>: set and not empty, whatever the value.
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_terminal, has_colours: is_terminal && !is_unwanted && !is_dumb }
    }

    /// `text` of a stranger, made harmless for a terminal and left as it is for a file.
    ///
    /// Control characters drive terminals: they move the cursor, write the clipboard, change the title, and some have
    /// been made to type commands. Overrides of the writing direction make text read as what it is not.
    pub(crate) fn harmless(self, text: &str) -> Cow<'_, str> {
        if !self.is_terminal || !text.contains(is_harmful) {
            return Cow::Borrowed(text);
        }
        let mut harmless = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            if is_harmful(c) {
                harmless.extend(c.escape_unicode());
            } else {
                harmless.push(c);
            }
        }
        Cow::Owned(harmless)
    }

    /// A line of JSON, made harmless: in it these characters stand in strings alone, where JSON has an escape for them.
    pub(crate) fn harmless_json(self, json: String) -> String {
        if !self.is_terminal || !json.contains(is_harmful) {
            return json;
        }
        let mut harmless = String::with_capacity(json.len() + 16);
        for c in json.chars() {
            if is_harmful(c) {
                // All of them are in the basic plane, where one escape is one character.
                let _ = write!(harmless, "\\u{:04x}", u32::from(c));
            } else {
                harmless.push(c);
            }
        }
        harmless
    }

    /// `text` in a colour.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if self.has_colours { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }
}

/// The numbers of ECMA-48, "select graphic rendition".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Faint = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

/// One line of news on standard error. That nobody reads it is no reason to fail.
pub(crate) fn note(text: &str) {
    let mut stderr = std::io::stderr();
    let style = Style::of(&stderr);
    let _ = writeln!(stderr, "{}", style.paint(Colour::Faint, &format!("fanfare: {}", style.harmless(text))));
}

fn is_harmful(c: char) -> bool {
    let overrides_direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() && !matches!(c, '\n' | '\t') || overrides_direction
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Style = Style { is_terminal: true, has_colours: false };
    const FILE: Style = Style { is_terminal: false, has_colours: false };

    #[test]
    fn a_stream_cannot_drive_the_terminal() {
        for (text, expected) in [
            ("plain\n\ttext é 日本", "plain\n\ttext é 日本"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("over\rwritten\x08\x7f", "over\\u{d}written\\u{8}\\u{7f}"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ] {
            assert_eq!(TERMINAL.harmless(text), expected);
            assert_eq!(FILE.harmless(text), text);
        }
    }

    #[test]
    fn harmless_json_is_the_same_json() {
        let text = "\u{1b}\u{7f}\u{9b}\u{202e}é";
        let json = serde_json::to_string(text).unwrap();
        let harmless = TERMINAL.harmless_json(json.clone());
        assert!(!harmless.contains(is_harmful), "{harmless}");
        assert_eq!(serde_json::from_str::<String>(&harmless).unwrap(), text);
        assert_eq!(FILE.harmless_json(json.clone()), json);
    }
}
