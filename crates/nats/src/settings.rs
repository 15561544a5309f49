//! Where NATS is, and what the stream is to be.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use async_nats::ServerAddr;
use fanfare_log::{Retention, Timestamp};

use crate::certificates::ClientCertificate;
use crate::credentials_file::CredentialsFile;
use crate::unusable_file::UnusableFile;

/// What an engine is told.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The servers, any of which is enough.
    pub servers: Servers,
    /// Who the node is. It wins over what the servers' URL says. `None` unless set.
    pub credentials: Option<Credentials>,
    /// A file with the certificates (PEM) of those who sign the servers', in place of those whom the system trusts. Read
    /// when it connects, and used where the servers speak TLS.
    pub ca: Option<PathBuf>,
    /// Who the node is to servers that ask for a certificate. `None` unless set.
    pub certificate: Option<ClientCertificate>,
    /// The stream, which is made if there is none. `FANFARE` unless set. Hubs with the same stream are one.
    pub stream: StreamName,
    /// How many servers keep the stream, 3 to outlast the loss of one; NATS takes 5 at most. A new one is kept by one unless
    /// this says more; one that exists must have as many at least.
    pub replicas: Option<usize>,
    /// How much history the stream keeps at least, and how much of it a node asks for when it starts. The same as the local
    /// log's, or a node that starts fetches what it drops, or lacks what it could keep.
    pub retention: Retention,
    /// The time of day, in milliseconds since 1970. It names epochs.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Settings {
    /// Everything as it is by default.
    #[must_use]
    pub fn new(servers: Servers, retention: Retention, clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self {
            servers,
            credentials: None,
            ca: None,
            certificate: None,
            stream: StreamName::default(),
            replicas: None,
            retention,
            clock,
        }
    }

    /// Who the node is, by the settings or else by the servers' URL.
    pub(crate) fn identity(&self) -> Option<&Credentials> {
        self.credentials.as_ref().or(self.servers.credentials.as_ref())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("servers", &self.servers)
            .field("credentials", &self.credentials)
            .field("stream", &self.stream)
            .field("replicas", &self.replicas)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

/// Who a node is to the servers. No `Debug` shows a secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// A user and a password, in this order.
    Password(String, String),
    /// A token.
    Token(String),
    /// A credentials file, as `nsc` writes it. It is read for each connection.
    File(PathBuf),
}

impl Credentials {
    /// Looks whether a credentials file can be used.
    ///
    /// # Errors
    ///
    /// [`UnusableFile`] if it can't be read, or is none.
    pub fn check(&self) -> Result<(), UnusableFile> {
        match self {
            Self::File(path) => CredentialsFile::read(path).map(drop),
            Self::Password(..) | Self::Token(_) => Ok(()),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(user, _) => f.debug_tuple("Password").field(user).field(&"…").finish(),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// The servers of a cluster: `nats://host:port,host:port`. `tls://` asks for TLS. A user and password, or a token, may stand
/// before the first host, as in `nats://user:password@host`, percent-encoded. A server without a port has 4222. Neither `Debug`
/// nor `Display` shows them.
///
/// ```
/// use fanfare_nats::Servers;
///
/// let servers: Servers = "nats://hub:s3cret@one.example,two.example:4223".parse()?;
/// assert_eq!(servers.to_string(), "nats://one.example:4222,two.example:4223");
/// # Ok::<(), fanfare_nats::InvalidServers>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Servers {
    pub(crate) addresses: Vec<String>,
    pub(crate) is_tls: bool,
    pub(crate) credentials: Option<Credentials>,
}

impl FromStr for Servers {
    type Err = InvalidServers;

    fn from_str(text: &str) -> Result<Self, InvalidServers> {
        let mut servers = Self { addresses: Vec::new(), is_tls: false, credentials: None };
        for (index, server) in text.split(',').map(str::trim).enumerate() {
            let (scheme, rest) = server.split_once("://").unwrap_or(("", server));
            match (scheme, index) {
                ("nats", _) | ("", 1..) => {}
                ("tls", _) => servers.is_tls = true,
                _ => return Err(InvalidServers::Scheme),
            }
            // The last `@` ends the credentials: a password may hold one.
            let (credentials, host) = match rest.rsplit_once('@') {
                Some((credentials, host)) => (Some(credentials), host),
                None => (None, rest),
            };
            if let Some(found) = credentials {
                let parsed = match found.split_once(':') {
                    Some((user, password)) => Credentials::Password(decoded(user)?, decoded(password)?),
                    None => Credentials::Token(decoded(found)?),
                };
                servers.credentials.get_or_insert(parsed);
            }
            let host = host.strip_suffix('/').unwrap_or(host);
            // What the client makes of it is shown: it holds no secret.
            let address: ServerAddr = host.parse().map_err(|_| InvalidServers::Address(host.to_owned()))?;
            if host.is_empty() || host.contains(['/', '?', '#']) {
                return Err(InvalidServers::Address(host.to_owned()));
            }
            let (host, port) = (address.host(), address.port());
            servers.addresses.push(if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            });
        }
        Ok(servers)
    }
}

/// Undoes the percent signs of a URL.
fn decoded(text: &str) -> Result<String, InvalidServers> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(InvalidServers::Credentials) };
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| InvalidServers::Credentials)
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "tls" } else { "nats" }, self.addresses.join(","))
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not the servers of a cluster. No error shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidServers {
    /// It is not for NATS.
    #[error("write the engine as nats://HOST:PORT, with more servers after commas, or tls:// for TLS")]
    Scheme,
    /// A server has no usable address.
    #[error("`{0}` is no address of a server: write it as HOST:PORT")]
    Address(String),
    /// The part before the `@` can't be read.
    #[error("the user or password in the engine's URL is not percent-encoded text")]
    Credentials,
}

