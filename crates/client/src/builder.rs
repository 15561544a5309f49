//! What a connection may be asked to do beyond the standard.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_wire::{EventId, Limits};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use url::Url;

use crate::connection::{Connection, Timeouts};
use crate::credentials::redacted_text;
use crate::event::{DEFAULT_TYPE, ERROR_TYPE, OPEN_TYPE};
use crate::limits::{HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_STREAM_WINDOW_BYTES};
use crate::listener::Listeners;
use crate::request::{HeaderProvider, LAST_EVENT_ID, Request};
use crate::session::Session;
use crate::stop::{Delivery, Stop};
use crate::{
    BlockingEvents, Error, Event, EventSource, Events, Kind, Listener, ListenerOptions, NewsStream, RetryPolicy,
};

/// Makes an [`EventSource`], a stream of [`Events`] or [`News`](crate::News), or [`BlockingEvents`]. With nothing said it
/// does what the standard says.
///
/// `Debug` shows no header's value, no body, and of the URL no user, password and query: they may be secret.
#[must_use = "finish with `connect`, `stream`, `news` or `blocking`"]
pub struct EventSourceBuilder {
    url: String,
    method: Method,
    headers: HeaderMap,
    header_provider: Option<HeaderProvider>,
    body: Option<Bytes>,
    with_credentials: bool,
    client: Client,
    brotli: bool,
    last_event_id: Option<EventId>,
    retry: RetryPolicy,
    timeouts: Timeouts,
    limits: Limits,
    stop: Stop,
    listeners: Listeners,
}

/// Who speaks HTTP.
enum Client {
    /// Made here.
    Own,
    /// Begun by the user and finished here: redirects and cookies are ours.
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
            client: Client::Own,
            brotli: false,
            last_event_id: None,
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            limits: Limits::DEFAULT,
            stop: Stop::default(),
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

    /// Uses a client that was configured elsewhere, and shares its connections. Its redirect policy holds, and a
    /// redirect that it does not follow is a failure; what it keeps from another origin is its affair too. It should have
    /// no `timeout`, which would end every stream. Over HTTP/2 a reconnect may share the connection that has just gone
    /// silent: give the client `http2_keep_alive_interval`.
    pub fn client(mut self, client: reqwest::Client) -> Self {
        self.client = Client::Ready(client);
        self
    }

    /// Uses a client of this builder, for proxies, certificates and the like. Its redirect policy, its cookie store, its
    /// pool and its HTTP/2 windows are replaced. It should have no `timeout`, which would end every stream. Of its default
    /// headers `Authorization`, `Proxy-Authorization` and `Cookie` do not go to another origin that a redirect leads to;
    /// all others do: give an API key to [`headers`](Self::headers) instead, marked as sensitive.
    ///
    /// ```no_run
    /// use fanfare_client::EventSource;
    /// use reqwest::{Certificate, Client, Identity, Proxy};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder()
    ///     .proxy(Proxy::all("http://proxy.example.com:3128")?)
    ///     .tls_certs_merge([Certificate::from_pem(&std::fs::read("authority.pem")?)?])
    ///     .identity(Identity::from_pem(&std::fs::read("certificate-and-key.pem")?)?);
    /// let events = EventSource::builder("https://example.com/events").client_builder(client).stream()?;
    /// # let _ = events;
    /// # Ok(())
    /// # }
    /// ```
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
        self.timeouts.connect = Some(timeout);
        self
    }

    /// How long the server may say nothing before the connection counts as dead. Every byte is a sign of life,
    /// comments included; in a compressed stream, every byte that comes out of the decoder. It also bounds the wait for
    /// the head, unless there is a [`connect_timeout`](Self::connect_timeout).
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.idle = Some(timeout);
        self
    }

    /// Offers Brotli too, and decodes it as it arrives. Only for servers that are trusted: one can make the decoder beneath
    /// take 1 GiB of memory. A [`client`](Self::client) that is handed in offers what it was configured to.
    pub fn brotli(mut self, is_offered: bool) -> Self {
        self.brotli = is_offered;
        self
    }

    /// The most data that an event may have, in bytes. A larger one is skipped and the stream goes on; [`news`](Self::news)
    /// and a warning of `tracing` tell of it, and its id counts. The default is 16 MiB. A compressed stream is decoded in
    /// pieces of a few KiB, so this holds for one that grows without end, too.
    pub fn max_event_size(mut self, bytes: usize) -> Self {
        self.limits = Limits::for_event_bytes(bytes);
        self
    }
}

