//! Where a hub fetches an issuer's keys from: a URL.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use fanfare_hub::{FetchError, Fetching, KeySource};
use reqwest::header::ACCEPT;
use reqwest::{Client, StatusCode, Url};

use crate::Failure;

/// A set of keys at a URL, or in a file.
pub(crate) struct UrlSource {
    place: Place,
    /// Without user, password and query, which may hold secrets.
    shown: String,
}

enum Place {
    Http(Client, Url),
    File(PathBuf),
}

/// The hub gives up on a fetch by itself; this closes the connection then.
const TIMEOUT: Duration = Duration::from_secs(10);

impl UrlSource {
    pub(crate) fn new(flag: &str, url: &Url) -> Result<Self, Failure> {
        let mut shown = url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
        let unusable = |why: &str| Failure::usage(format!("{flag} {shown}: {why}"));
        let place = match url.scheme() {
            "file" => Place::File(url.to_file_path().map_err(|()| unusable("it names no file of this machine"))?),
            "http" | "https" => {
                let client = Client::builder()
                    .user_agent(concat!("fanfare/", env!("CARGO_PKG_VERSION")))
                    // Who may redirect a request for keys may choose them.
                    .redirect(reqwest::redirect::Policy::none())
                    .timeout(TIMEOUT);
                Place::Http(client.build().map_err(|error| unusable(&error.to_string()))?, url.clone())
            }
            _ => return Err(unusable("keys are fetched from https, http and file URLs")),
        };
        Ok(Self { place, shown: shown.into() })
    }
}

impl KeySource for UrlSource {
    fn fetch(&self, bytes_max: usize) -> Fetching<'_> {
        Box::pin(async move {
            match &self.place {
                Place::Http(client, url) => get(client, url, bytes_max).await,
                Place::File(path) => {
                    let mut text = Vec::new();
                    std::fs::File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut text)?;
                    Ok(text)
                }
            }
        })
    }
}

async fn get(client: &Client, url: &Url, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
    let request = client.get(url.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
    let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()).into());
    }
    let mut text = Vec::new();
    // One byte more than may be is enough to tell that it is too long.
    while text.len() <= bytes_max
        && let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)?
    {
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

impl fmt::Debug for UrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
