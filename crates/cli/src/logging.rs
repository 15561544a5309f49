//! Log lines, on stderr, where they are no part of what a command prints: for people or for machines.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// What is told where nobody says what. NATS' client repeats with each attempt, at the level of an error, what the engine
/// says once.
const DEFAULT: &str = "info,async_nats=off";

/// Starts the log. `FANFARE_LOG` says of what: a level, or levels by part as `tracing` has them.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::new(std::env::var("FANFARE_LOG").unwrap_or_else(|_| DEFAULT.to_owned()));
    let has_colours = format == LogFormat::Text
        && io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_writer(move || Lines { out: io::stderr(), has_colours })
        .with_target(false)
        .with_ansi(has_colours)
        .with_env_filter(filter);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
}

/// Writes an event as one line, whatever a hostile peer had put into it: a control character could begin a line that the hub
/// never said, or have a terminal do what it means. The formats escape most of them in values, but neither do they so in
/// errors that print themselves, nor does JSON escape those past ASCII.
struct Lines<W> {
    out: W,
    /// The format writes escape sequences of its own.
    has_colours: bool,
}

impl<W: Write> Write for Lines<W> {
    /// `line` is a whole one, as the formats write it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        let is_harmful = |one: char| one.is_control() && !(self.has_colours && one == '\x1b') || is_turning(one);
        if body.contains(is_harmful) {
            let mut escaped = String::with_capacity(text.len() + 16);
            for one in body.chars() {
                match one {
                    // As JSON wants it, and as people know it.
                    one if is_harmful(one) => escaped += &format!("\\u{:04x}", u32::from(one)),
                    one => escaped.push(one),
                }
            }
            escaped.push('\n');
            self.out.write_all(escaped.as_bytes())?;
        } else {
            self.out.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Line ends beyond ASCII, and characters that turn the direction of a text and so show it as another.
fn is_turning(one: char) -> bool {
    matches!(one, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, has_colours: bool) -> String {
        let mut lines = Lines { out: Vec::new(), has_colours };
        assert_eq!(lines.write(line.as_bytes()).unwrap(), line.len());
        String::from_utf8(lines.out).unwrap()
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let check = |line: &str, expected: &str| assert_eq!(written(line, false), expected);
        check("INFO ünï \"x\" \u{1f3ba}\n", "INFO ünï \"x\" \u{1f3ba}\n");
        check("one\ntwo\r\n", "one\\u000atwo\\u000d\n");
        check("\x1b[31m\x07\x7f\n", "\\u001b[31m\\u0007\\u007f\n");
        check("\u{9b}31m \u{85} \u{2028} \u{202e}\n", "\\u009b31m \\u0085 \\u2028 \\u202e\n");
        assert_eq!(written("\x1b[31mred\x1b[0m\u{9b}\n", true), "\x1b[31mred\x1b[0m\\u009b\n");
        // JSON stays JSON, and says the same.
        let text = written("{\"a\":\"\u{9b}\u{7f}\"}\n", false);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a"], "\u{9b}\u{7f}");
    }
}
