//! From options to what a hub checks tokens with.

use anyhow::Context;
use fanfare_hub::{Algorithm, Verifier, VerifyingKey};
use reqwest::Url;

use crate::Failure;
use crate::key_source::UrlSource;
use crate::secret::Secret;

/// The keys of publishers or of subscribers, as they were said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) key: Option<Secret>,
    pub(crate) alg: Option<Algorithm>,
    pub(crate) jwks_url: Option<Url>,
}

impl Keys {
    /// What was said here, and else there. A key in one place overrules a URL in the other.
    pub(crate) fn or(self, other: Self) -> Self {
        let alg = self.alg.or(other.alg);
        let is_said = self.key.is_some() || self.jwks_url.is_some();
        let Self { key, jwks_url, .. } = if is_said { self } else { other };
        Self { key, alg, jwks_url }
    }

    /// The names of the reference hub, so that an existing deployment's environment works. An empty one is none, as
    /// Compose files leave them.
    pub(crate) fn of_mercure(role: &str, read: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let name = |what| format!("MERCURE_{role}_JWT_{what}");
        let value = |name: &str| read(name).filter(|value| !value.is_empty());
        let alg = value(&name("ALG")).map(|text| text.parse::<Algorithm>()).transpose();
        let alg = alg.map_err(|error| Failure::usage(format!("{}: {error}", name("ALG"))))?;
        // There `@` means nothing.
        Ok(Self { key: value(&name("KEY")).map(Secret::Text), alg, jwks_url: None })
    }

    /// What checks the tokens of `role`, if there are keys.
    pub(crate) fn verifier(&self, role: &str) -> anyhow::Result<Option<Verifier>> {
        match (&self.key, &self.jwks_url) {
            (Some(_), Some(_)) => Err(Failure::usage(format!(
                "--{role}-key and --{role}-jwks-url exclude each other: leave one of them out"
            ))
            .into()),
            (Some(secret), None) => {
                let key = verifying_key(secret, self.alg).with_context(|| format!("--{role}-key"))?;
                if key.is_short() {
                    let algorithm = key.algorithm();
                    tracing::warn!(
                        "--{role}-key is shorter than the hash of {algorithm}, and may be guessed from a token: \
                         `openssl rand -base64 48` makes one that can't"
                    );
                }
                Ok(Some(Verifier::new(key)))
            }
            (None, Some(url)) => {
                let source = UrlSource::new(&format!("--{role}-jwks-url"), url)?;
                if url.scheme() == "http" {
                    tracing::warn!(
                        "--{role}-jwks-url is not https: whoever stands between can put in keys of their own"
                    );
                }
                Ok(Some(Verifier::published(source, self.alg)))
            }
            (None, None) if self.alg.is_some() => Err(Failure::usage(format!(
                "--{role}-alg says how tokens are signed, and there is no key: set --{role}-key or --{role}-jwks-url"
            ))
            .into()),
            (None, None) => Ok(None),
        }
    }
}

/// The key in `secret`, for HS256 unless something else was said.
pub(crate) fn verifying_key(secret: &Secret, alg: Option<Algorithm>) -> anyhow::Result<VerifyingKey> {
    let key = VerifyingKey::new(&secret.read()?, alg.unwrap_or(Algorithm::HS256));
    key.map_err(|error| Failure::usage(error.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(key: Option<&str>, alg: Option<&str>, url: Option<&str>) -> Keys {
        let (alg, jwks_url) = (alg.map(|alg| alg.parse().unwrap()), url.map(|url| url.parse().unwrap()));
        Keys { key: key.map(Secret::parse), alg, jwks_url }
    }

    #[test]
    fn a_key_overrules_a_url_and_the_other_way_round() {
        let (flag, file) = (keys(Some("a"), None, None), keys(None, Some("RS256"), Some("https://a.example/")));
        assert_eq!(flag.clone().or(file.clone()), keys(Some("a"), Some("RS256"), None));
        assert_eq!(file.clone().or(flag.clone()), file);
        assert_eq!(Keys::default().or(flag.clone()), flag);
    }

    #[test]
    fn the_names_of_the_reference_hub_are_known() {
        let environment = |name: &str| {
            let value = match name {
                "MERCURE_PUBLISHER_JWT_KEY" => "@secret",
                "MERCURE_PUBLISHER_JWT_ALG" => "HS512",
                "MERCURE_SUBSCRIBER_JWT_KEY" => "",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let publisher = Keys::of_mercure("PUBLISHER", &environment).unwrap();
        assert_eq!(publisher.key, Some(Secret::Text("@secret".to_owned())));
        assert_eq!(publisher.alg, Some("HS512".parse().unwrap()));
        assert_eq!(Keys::of_mercure("SUBSCRIBER", &environment).unwrap(), Keys::default());
        let wrong = Keys::of_mercure("SUBSCRIBER", &|name| name.ends_with("ALG").then(|| "none".to_owned()));
        assert!(wrong.unwrap_err().to_string().contains("MERCURE_SUBSCRIBER_JWT_ALG: `none`"));
    }

    #[test]
    fn what_can_not_be_is_said_without_the_key() {
        let long = "0123456789abcdef0123456789abcdef";
        for (keys, reason) in [
            (keys(Some(long), None, Some("https://a.example/")), "exclude each other"),
            (keys(Some(long), Some("RS256"), None), "public key in PEM form"),
            (keys(Some(""), None, None), "empty"),
            (keys(None, Some("RS256"), None), "there is no key"),
            (keys(None, None, Some("ftp://user:hidden@a.example/?hidden")), "https, http and file"),
        ] {
            let error = format!("{:#}", keys.verifier("publisher").unwrap_err());
            assert!(error.contains(reason) && !error.contains(long) && !error.contains("hidden"), "{error}");
            assert!(error.contains("--publisher-"), "{error}");
        }
        assert!(keys(None, None, None).verifier("publisher").unwrap().is_none());
    }
}
