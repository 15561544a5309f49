//! Who speaks HTTP: a client made here, one that was begun elsewhere, or one that is ready.

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};

use crate::builder::EventSourceBuilder;
use crate::limits::{HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_STREAM_WINDOW_BYTES};
use crate::{Error, Kind};

/// Who speaks HTTP.
#[derive(Default)]
pub(super) enum Client {
    /// Made here.
    #[default]
    Own,
    /// Begun by the user and finished here: redirects and cookies are ours.
    Builder(Box<reqwest::ClientBuilder>),
    /// As the user configured it.
    Ready(reqwest::Client),
}

/// Who asks.
impl EventSourceBuilder {
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

    /// Offers Brotli too, and decodes it as it arrives. Only for servers that are trusted: one can make the decoder beneath
    /// take 1 GiB of memory. Off unless set. A [`client`](Self::client) that is handed in offers what it was configured to.
    pub fn brotli(mut self, is_offered: bool) -> Self {
        self.brotli = is_offered;
        self
    }
}

impl Client {
    /// Whether redirects are ours to follow.
    pub(super) fn follows_redirects(&self) -> bool {
        !matches!(self, Self::Ready(_))
    }

    /// What it may add to each request by itself, and must not to one that a redirect sends elsewhere.
    pub(super) fn credentials(&self, with_credentials: bool) -> Vec<HeaderName> {
        match self {
            // With credentials the cookies are in our jar, which knows whose they are.
            Self::Builder(_) if with_credentials => vec![AUTHORIZATION, PROXY_AUTHORIZATION],
            Self::Builder(_) => vec![AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE],
            Self::Own | Self::Ready(_) => vec![],
        }
    }

    pub(super) fn finish(self, with_credentials: bool, brotli: bool) -> Result<reqwest::Client, Error> {
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

const USER_AGENT: &str = concat!("fanfare-client/", env!("CARGO_PKG_VERSION"));
