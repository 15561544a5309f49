//! What was found, for people and for machines.

use std::fmt::Write as _;
use std::io::stdout;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::cure::{Cure, Fault};
use super::proxy::Guess;
use crate::terminal::{Colour, Style};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) text: String,
    pub(super) fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Problem,
    /// It could not be told.
    Unknown,
}

impl Check {
    pub(super) fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, text: text.into(), fault: None }
    }

    pub(super) fn unknown(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Unknown, text: text.into(), fault: None }
    }

    pub(super) fn problem(name: &'static str, text: impl Into<String>, fault: impl Into<Option<Fault>>) -> Self {
        Self { name, verdict: Verdict::Problem, text: text.into(), fault: fault.into() }
    }
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Problem => "problem",
            Self::Unknown => "unknown",
        }
    }

    fn colour(self) -> Colour {
        match self {
            Self::Ok => Colour::Green,
            Self::Problem => Colour::Red,
            Self::Unknown => Colour::Yellow,
        }
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) url: String,
    pub(super) guess: Guess,
    /// Whether events were published, or why not.
    pub(super) published: Result<(), String>,
    pub(super) checks: Vec<Check>,
    /// Nobody was there to examine.
    pub(super) is_unreachable: bool,
}

/// The code that other commands have for it.
const EXIT_UNREACHABLE: u8 = 4;

impl Report {
    fn problems(&self) -> usize {
        self.checks.iter().filter(|check| check.verdict == Verdict::Problem).count()
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match (self.is_unreachable, self.problems()) {
            (true, _) => ExitCode::from(EXIT_UNREACHABLE),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::FAILURE,
        }
    }

    fn cures(&self, check: &Check) -> Vec<Cure> {
        check.fault.as_ref().map(|fault| fault.cures(self.guess.proxy)).unwrap_or_default()
    }

    /// A line a check, and under a problem what cures it.
    pub(super) fn text(&self) -> String {
        let style = Style::of(&stdout());
        let mut text = format!("{}\n", self.url);
        let between = match (&self.guess.proxy, &self.guess.seen) {
            (Some(proxy), Some(seen)) => format!("through {} ({seen})", proxy.name()),
            (_, Some(seen)) => format!("nothing tells which proxy is in between ({seen})"),
            _ => "nothing tells whether a proxy is in between".to_owned(),
        };
        let published = match &self.published {
            Ok(()) => "marked events were published".to_owned(),
            Err(reason) => format!("nothing was published: {reason}"),
        };
        let _ = writeln!(text, "{}; {}\n", style.harmless(&between), style.harmless(&published));
        let mut told: Vec<&Fault> = Vec::new();
        for check in &self.checks {
            let verdict = style.paint(check.verdict.colour(), &format!("{:<8}", check.verdict.name()));
            let _ = writeln!(text, "{verdict} {:<18} {}", check.name, style.harmless(&check.text));
            let Some(fault) = check.fault.as_ref().filter(|fault| !told.contains(fault)) else { continue };
            told.push(fault);
            for cure in self.cures(check) {
                let _ = writeln!(text, "{:<8} {:<18} {:<8} {}", "", "", cure.place, style.harmless(&cure.line));
            }
        }
        let _ = match self.problems() {
            0 => writeln!(text, "\nNo problem was found."),
            1 => writeln!(text, "\n1 problem was found."),
            problems => writeln!(text, "\n{problems} problems were found."),
        };
        text
    }

    pub(super) fn json(&self) -> String {
        let check = |check: &Check| -> Value {
            let cure = |cure: Cure| json!({ "for": cure.place, "line": cure.line });
            let cures: Vec<Value> = self.cures(check).into_iter().map(cure).collect();
            json!({ "check": check.name, "verdict": check.verdict.name(), "text": check.text, "cures": cures })
        };
        let report = json!({
            "url": self.url,
            "proxy": self.guess.proxy.map(|proxy| proxy.name()),
            "seen": self.guess.seen,
            "published": self.published.is_ok(),
            "problems": self.problems(),
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
        });
        format!("{}\n", Style::of(&stdout()).harmless_json(report.to_string()))
    }
}
