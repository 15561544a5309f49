//! The keys of the file, from the definitions of the flags.

use clap::{Arg, ArgAction, Args, Command};

use crate::options::Options;

/// A key of the file, which is a flag and a variable of the environment too.
#[derive(Debug, Clone)]
pub(super) struct Key {
    arg: Arg,
}

impl Key {
    /// All of them, in the order of `--help`. `--config` itself is no key.
    pub(super) fn all() -> Vec<Self> {
        let command = Options::augment_args(Command::new("serve"));
        let keys = command.get_arguments().filter(|arg| arg.get_long().is_some() && arg.get_id() != "config");
        keys.map(|arg| Self { arg: arg.clone() }).collect()
    }

    /// As it is written in the file, and known to clap.
    pub(super) fn name(&self) -> &str {
        self.arg.get_id().as_str()
    }

    pub(super) fn flag(&self) -> String {
        format!("--{}", self.arg.get_long().unwrap_or_default())
    }

    pub(super) fn variable(&self) -> String {
        self.arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// What its value is called in the help.
    pub(super) fn value_name(&self) -> String {
        let names = self.arg.get_value_names().unwrap_or_default();
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// What it means, without its default.
    pub(super) fn meaning(&self) -> String {
        self.help().0
    }

    /// What counts when it is not said, in words.
    pub(super) fn default(&self) -> Option<String> {
        self.help().1
    }

    fn help(&self) -> (String, Option<String>) {
        let help = self.arg.get_help().map(ToString::to_string).unwrap_or_default();
        let split = help.split_once("[default: ").map(|(meaning, default)| {
            (meaning.trim().to_owned(), Some(default.trim_end().trim_end_matches(']').to_owned()))
        });
        split.unwrap_or((help, None))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    /// A key, or a URL that may hold one: the help does not show what the environment says either.
    pub(super) fn is_secret(&self) -> bool {
        self.arg.is_hide_env_values_set()
    }
}
