//! Events as Datastar reads them: each line of data has a name before it, and lines of one name are one text.

use fanfare_server::{Event, EventType};
use serde_json::Value;

/// How a version of Datastar wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Up to 1.0.0-beta.11, the newest on npm.
    Beta,
    /// 1.0.
    One,
}

impl Version {
    /// Puts `html` in the place of the element that has the same id.
    pub(crate) fn patch_elements(self, html: &str) -> Event {
        match self {
            Self::Beta => event("datastar-merge-fragments", "fragments", html),
            Self::One => event("datastar-patch-elements", "elements", html),
        }
    }

    /// Sets the signals that are in the object `signals`.
    pub(crate) fn patch_signals(self, signals: &Value) -> Event {
        let event_type = match self {
            Self::Beta => "datastar-merge-signals",
            Self::One => "datastar-patch-signals",
        };
        event(event_type, "signals", &signals.to_string())
    }

    /// The page `html`, written for the beta, with the attributes of this version.
    pub(crate) fn page(self, html: &str) -> String {
        match self {
            Self::Beta => html.to_owned(),
            Self::One => html.replace("data-on-load=", "data-init=").replace("data-on-", "data-on:"),
        }
    }
}

/// A lone carriage return ends a line too, in events as in the standard (P2): a text that could end its line could go on with
/// `selector` and patch what it likes.
fn event(event_type: &str, name: &str, text: &str) -> Event {
    let lines: Vec<String> = text.split(['\r', '\n']).map(|line| format!("{name} {line}")).collect();
    let event = Event::data(lines.join("\n"));
    match EventType::new(event_type) {
        Ok(event_type) => event.with_type(event_type),
        Err(_) => event,
    }
}
