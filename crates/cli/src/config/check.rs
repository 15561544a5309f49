//! `fanfare config check`: whether `serve` would start with this, and what it would go by.

use std::fmt::Write as _;

use clap::Args;
use fanfare_hub::Hub;

use super::key::Key;
use super::said::{Place, Said};
use crate::Failure;
use crate::keys::Keys;
use crate::options::Options;
use crate::tls::TlsFiles;

/// Say whether serve would start with these flags, this environment and this file, and print what each setting is
///
/// Nothing is opened or listened on.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  fanfare config check --config /etc/fanfare/fanfare.toml\n\nExit codes: 0 serve would start, 2 it would not"
)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    said: Said,
}

/// Two keys of which only one can be: one that is said in a stronger place overrules the other in a weaker one.
const EXCLUSIVE: [(&str, &str); 3] =
    [("memory", "data_dir"), ("publisher_key", "publisher_jwks_url"), ("subscriber_key", "subscriber_jwks_url")];

/// The settings, a line each.
pub(super) async fn check(args: CheckArgs) -> anyhow::Result<String> {
    let file = FileKeys::read(args.said.file().as_deref());
    let options = args.said.options().map_err(|error| Failure::usage(error.to_string()))?.with_file()?;
    if let Err(error) = would_start(&options).await {
        let text = format!("{error:#}");
        let place = file.place_of(&text).map(|place| format!("{place}: ")).unwrap_or_default();
        return Err(Failure::usage(format!("{place}{text}")).into());
    }
    Ok(shown(&settle(&args.said, &file)))
}

/// What `serve` looks at before it opens anything.
async fn would_start(options: &Options) -> anyhow::Result<()> {
    let settings = options.settings()?;
    options.store()?;
    options.engine()?;
    if let Some(files) = options.tls()? {
        TlsFiles::check(&files)?;
    }
    for address in options.listen() {
        settings.may_listen(address).map_err(|error| Failure::usage(error.to_string()))?;
    }
    // In memory, where it leaves nothing behind.
    Hub::builder().settings(settings).build().await.map_err(|error| Failure::usage(error.to_string()))?;
    Ok(())
}

/// The keys of the file with their lines. That they can be used is the business of who reads them for a start.
#[derive(Debug, Default)]
struct FileKeys {
    path: String,
    text: String,
    table: toml::Table,
}

impl FileKeys {
    fn read(path: Option<&str>) -> Self {
        let Some(path) = path else { return Self::default() };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Self { path: path.to_owned(), table: text.parse().unwrap_or_default(), text }
    }

    fn values(&self, name: &str) -> Option<Vec<String>> {
        let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(match self.table.get(name)? {
            toml::Value::Array(values) => values.iter().map(text).collect(),
            value => vec![text(value)],
        })
    }

    /// `FILE: line 3` if the error is about a flag that the file says.
    fn place_of(&self, error: &str) -> Option<String> {
        let is_named = |key: &Key| {
            let flag = key.flag();
            error.match_indices(&flag).any(|(at, _)| {
                let after = error[at + flag.len()..].chars().next();
                !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-')
            })
        };
        let named = Key::all().into_iter().find(|key| is_named(key) && self.table.contains_key(key.name()))?;
        let is_key = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == named.name());
        let line = self.text.lines().position(is_key)?;
        Some(format!("{}: line {}", self.path, line + 1))
    }
}

/// A key with what counts.
#[derive(Debug)]
struct Setting {
    key: Key,
    place: Place,
    values: Vec<String>,
}

fn settle(said: &Said, file: &FileKeys) -> Vec<Setting> {
    let mercure = |name: &str| {
        let role = name.split_once('_').map(|(role, _)| role.to_ascii_uppercase())?;
        let keys = Keys::of_mercure(&role, &|name| std::env::var(name).ok()).ok()?;
        let is_said = match name.split_once('_')?.1 {
            "key" => keys.key.is_some(),
            "alg" => return keys.alg.map(|alg| (Place::Mercure, vec![alg.to_string()])),
            _ => false,
        };
        is_said.then(|| (Place::Mercure, Vec::new()))
    };
    let settle = |key: Key| {
        let name = key.name();
        let said = said.value(name).or_else(|| mercure(name));
        let said = said.or_else(|| file.values(name).map(|values| (Place::File, values)));
        let (place, values) = said.unwrap_or((Place::Default, Vec::new()));
        Setting { place, values, key }
    };
    let mut settings: Vec<_> = Key::all().into_iter().map(settle).collect();
    for (one, other) in EXCLUSIVE {
        let place =
            |name: &str| settings.iter().find(|setting| setting.key.name() == name).map(|setting| setting.place);
        let weaker = if place(one) < place(other) { other } else { one };
        for setting in settings.iter_mut().filter(|setting| setting.key.name() == weaker) {
            setting.place = Place::Default;
            setting.values.clear();
        }
    }
    settings
}

fn shown(settings: &[Setting]) -> String {
    let mut text = String::new();
    for Setting { key, place, values } in settings {
        let value = match place {
            Place::Default => key.default().unwrap_or_else(|| "-".to_owned()),
            _ if key.is_secret() => "(not shown)".to_owned(),
            _ => values.join(", "),
        };
        let place = match place {
            Place::Flag => "flag",
            Place::Environment | Place::Mercure => "environment",
            Place::File => "file",
            Place::Default => "default",
        };
        let _ = writeln!(text, "{:<20} {:<12} {value}", key.name(), place);
    }
    text
}
