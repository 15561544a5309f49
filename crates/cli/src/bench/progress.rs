//! A line on a terminal that says how far the run is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(200);

/// On standard error, rewritten in place. Nothing is shown where nobody watches.
pub(super) struct ProgressLine {
    is_on_terminal: bool,
    shown: Option<Instant>,
}

impl ProgressLine {
    pub(super) fn new() -> Self {
        Self { is_on_terminal: std::io::stderr().is_terminal(), shown: None }
    }

    /// Shows `text` unless the line was changed a moment ago.
    pub(super) fn show(&mut self, text: impl FnOnce() -> String) {
        if self.is_on_terminal && self.shown.is_none_or(|shown| shown.elapsed() > INTERVAL) {
            self.shown = Some(Instant::now());
            self.write(&format!("\r{}\x1b[K", text()));
        }
    }

    /// Takes the line away, so that what follows stands alone.
    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            self.write("\r\x1b[K");
        }
    }

    fn write(&self, text: &str) {
        // A progress line that can't be shown is no reason to stop.
        let _ = write!(std::io::stderr(), "{text}");
    }
}
