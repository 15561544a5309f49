//! Values in the file: as on the command line, and where TOML has a shape of its own, as that.

use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::units::{parse_duration, parse_size};

/// A duration or size in the file: as on the command line, or a bare number.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl NumberOrText {
    fn parse<'de, D: Deserializer<'de>, T>(
        deserializer: D,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, D::Error> {
        let text = match Self::deserialize(deserializer)? {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        };
        parse(&text).map(Some).map_err(Error::custom)
    }
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    NumberOrText::parse(deserializer, parse_duration)
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    NumberOrText::parse(deserializer, parse_size)
}

/// A list in the file, or its only member.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

/// A text in the file, as on the command line.
pub(super) fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(Error::custom)
}

/// A list in the file whose members are read as on the command line.
pub(super) fn one_or_many_parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let texts = one_or_many(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(Error::custom)).collect()
}

pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let parse = |text: String| parse_address(&text).map_err(Error::custom);
    one_or_many(deserializer)?.into_iter().map(parse).collect()
}

/// Names are not looked up: which of a name's addresses the hub listened on would be luck.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address: write it as 127.0.0.1:3000 or [::1]:3000"))
}