/// When it has said all. Without these nothing that a server sends ends a stream for good, but for 204.
///
/// A stream that stops so ends without an error, and the connection is closed as by [`EventSource::close`]: without an
/// `error` event, so await [`EventSource::closed`]. [`last_event_id`](EventSource::last_event_id) includes the last event.
/// Each may be given more than once; the first predicate that is true decides.
impl EventSourceBuilder {
    /// Stops at the event for which `predicate` is true, and withholds it: for an end mark that is no data.
    ///
    /// ```no_run
    /// # use fanfare_client::{Error, EventSource};
    /// # async fn example() -> Result<(), Error> {
    /// let builder = EventSource::builder("https://api.example.com/v1/chat").stop_before(|event| event.data() == "[DONE]");
    /// let mut events = builder.stream()?;
    /// while let Some(event) = events.next().await {
    ///     println!("{}", event?.json::<serde_json::Value>()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop_before(mut self, predicate: impl FnMut(&Event) -> bool + Send + 'static) -> Self {
        self.stop.push(Delivery::Withheld, Box::new(predicate));
        self
    }

    /// Stops at the event for which `predicate` is true, and delivers it: for a last event that says something, such as
    /// one of the type `response.completed`.
    pub fn stop_after(mut self, predicate: impl FnMut(&Event) -> bool + Send + 'static) -> Self {
        self.stop.push(Delivery::Delivered, Box::new(predicate));
        self
    }

    /// Stops when the server ends the stream properly, instead of connecting again (C18): for APIs that have no end
    /// mark. What fails before that is tried again, as the [`retry`](Self::retry) policy says.
    ///
    /// A response without a length or chunks ends with its connection, and there a connection that breaks in the right
    /// way looks like an end.
    pub fn stop_at_end(mut self) -> Self {
        self.stop.is_at_end = true;
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

    /// An iterator over events that blocks its thread, for programs without a tokio runtime. It connects with the first
    /// [`next`](Iterator::next).
    ///
    /// ```no_run
    /// # use fanfare_client::{Error, EventSource};
    /// # fn main() -> Result<(), Error> {
    /// for event in EventSource::builder("http://localhost:3000/events").blocking()? {
    ///     println!("{}", event?.data());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream), and [`Kind::Runtime`] inside a tokio runtime, or if none can be made.
    pub fn blocking(self) -> Result<BlockingEvents, Error> {
        BlockingEvents::new(|| self.connection())
    }

    fn connection(mut self) -> Result<Connection, Error> {
        let url = Url::parse(&self.url).map_err(|error| {
            Error::new(Kind::Url, format!("{:?} is no URL", redacted_text(&self.url))).with_source(error)
        })?;
        if let Some(value) = self.headers.remove(LAST_EVENT_ID)
            && self.last_event_id.is_none()
        {
            self.last_event_id = Some(initial_id(&value)?);
        }
        let (follows_redirects, client_credentials) = match &self.client {
            Client::Own => (true, vec![]),
            // With credentials the cookies are in our jar, which knows whose they are.
            Client::Builder(_) if self.with_credentials => (true, vec![AUTHORIZATION, PROXY_AUTHORIZATION]),
            Client::Builder(_) => (true, vec![AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE]),
            Client::Ready(_) => (false, vec![]),
        };
        let client = self.client.finish(self.with_credentials, self.brotli)?;
        let request = Request {
            url,
            method: self.method,
            headers: self.headers,
            body: self.body,
            header_provider: self.header_provider,
            client_credentials,
            follows_redirects,
        };
        let session = Session::new(self.limits, self.retry, self.stop, self.last_event_id.as_ref());
        Ok(Connection::new(session, request, client, self.timeouts))
    }
}

impl fmt::Debug for EventSourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSourceBuilder")
            .field("url", &redacted_text(&self.url))
            .field("method", &self.method)
            .field("header_names", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .field("with_credentials", &self.with_credentials)
            .field("last_event_id", &self.last_event_id)
            .field("retry", &self.retry)
            .field("timeouts", &self.timeouts)
            .field("limits", &self.limits)
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

impl Client {
    fn finish(self, with_credentials: bool, brotli: bool) -> Result<reqwest::Client, Error> {
        let builder = match self {
            Self::Ready(client) => return Ok(client),
            Self::Builder(builder) => *builder,
            Self::Own => reqwest::Client::builder().user_agent(USER_AGENT),
        };
        let client = builder
            .redirect(reqwest::redirect::Policy::none())
            .cookie_store(with_credentials)
            .brotli(brotli)
            // A reconnect gets a connection of its own. Over HTTP/2 the pool would hand out the one that has just gone
            // silent, on which every attempt would run into its time-out until TCP gives up.
            .pool_max_idle_per_host(0)
            .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
            .build();
        client.map_err(|error| Error::new(Kind::Request, "the HTTP client can't be made").with_source(error))
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
