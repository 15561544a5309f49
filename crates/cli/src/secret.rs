//! Keys and tokens on the command line: never shown.

use std::fmt;

use anyhow::Context;
use serde::de::{Deserialize, Deserializer, Error};

/// A key as it was said: the text itself, or where it is. No error and no `Debug` shows it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    Text(String),
    File(String),
}

impl Secret {
    /// `@FILE` names a file; anything else is the key.
    pub(crate) fn parse(text: &str) -> Self {
        text.strip_prefix('@').map_or_else(|| Self::Text(text.to_owned()), |path| Self::File(path.to_owned()))
    }

    /// The key. A file's last line break belongs to the file: editors and `echo` leave one.
    pub(crate) fn read(&self) -> anyhow::Result<Vec<u8>> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone().into_bytes()),
            Self::File(path) => path,
        };
        let mut text = std::fs::read(path).with_context(|| format!("can't read the key in {path}"))?;
        for end in [b'\n', b'\r'] {
            if text.last() == Some(&end) {
                text.pop();
            }
        }
        Ok(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error of the library would show what it found.
        let text = String::deserialize(deserializer).map_err(|_| D::Error::custom("a key is written in quotes"))?;
        Ok(Self::parse(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_key_is_a_text_or_in_a_file() {
        assert_eq!(Secret::parse("key\n").read().unwrap(), b"key\n");
        for (written, expected) in
            [("key", "key"), ("key\n", "key"), ("key\r\n", "key"), ("key\n\n", "key\n"), ("", "")]
        {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(written.as_bytes()).unwrap();
            let secret = Secret::parse(&format!("@{}", file.path().display()));
            assert_eq!(secret.read().unwrap(), expected.as_bytes(), "{written:?}");
        }
        assert!(Secret::parse("@/nowhere").read().unwrap_err().to_string().contains("/nowhere"));
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::parse("key")), "Text(…)");
    }
}
