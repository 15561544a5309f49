//! Events of our own, which are known again when they arrive.

use form_urlencoded::Serializer;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use tokio::time::{Instant, timeout_at};

use super::limits::{FILL_BYTES, REFUSAL_BYTES_MAX};
use super::stream::{Event, root};
use super::target::{HubPath, below};
use crate::refusal::detail;

/// The topics that the doctor publishes on are below this one.
const TOPIC: &str = "fanfare-doctor";

/// Publishes marks on a topic that nobody else uses.
#[derive(Debug)]
pub(super) struct Marks {
    client: Client,
    hub: HubPath,
    token: Option<HeaderValue>,
    /// Tells one run from another.
    nonce: String,
    next: usize,
}

/// An event that was acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    number: usize,
    pub(super) id: String,
    pub(super) acknowledged_at: Instant,
}

impl Marks {
    pub(super) fn new(client: Client, hub: HubPath, token: Option<HeaderValue>) -> Self {
        Self { client, hub, token, nonce: format!("{:016x}", fastrand::u64(..)), next: 0 }
    }

    /// Where the marks arrive.
    pub(super) fn stream(&self) -> Url {
        self.hub.subscribe(&self.topic())
    }

    fn topic(&self) -> String {
        format!("{TOPIC}/{}", self.nonce)
    }

    /// Publishes the next mark; or says why that can't be.
    pub(super) async fn publish(&mut self, until: Instant) -> Result<Mark, String> {
        self.send("", until).await
    }

    /// Publishes a mark that fills buffers. It is random, so that no compressor makes it small.
    pub(super) async fn fill(&mut self, until: Instant) -> Result<Mark, String> {
        let padding: String = std::iter::repeat_with(fastrand::alphanumeric).take(FILL_BYTES).collect();
        self.send(&padding, until).await
    }

    async fn send(&mut self, padding: &str, until: Instant) -> Result<Mark, String> {
        let number = self.next;
        self.next += 1;
        let data = format!("{TOPIC} {} {number} {padding}", self.nonce);
        let mut request = match &self.hub {
            HubPath::Events(url) => {
                let url = below(url, [TOPIC, &self.nonce]);
                self.client.post(url).header(CONTENT_TYPE, "text/plain").body(data)
            }
            HubPath::Mercure(url) => {
                let form =
                    Serializer::new(String::new()).extend_pairs([("topic", self.topic()), ("data", data)]).finish();
                self.client.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
            }
        };
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let answered = async {
            let mut response = request.send().await.map_err(|error| root(&error))?;
            let mut body = Vec::new();
            while body.len() < REFUSAL_BYTES_MAX
                && let Some(bytes) = response.chunk().await.map_err(|error| root(&error))?
            {
                body.extend_from_slice(&bytes);
            }
            match response.status() {
                StatusCode::OK => Ok(String::from_utf8_lossy(&body).trim().to_owned()),
                status => Err(format!("{status}{}", detail(&body))),
            }
        };
        let id = timeout_at(until, answered).await.map_err(|_| "there was no answer in time".to_owned())??;
        Ok(Mark { number, id, acknowledged_at: Instant::now() })
    }

    /// Whether `event` is `mark`.
    pub(super) fn is(&self, event: &Event, mark: &Mark) -> bool {
        event.data.starts_with(&format!("{TOPIC} {} {} ", self.nonce, mark.number))
    }
}
