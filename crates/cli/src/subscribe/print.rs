//! News as text, as JSON lines, or as data alone.

use std::fmt::Write;
use std::time::Duration;

use fanfare_client::{Error, Event, Kind, News, SkipReason};
use serde::Serialize;

use super::Format;
use crate::refusal::detail;
use crate::terminal::{Colour, Style, note};

/// Puts news into the form that was asked for. Writing to a `String` can't fail, which is why results are dropped.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    with_comments: bool,
    style: Style,
}

/// A line of `-o json`: the promise of the interface, in its order.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Open {
        url: &'a str,
        status: u16,
    },
    Event {
        event: &'a str,
        data: &'a str,
        id: &'a str,
        origin: &'a str,
    },
    Comment {
        comment: &'a str,
    },
    Skipped {
        reason: &'a str,
        bytes: u64,
        id: &'a str,
    },
    Error {
        state: &'a str,
        reason: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in_ms: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
}

impl Printer {
    pub(crate) fn new(format: Format, with_comments: bool) -> Self {
        Self { format, with_comments, style: Style::of(&std::io::stdout()) }
    }

    /// Appends an event to `out`.
    pub(crate) fn event(&self, event: &Event, out: &mut String) {
        let (event_type, data, id) = (event.event_type(), event.data(), event.last_event_id());
        match self.format {
            Format::Json => self.line(&Line::Event { event: event_type, data, id, origin: event.origin() }, out),
            Format::Data => {
                let _ = writeln!(out, "{}", self.style.harmless(data));
            }
            Format::Text => {
                out.push_str(&self.style.paint(Colour::Cyan, &self.style.harmless(event_type)));
                if !id.is_empty() {
                    let id = format!("id {}", self.style.harmless(id));
                    let _ = write!(out, "  {}", self.style.paint(Colour::Yellow, &id));
                }
                let _ = writeln!(out, "\n{}\n", self.style.harmless(data));
            }
        }
    }

    /// Appends what of the news belongs to standard output.
    pub(crate) fn print(&self, news: &News, out: &mut String) {
        match (self.format, news) {
            (_, News::Event(event)) => self.event(event, out),
            (_, News::Comment(_)) if !self.with_comments => {}
            (Format::Json, news) => self.json(news, out),
            (Format::Text, News::Comment(comment)) => {
                let comment = format!(":{}", self.style.harmless(comment));
                let _ = writeln!(out, "{}\n", self.style.paint(Colour::Faint, &comment));
            }
            _ => {}
        }
    }

    /// Appends that there is no connection to make at all. It is said as if one had failed.
    pub(crate) fn unusable(&self, error: &Error, out: &mut String) {
        if self.format == Format::Json {
            self.line(&error_line(error, &reason(error), None), out);
        }
    }

    /// Whether there is something to say on standard error.
    pub(crate) fn has_note(&self, news: &News) -> bool {
        self.format != Format::Json && matches!(news, News::Open(_) | News::Skipped(_) | News::Error(_))
    }

    /// Says it.
    pub(crate) fn note(&self, news: &News) {
        if self.format == Format::Json {
            return;
        }
        match news {
            News::Open(opened) => note(&format!("connected to {}", opened.url())),
            News::Skipped(skipped) => note(&format!("skipped {}", skip_text(skipped.reason(), skipped.bytes()))),
            News::Error(interruption) => {
                let reason = reason(interruption.error());
                note(&match interruption.retry_in() {
                    Some(wait) => format!("{reason}; reconnecting in {}", seconds(wait)),
                    None => format!("{reason}; closed{}", advice(interruption.error())),
                });
            }
            _ => {}
        }
    }

    fn json(&self, news: &News, out: &mut String) {
        match news {
            News::Open(opened) => {
                self.line(&Line::Open { url: opened.url().as_str(), status: opened.status().as_u16() }, out);
            }
            News::Comment(comment) => self.line(&Line::Comment { comment }, out),
            News::Skipped(skipped) => {
                let (reason, bytes, id) = (skip_reason(skipped.reason()), skipped.bytes(), skipped.last_event_id());
                self.line(&Line::Skipped { reason, bytes, id }, out);
            }
            News::Error(interruption) => {
                let error = interruption.error();
                self.line(&error_line(error, &reason(error), interruption.retry_in()), out);
            }
            _ => {}
        }
    }

