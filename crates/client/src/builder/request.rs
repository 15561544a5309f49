//! How it is asked: what a request may say beyond the standard.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_wire::EventId;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;

use crate::builder::EventSourceBuilder;
use crate::request::HeaderProvider;
use crate::{Error, Kind};

/// How it is asked.
impl EventSourceBuilder {
    /// The method, instead of GET.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Adds a header to each request. Names may repeat. `Accept` and `Cache-Control` replace those of the standard;
    /// `Last-Event-ID` is the initial one, and not sent again once the stream has set another.
    ///
    /// It offers gzip and Zstandard (and [Brotli](Self::brotli), if asked to), and decodes them as they arrive. A server that
    /// compresses and does not flush holds events back: `Accept-Encoding: identity` asks it not to compress.
    ///
    /// # Errors
    ///
    /// [`Kind::Request`] if this is no header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let (name, value) = header(name, value)?;
        self.headers.append(name, value);
        Ok(self)
    }

    /// Adds headers to each request, as [`header`](Self::header) does. Values that are marked as sensitive are not
    /// sent to another origin that a redirect leads to; `Authorization` and `Cookie` never are.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        // Extending a map by a map would replace what is there under the same name.
        let mut name = None;
        for (next_name, value) in headers {
            name = next_name.or(name);
            if let Some(name) = &name {
                self.headers.append(name.clone(), value);
            }
        }
        self
    }

    /// Sends `Authorization: Bearer …` with each request.
    ///
    /// # Errors
    ///
    /// [`Kind::Request`] if a header can't carry the token.
    pub fn bearer_token(mut self, token: &str) -> Result<Self, Error> {
        let (name, mut value) = header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Asks `provider` for headers before every attempt, reconnects included: for tokens that expire. They replace
    /// those of the same name, but for `Last-Event-ID`. When it fails, that counts as a failed connection
    /// ([`Kind::Headers`]); the time-outs of a connection hold for it, too.
    ///
    /// ```no_run
    /// # use fanfare_client::{EventSource, Error};
    /// # use http::HeaderMap;
    /// # async fn fresh_token() -> std::io::Result<String> { Ok(String::new()) }
    /// # fn main() -> Result<(), Error> {
    /// let events = EventSource::builder("https://api.example.com/events")
    ///     .header_provider(|| async {
    ///         let mut headers = HeaderMap::new();
    ///         headers.insert("authorization", format!("Bearer {}", fresh_token().await?).parse()?);
    ///         Ok(headers)
    ///     })
    ///     .stream()?;
    /// # let _ = events;
    /// # Ok(())
    /// # }
    /// ```
    pub fn header_provider<F>(mut self, provider: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<HeaderMap, Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        self.header_provider = Some(HeaderProvider(Arc::new(move || Box::pin(provider()))));
        self
    }

    /// Sends a body, again with each reconnect. It is shared between them and not copied.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends `value` as JSON, with its content type unless one was set.
    ///
    /// # Errors
    ///
    /// [`Kind::Request`] if it has no JSON.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        let body = serde_json::to_vec(value)
            .map_err(|error| Error::new(Kind::Request, "the request's body can't be JSON").with_source(error))?;
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        Ok(self.body(body))
    }

    /// Keeps cookies over redirects and reconnects, and sends them (C5). A [`client`](Self::client) that is handed in
    /// has cookies as it was configured.
    ///
    /// The jar, `cookie_store`, logs what it stores at the level debug through `log`: a program that has `log` in its own
    /// log should leave that target out.
    pub fn with_credentials(mut self, with_credentials: bool) -> Self {
        self.with_credentials = with_credentials;
        self
    }

    /// Sends this id as `Last-Event-ID` with the first request: the one to go on from. Later ones have the stream's own.
    ///
    /// ```no_run
    /// use fanfare_client::{EventId, EventSource};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut builder = EventSource::builder("http://localhost:3000/events");
    /// if let Ok(id) = std::fs::read_to_string("last-event-id") {
    ///     builder = builder.last_event_id(EventId::new(id)?);
    /// }
    /// let mut events = builder.stream()?;
    /// while let Some(event) = events.next().await {
    ///     let event = event?;
    ///     // What the event asks for is done here; only then is it behind us.
    ///     std::fs::write("last-event-id", event.last_event_id())?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn last_event_id(mut self, id: EventId) -> Self {
        self.last_event_id = Some(id);
        self
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|error| Error::new(Kind::Request, format!("{name:?} is no header's name")).with_source(error))?;
    // The value may be a secret and is not repeated.
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| {
        Error::new(Kind::Request, format!("the value of the header {name} is none")).with_source(error)
    })?;
    Ok((name, value))
}

/// The id in a header `Last-Event-ID`.
pub(super) fn initial_id(value: &HeaderValue) -> Result<EventId, Error> {
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    EventId::new(text)
        .map_err(|error| Error::new(Kind::Request, "the header Last-Event-ID is no id").with_source(error))
}
