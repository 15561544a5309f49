//! `fanfare config example`: a file that says everything and changes nothing.

use std::fmt::Write as _;

use super::key::Key;
use crate::options::parse;

const HEAD: &str = "\
# Settings of `fanfare serve --config FILE`. Every key is commented out: what stands here is the default, or a sample
# where there is none. A flag wins over its environment variable, that over this file. `fanfare config check` says what
# a file comes to. A duration is a number with ms, s, m, h or d, a size one with KB, MB, GB or KiB, MiB, GiB.
";

/// A width that an editor shows.
const COLUMNS: usize = 110;

/// What a value can be, by its name in the help, for keys whose default is no value.
const SAMPLES: [(&str, &[&str]); 20] = [
    ("ADDR", &["127.0.0.1:3000"]),
    ("DIR", &["fanfare-data"]),
    ("FILE", &["fanfare.pem"]),
    ("N", &["8"]),
    ("DURATION", &["12h"]),
    ("SIZE", &["1GiB"]),
    ("ORIGIN", &["https://app.example.com"]),
    ("KEY|@FILE", &["@secret"]),
    ("ALG", &["HS256"]),
    ("URL", &["https://issuer.example.com/jwks.json", "nats://127.0.0.1:4222"]),
    ("NAME", &["name"]),
    ("CIDR", &["10.0.0.0/8"]),
    ("RATE", &["100"]),
    ("PERCENT", &["10"]),
    ("TOPIC", &["topic"]),
    ("TEXT", &["text"]),
    ("URL|@FILE", &["nats://127.0.0.1:4222"]),
    ("USER", &["user"]),
    ("PASSWORD|@FILE", &["@secret"]),
    ("TOKEN|@FILE", &["@secret"]),
];

pub(super) fn example() -> String {
    let mut text = HEAD.to_owned();
    for key in Key::all() {
        text.push('\n');
        for line in wrapped(&key.meaning()) {
            let _ = writeln!(text, "# {line}");
        }
        let default = key.default().map(|default| format!("; default: {default}")).unwrap_or_default();
        for line in wrapped(&format!("{} {}, {}{default}", key.flag(), key.value_name(), key.variable())) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "#{}", line(&key).unwrap_or_else(|| format!("{} =", key.name())));
    }
    text
}

/// The key with the first value that the file's own reader takes: the default, or else a sample.
fn line(key: &Key) -> Option<String> {
    let value_name = key.value_name();
    // `1GiB, in memory 64MiB` begins with a value.
    let default = key.default().map(|default| default.split([',', ';', ' ']).next().unwrap_or_default().to_owned());
    let samples = SAMPLES.iter().find(|(name, _)| *name == value_name).map(|(_, samples)| *samples).unwrap_or_default();
    let alternatives = value_name.split('|').filter(|_| samples.is_empty());
    let values =
        default.into_iter().chain(samples.iter().map(ToString::to_string)).chain(alternatives.map(str::to_owned));
    let written = |value: String| {
        // As a string for what has a unit, and bare for what is a number or a switch.
        let quoted = toml::Value::String(value.clone()).to_string();
        let forms = if key.is_list() { vec![format!("[{quoted}]")] } else { vec![value, quoted] };
        forms.into_iter().map(|form| format!("{} = {form}", key.name()))
    };
    values.flat_map(written).find(|line| parse(line).is_ok())
}

/// `text` in lines of at most [`COLUMNS`].
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_meaning_and_a_value() {
        let keys = Key::all();
        assert!(keys.len() > 20, "{keys:?}");
        for key in keys {
            assert!(!key.meaning().is_empty() && key.variable().starts_with("FANFARE_"), "{key:?}");
            let (name, value_name) = (key.name(), key.value_name());
            assert!(line(&key).is_some(), "{name}: give {value_name} a sample in SAMPLES");
        }
    }

    #[test]
    fn a_default_is_taken_before_a_sample() {
        let written = |name: &str| line(Key::all().iter().find(|key| key.name() == name).unwrap()).unwrap();
        for (name, expected) in [
            ("listen", "listen = [\"127.0.0.1:3000\"]"),
            ("heartbeat", "heartbeat = \"15s\""),
            ("retain_bytes", "retain_bytes = \"1GiB\""),
            ("retain_age", "retain_age = \"12h\""),
            ("memory", "memory = true"),
            ("gap_event", "gap_event = \"on\""),
            ("max_connections", "max_connections = 100000"),
            ("shards", "shards = 8"),
            ("publisher_key", "publisher_key = \"@secret\""),
        ] {
            assert_eq!(written(name), expected);
        }
    }
}
