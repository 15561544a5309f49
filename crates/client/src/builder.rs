//! What a connection may be asked to do beyond the standard.

mod request;

mod client;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use fanfare_wire::{EventId, Limits};
use http::{HeaderMap, Method};
use url::Url;

use crate::builder::client::Client;
use crate::builder::request::initial_id;
use crate::connection::{Connection, Timeouts};
use crate::credentials::redacted_text;
use crate::event::{DEFAULT_TYPE, ERROR_TYPE, OPEN_TYPE};
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

impl EventSourceBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            method: Method::GET,
            headers: HeaderMap::new(),
            header_provider: None,
            body: None,
            with_credentials: false,
            client: Client::default(),
            brotli: false,
            last_event_id: None,
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            limits: Limits::DEFAULT,
            stop: Stop::default(),
            listeners: Listeners::default(),
        }
    }
}

/// How long, how often, how much.
impl EventSourceBuilder {
    /// Whether and when it connects again: as the standard says, unless set.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How long an attempt may take until the head of the answer is there, redirects included; beyond it the attempt has
    /// failed with [`Kind::Timeout`]. None unless set. The stream itself has no time limit.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.connect = Some(timeout);
        self
    }

    /// How long the server may say nothing before the connection counts as dead, and is made anew ([`Kind::Timeout`]). Every
    /// byte is a sign of life, comments included; in a compressed stream, every byte that comes out of the decoder. It also
    /// bounds the wait for the head, unless there is a [`connect_timeout`](Self::connect_timeout). None unless set: take
    /// twice the server's keep-alive or more.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.idle = Some(timeout);
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
        let follows_redirects = self.client.follows_redirects();
        let client_credentials = self.client.credentials(self.with_credentials);
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
