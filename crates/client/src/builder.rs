//! What a connection may be asked to do beyond the standard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_wire::{EventId, Limits};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use url::Url;

use crate::connection::Connection;
use crate::event::{DEFAULT_TYPE, ERROR_TYPE, OPEN_TYPE};
use crate::listener::Listeners;
use crate::request::{HeaderProvider, LAST_EVENT_ID, Request};
use crate::session::Session;
use crate::{Error, Event, EventSource, Events, Kind, Listener, ListenerOptions, NewsStream, RetryPolicy};

/// Makes an [`EventSource`], or a stream of [`Events`] or [`News`](crate::News). With nothing said it does what the
/// standard says.
#[derive(Debug)]
#[must_use = "finish with `connect`, `stream` or `news`"]
pub struct EventSourceBuilder {
    url: String,
    method: Method,
    headers: HeaderMap,
    header_provider: Option<HeaderProvider>,
    body: Option<Bytes>,
    with_credentials: bool,
    client: Client,
    last_event_id: Option<EventId>,
    retry: RetryPolicy,
    connect_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    limits: Limits,
    listeners: Listeners,
}

/// Who speaks HTTP.
#[derive(Debug)]
enum Client {
    /// Finished here: redirects and cookies are ours.
    Builder(Box<reqwest::ClientBuilder>),
    /// As the user configured it.
    Ready(reqwest::Client),
}

/// How it is asked.
impl EventSourceBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            method: Method::GET,
            headers: HeaderMap::new(),
            header_provider: None,
            body: None,
            with_credentials: false,
            client: Client::Builder(Box::new(reqwest::Client::builder().user_agent(USER_AGENT))),
            last_event_id: None,
            retry: RetryPolicy::default(),
            connect_timeout: None,
            idle_timeout: None,
            limits: Limits::DEFAULT,
            listeners: Listeners::default(),
        }
    }

    /// The method, instead of GET.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Adds a header to each request. Names may repeat. `Accept` and `Cache-Control` replace those of the standard;
    /// `Last-Event-ID` is the initial one, and not sent again once the stream has set another.
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
    /// those of the same name, but for `Last-Event-ID`. When it fails, that counts as a failed connection.
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

    /// Sends a body, again with each reconnect.
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
    pub fn with_credentials(mut self, with_credentials: bool) -> Self {
        self.with_credentials = with_credentials;
        self
    }

    /// Sends this id as `Last-Event-ID` with the first request: the one to go on from.
    pub fn last_event_id(mut self, id: EventId) -> Self {
        self.last_event_id = Some(id);
        self
    }

    /// Uses a client that was configured elsewhere, and shares its connections. Its redirect policy holds, and a
    /// redirect that it does not follow is a failure. It should have no `timeout`, which would end every stream.
    pub fn client(mut self, client: reqwest::Client) -> Self {
        self.client = Client::Ready(client);
        self
    }

    /// Uses a client of this builder, for proxies, certificates and the like. Its redirect policy and cookie store
    /// are replaced. It should have no `timeout`, which would end every stream.
    pub fn client_builder(mut self, builder: reqwest::ClientBuilder) -> Self {
        self.client = Client::Builder(Box::new(builder));
        self
    }
}

/// How long, how often, how much.
impl EventSourceBuilder {
    /// Whether and when it connects again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How long an attempt may take until the head of the answer is there, redirects included. The stream itself has
    /// no time limit.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How long the server may say nothing before the connection counts as dead. Every byte is a sign of life,
    /// comments included. It also bounds the wait for the head, unless there is a
    /// [`connect_timeout`](Self::connect_timeout).
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// The most data that an event may have, in bytes. A larger one is skipped and the stream goes on. The default is
    /// 16 MiB.
    pub fn max_event_size(mut self, bytes: usize) -> Self {
        self.limits = Limits::for_event_bytes(bytes);
        self
    }
}

/// Listeners that are there before the first event: see [`EventSource`]. Only [`connect`](Self::connect) uses them.
impl EventSourceBuilder {
    /// As [`EventSource::on_open`].
    pub fn on_open(self, callback: impl FnMut(&Event) + Send + 'static) -> Self {
        self.handler(OPEN_TYPE, Listener::new(callback))
    }

    /// As [`EventSource::on_message`].
    pub fn on_message(self, callback: impl FnMut(&Event) + Send + 'static) -> Self {
        self.handler(DEFAULT_TYPE, Listener::new(callback))
    }

    /// As [`EventSource::on_error`].
    pub fn on_error(self, callback: impl FnMut(&Event) + Send + 'static) -> Self {
        self.handler(ERROR_TYPE, Listener::new(callback))
    }

    /// As [`EventSource::add_listener`].
    pub fn listener(mut self, event_type: &str, listener: &Listener, options: ListenerOptions) -> Self {
        self.listeners.add(event_type, listener, options);
        self
    }

    fn handler(mut self, event_type: &str, listener: Listener) -> Self {
        self.listeners.set_handler(event_type, listener);
        self
    }
}

/// What comes of it.
impl EventSourceBuilder {
    /// Connects, and calls the listeners.
    ///
    /// # Errors
    ///
    /// As [`EventSource::new`], and [`Kind::Request`] if the client can't be made.
    pub fn connect(mut self) -> Result<EventSource, Error> {
        let listeners = std::mem::take(&mut self.listeners);
        let with_credentials = self.with_credentials;
        EventSource::start(self.connection()?, listeners, with_credentials)
    }

    /// A stream of events, which connects when it is polled.
    ///
    /// # Errors
    ///
    /// [`Kind::Url`] if the URL does not parse (C3), [`Kind::Request`] if the client can't be made.
    pub fn stream(self) -> Result<Events, Error> {
        self.connection().map(Events::new)
    }

    /// A stream of events and everything else that happens, which connects when it is polled.
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream).
    pub fn news(self) -> Result<NewsStream, Error> {
        self.connection().map(NewsStream::new)
    }

    fn connection(mut self) -> Result<Connection, Error> {
        let url = Url::parse(&self.url)
            .map_err(|error| Error::new(Kind::Url, format!("{:?} is no URL", self.url)).with_source(error))?;
        if let Some(value) = self.headers.remove(LAST_EVENT_ID)
            && self.last_event_id.is_none()
        {
            self.last_event_id = Some(initial_id(&value)?);
        }
        let (client, follows_redirects) = self.client.finish(self.with_credentials)?;
        let request = Request {
            url,
            method: self.method,
            headers: self.headers,
            body: self.body,
            header_provider: self.header_provider,
            follows_redirects,
        };
        let session = Session::new(self.limits, self.retry, self.last_event_id.as_ref());
        Ok(Connection::new(session, request, client, self.connect_timeout, self.idle_timeout))
    }
}

impl Client {
    /// The client, and whether redirects are followed here.
    fn finish(self, with_credentials: bool) -> Result<(reqwest::Client, bool), Error> {
        match self {
            Self::Ready(client) => Ok((client, false)),
            Self::Builder(builder) => builder
                .redirect(reqwest::redirect::Policy::none())
                .cookie_store(with_credentials)
                .build()
                .map(|client| (client, true))
                .map_err(|error| Error::new(Kind::Request, "the HTTP client can't be made").with_source(error)),
        }
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

fn initial_id(value: &HeaderValue) -> Result<EventId, Error> {
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    EventId::new(text)
        .map_err(|error| Error::new(Kind::Request, "the header Last-Event-ID is no id").with_source(error))
}

const USER_AGENT: &str = concat!("fanfare-client/", env!("CARGO_PKG_VERSION"));