/// The name of a stream: 1 to 200 letters, digits, `-` and `_`, as its key-value bucket needs it too. `FANFARE` by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamName(String);

impl StreamName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What batches are published on.
    pub(crate) fn subject(&self) -> String {
        format!("fanfare.{}", self.0)
    }

    /// The bucket beside it.
    pub(crate) fn bucket(&self) -> String {
        format!("{}-epoch", self.0)
    }
}

impl Default for StreamName {
    fn default() -> Self {
        Self("FANFARE".to_owned())
    }
}

impl FromStr for StreamName {
    type Err = InvalidStreamName;

    fn from_str(text: &str) -> Result<Self, InvalidStreamName> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        // The bucket's stream has a longer name, of which a server takes 255 bytes.
        if text.is_empty() || text.len() > 200 || !text.bytes().all(is_allowed) {
            return Err(InvalidStreamName);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Not the name of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream's name has 1 to 200 letters, digits, `-` or `_`")]
pub struct InvalidStreamName;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, Option<Credentials>), InvalidServers>) {
        let parsed = text.parse::<Servers>();
        let shown = parsed.as_ref().map(|servers| (servers.to_string(), servers.credentials.clone()));
        let expected = expected.map(|(shown, credentials)| (shown.to_owned(), credentials));
        assert_eq!(shown.map_err(Clone::clone), expected, "{text}");
    }

    #[test]
    fn servers_are_hosts_and_the_secret_is_kept_apart() {
        let password = |user: &str, password: &str| Some(Credentials::Password(user.into(), password.into()));
        check("nats://a:4222", Ok(("nats://a:4222", None)));
        check("nats://a", Ok(("nats://a:4222", None)));
        check("nats://a:1,b:2, nats://c:3/", Ok(("nats://a:1,b:2,c:3", None)));
        check("tls://a", Ok(("tls://a:4222", None)));
        check("nats://u:p@a,u:p@b", Ok(("nats://a:4222,b:4222", password("u", "p"))));
        check("nats://u:p%40%3aq@[::1]:7", Ok(("nats://[::1]:7", password("u", "p@:q"))));
        check("nats://t0ken@a", Ok(("nats://a:4222", Some(Credentials::Token("t0ken".into())))));
        for wrong in ["a:4222", "http://a", "wss://a", ""] {
            check(wrong, Err(InvalidServers::Scheme));
        }
        check("nats://u:%zz@a", Err(InvalidServers::Credentials));
        check("nats://a:0x", Err(InvalidServers::Address("a:0x".into())));
        check("nats://a/path", Err(InvalidServers::Address("a/path".into())));
        check("nats://", Err(InvalidServers::Address(String::new())));
    }

    #[test]
    fn no_secret_is_shown() {
        let servers: Servers = "nats://user:s3cret@a".parse().unwrap();
        let settings = Settings::new(servers, Retention::default(), Arc::new(|| Timestamp(0)));
        let shown =
            format!("{settings:?} {:?} {:?}", settings.servers.credentials, Credentials::Token("s3cret".into()));
        assert!(shown.contains("user") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_name_is_what_a_bucket_may_have() {
        assert!("EVENTS_2-b".parse::<StreamName>().is_ok());
        for wrong in ["", "a.b", "a b", "a*", "ä", &"x".repeat(201)] {
            assert_eq!(wrong.parse::<StreamName>(), Err(InvalidStreamName));
        }
    }
}
