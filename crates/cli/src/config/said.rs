//! What was said, and where.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

use crate::options::Options;

/// The options of `serve`, and beside them what clap knows of where each came from.
#[derive(Debug, Clone)]
pub(super) struct Said {
    matches: ArgMatches,
}

/// Where a value was said, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Flag,
    Environment,
    /// The reference hub's names in the environment.
    Mercure,
    File,
    Default,
}

impl Said {
    pub(super) fn options(&self) -> Result<Options, Error> {
        Options::from_arg_matches(&self.matches)
    }

    /// The values that a flag or the environment says.
    pub(super) fn value(&self, name: &str) -> Option<(Place, Vec<String>)> {
        let place = match self.matches.value_source(name)? {
            ValueSource::CommandLine => Place::Flag,
            ValueSource::EnvVariable => Place::Environment,
            _ => return None,
        };
        let raw = self.matches.get_raw(name)?;
        Some((place, raw.map(|value| value.to_string_lossy().into_owned()).collect()))
    }

    /// The file that is named, wherever it is.
    pub(super) fn file(&self) -> Option<String> {
        self.value("config").and_then(|(_, values)| values.into_iter().next())
    }
}

impl Args for Said {
    fn augment_args(command: Command) -> Command {
        Options::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Options::augment_args_for_update(command)
    }
}

impl FromArgMatches for Said {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self { matches: matches.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.matches = matches.clone();
        Ok(())
    }
}
