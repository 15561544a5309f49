//! The file: its keys are the flags' names.

use std::path::Path;

use anyhow::Context;
use clap::{Args, Command};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, Error};

use crate::Failure;
use crate::options::Options;

pub(super) fn read(path: &Path) -> anyhow::Result<Options> {
    let unusable = |error: String| Failure::usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let options = parse(&text).map_err(|error| unusable(told(&error, &text)));
    options.context("the configuration can't be used")
}

/// Gives each struct the keys that are its flags' names. Each refuses those that it does not know, with their place.
pub(crate) fn parse(text: &str) -> Result<Options, Error> {
    let mut rest = DeTable::parse(text)?;
    let limits = take(&mut rest)?;
    let engine = take(&mut rest)?;
    Ok(Options { limits, engine, ..Options::deserialize(toml::Deserializer::from(rest))? })
}

/// Those of the file's keys that are flags of `T`.
fn take<T: Args + DeserializeOwned>(rest: &mut Spanned<DeTable<'_>>) -> Result<T, Error> {
    let mut taken = Spanned::new(rest.span(), DeTable::new());
    for flag in T::augment_args(Command::new("")).get_arguments() {
        if let Some((key, value)) = rest.get_mut().remove_entry(flag.get_id().as_str()) {
            taken.get_mut().insert(key, value);
        }
    }
    T::deserialize(toml::Deserializer::from(taken))
}

/// What is wrong and where. The library would show the line, and a line may hold a key.
fn told(error: &Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let place = before.map(|before| {
        let line = before.matches('\n').count();
        let name = text.lines().nth(line).and_then(|line| line.split_once('=')).map(|(name, _)| name.trim());
        let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let name = name.filter(is_name).map(|name| format!(", {name}"));
        format!("line {}{}: ", line + 1, name.unwrap_or_default())
    });
    format!("{}{}", place.unwrap_or_default(), error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_key_or_value_is_named() {
        for (text, named) in [
            ("\nhearbeat = 5", "hearbeat"),
            ("\nheartbeat = 'soon'", "soon"),
            ("\ncors_origin = 'a/b'", "a/b"),
            ("\nlisten = 'here'", "here"),
            ("\nmax_topic = 5", "max_topic"),
            ("\nmax_topics = 'few'", "few"),
            ("\ntrusted_proxy = '10.0.0.0/99'", "10.0.0.0/99"),
            ("\n[limits]\nmax_topics = 5", "limits"),
        ] {
            let error = told(&parse(text).unwrap_err(), text);
            assert!(error.contains(named) && error.starts_with("line 2"), "{error}");
        }
    }
}
