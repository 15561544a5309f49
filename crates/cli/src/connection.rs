//! How a command reaches a server: the URL as people type it, the way there, and what each request carries.

use anyhow::Context;
use clap::Args;
use reqwest::ClientBuilder;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

/// The way to a server.
#[derive(Debug, Default, Args)]
pub(crate) struct ConnectionArgs {
    /// Connects through this proxy, instead of the one that the environment names
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,

    /// Trusts the certificates of this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    cacert: Option<std::path::PathBuf>,

    /// Trusts any certificate: anyone on the way can read and change the stream
    #[arg(short = 'k', long)]
    insecure: bool,
}

impl ConnectionArgs {
    pub(crate) fn client(&self) -> anyhow::Result<ClientBuilder> {
        let mut client = reqwest::Client::builder().user_agent(concat!("fanfare/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &self.proxy {
            let proxy = reqwest::Proxy::all(proxy).with_context(|| format!("--proxy: {proxy:?} is no proxy's URL"))?;
            client = client.proxy(proxy);
        }
        if let Some(path) = &self.cacert {
            let pem = std::fs::read(path).with_context(|| format!("--cacert: can't read {}", path.display()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .with_context(|| format!("--cacert: {} holds no certificate in PEM form", path.display()))?;
            client = client.tls_certs_only(certificates);
        }
        Ok(client.tls_danger_accept_invalid_certs(self.insecure))
    }
}

/// `localhost:3000` is what one types, and to the URL standard that is the path `3000` of the scheme `localhost`. As
/// with curl it is a host.
pub(crate) fn with_scheme(text: &str) -> String {
    let before_path = text.split(['/', '?', '#']).next().unwrap_or_default();
    let is_host_and_port =
        || before_path.split_once(':').is_some_and(|(_, port)| port.starts_with(|c: char| c.is_ascii_digit()));
    let has_scheme = before_path.ends_with(':') || Url::parse(text).is_ok() && !is_host_and_port();
    if has_scheme { text.to_owned() } else { format!("http://{text}") }
}

pub(crate) fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| format!("{name:?} is no header's name"))?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| "the value holds a control character")?;
    Ok((name, value))
}

/// The value of `Authorization` for a token.
pub(crate) fn parse_token(text: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::try_from(format!("Bearer {}", text.trim()));
    let mut value = value.map_err(|_| "the token holds a control character")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_scheme_is_http() {
        for (text, expected) in [
            ("localhost:3000/events", "http://localhost:3000/events"),
            ("localhost", "http://localhost"),
            ("127.0.0.1:3000?topic=a://b", "http://127.0.0.1:3000?topic=a://b"),
            ("h:1?topic=a://b", "http://h:1?topic=a://b"),
            ("[::1]:3000", "http://[::1]:3000"),
            ("https://a/", "https://a/"),
            ("http://this is invalid/", "http://this is invalid/"),
            ("ftp://a/", "ftp://a/"),
            ("mailto:a@b", "mailto:a@b"),
            ("about:blank", "about:blank"),
        ] {
            assert_eq!(with_scheme(text), expected, "{text:?}");
        }
    }
}