    fn line(&self, line: &Line<'_>, out: &mut String) {
        // Strings and numbers always have a JSON form.
        if let Ok(json) = serde_json::to_string(line) {
            out.push_str(&self.style.harmless_json(json));
            out.push('\n');
        }
    }
}

fn error_line<'a>(error: &Error, reason: &'a str, retry_in: Option<Duration>) -> Line<'a> {
    Line::Error {
        state: if retry_in.is_some() { "connecting" } else { "closed" },
        reason,
        retry_in_ms: retry_in.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        status: error.status().map(|status| status.as_u16()),
    }
}

/// What happened and its root, or what the server said about it; the layers of an HTTP library in between say nothing to
/// a user.
pub(crate) fn reason(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |&cause| cause.source());
    match causes.last() {
        Some(root) => format!("{error}: {root}"),
        None => format!("{error}{}", detail(error.body_start())),
    }
}

fn advice(error: &Error) -> &'static str {
    match (error.kind(), error.status().map(|status| status.as_u16())) {
        (_, Some(401 | 403)) => ": give a token that allows it with --token",
        (_, Some(404)) => ": is this the URL of a stream?",
        (Kind::ContentType, _) => ": is this the URL of a stream? Fanfare's own is at /events",
        (_, Some(408 | 429 | 500..=599)) => ": --retry-on-status tries again",
        // The TLS library's own word, at the root of what happened.
        (Kind::Connect, _) if reason(error).contains("certificate") => ": --cacert FILE makes its certificate trusted",
        (Kind::Connect, _) => ": is the server running, and the URL right?",
        _ => "",
    }
}

fn skip_reason(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Name => "its id or type is over the size limit",
        _ => "over the size limit",
    }
}

fn skip_text(reason: SkipReason, bytes: u64) -> String {
    format!("an event of {bytes} bytes: {}; --max-event-size sets it", skip_reason(reason))
}

fn seconds(wait: Duration) -> String {
    format!("{} s", (wait.as_secs_f64() * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_have_the_promised_form() {
        let printer = Printer { format: Format::Json, with_comments: true, style: Style::default() };
        for (line, expected) in [
            (Line::Open { url: "http://a/", status: 200 }, r#"{"kind":"open","url":"http://a/","status":200}"#),
            (
                Line::Event { event: "message", data: "a\nb", id: "", origin: "http://a" },
                r#"{"kind":"event","event":"message","data":"a\nb","id":"","origin":"http://a"}"#,
            ),
            (Line::Comment { comment: " hi" }, r#"{"kind":"comment","comment":" hi"}"#),
            (
                Line::Skipped { reason: "large", bytes: 123, id: "7" },
                r#"{"kind":"skipped","reason":"large","bytes":123,"id":"7"}"#,
            ),
            (
                Line::Error { state: "connecting", reason: "end", retry_in_ms: Some(3000), status: None },
                r#"{"kind":"error","state":"connecting","reason":"end","retry_in_ms":3000}"#,
            ),
            (
                Line::Error { state: "closed", reason: "no", retry_in_ms: None, status: Some(404) },
                r#"{"kind":"error","state":"closed","reason":"no","status":404}"#,
            ),
        ] {
            let mut out = String::new();
            printer.line(&line, &mut out);
            assert_eq!(out, format!("{expected}\n"));
        }
    }

    #[test]
    fn comments_are_printed_when_asked_for() {
        let comment = News::Comment(" hi".to_owned());
        for (format, with_comments, expected) in [
            (Format::Text, true, ": hi\n\n"),
            (Format::Text, false, ""),
            (Format::Json, false, ""),
            (Format::Data, true, ""),
        ] {
            let mut out = String::new();
            Printer { format, with_comments, style: Style::default() }.print(&comment, &mut out);
            assert_eq!(out, expected, "{format:?}, {with_comments}");
        }
    }
}
