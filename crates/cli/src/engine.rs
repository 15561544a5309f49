//! Who makes the order: the hub alone, or NATS for many.

use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use fanfare_hub::{Clock, HubBuilder, Neighbours, NodeId, Receiving, Sending, SystemClock};
use fanfare_log::{Log, Retention};
use fanfare_nats::{
    Bus, ClientCertificate, Credentials, NatsEngine, Servers, Settings, StartError, StreamName, check_certificates,
};

use crate::Failure;
use crate::options::Said;
use crate::secret::Secret;

/// The engine as it was asked for, and checked.
#[derive(Debug, Clone)]
pub(crate) struct EngineSettings {
    servers: Servers,
    credentials: Option<Credentials>,
    ca: Option<PathBuf>,
    certificate: Option<ClientCertificate>,
    stream: StreamName,
    replicas: Option<usize>,
}

impl EngineSettings {
    pub(crate) fn of(said: &Said<'_>) -> anyhow::Result<Self> {
        let usage = |flag: &str, error: &dyn std::fmt::Display| Failure::usage(format!("{flag}: {error}"));
        let text = |flag: &str, secret: &Secret| -> anyhow::Result<String> {
            Ok(String::from_utf8(secret.read()?).map_err(|_| Failure::usage(format!("{flag} is not UTF-8")))?)
        };
        let servers = text("--engine", said.engine)?;
        let servers = Servers::from_str(&servers).map_err(|error| usage("--engine", &error))?;
        let stream = said.stream.map(StreamName::from_str).transpose();
        let stream = stream.map_err(|error| usage("--engine-stream", &error))?;
        let credentials = match (said.user, said.password, said.token, said.creds) {
            (None, None, None, None) => None,
            (Some(user), Some(password), None, None) => {
                Some(Credentials::Password(user.to_owned(), text("--engine-password", password)?))
            }
            (None, None, Some(token), None) => Some(Credentials::Token(text("--engine-token", token)?)),
            (None, None, None, Some(path)) => Some(Credentials::File(path.clone())),
            (None, Some(_), ..) | (Some(_), None, ..) => {
                return Err(Failure::usage("--engine-user and --engine-password go together").into());
            }
            _ => return Err(Failure::usage("give the engine one of a user, a token and a credentials file").into()),
        };
        let certificate = match (said.cert.cloned(), said.key.cloned()) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            _ => return Err(Failure::usage("--engine-cert and --engine-key go together").into()),
        };
        let unusable = |flag: &'static str| move |error| usage(flag, &told(&error));
        credentials.as_ref().map_or(Ok(()), Credentials::check).map_err(unusable("--engine-creds"))?;
        check_certificates(said.ca.map(PathBuf::as_path), None).map_err(unusable("--engine-ca"))?;
        check_certificates(None, certificate.as_ref()).map_err(unusable("--engine-cert"))?;
        let (ca, stream) = (said.ca.cloned(), stream.unwrap_or_default());
        Ok(Self { servers, credentials, ca, certificate, stream, replicas: said.replicas })
    }

    /// Starts it on `log`, in which it keeps what it follows, for a hub that speaks with others of its
    /// kind if it `has_neighbours`.
    pub(crate) async fn start(
        &self,
        builder: HubBuilder,
        (log, retention): (Arc<dyn Log>, Retention),
        has_neighbours: bool,
    ) -> anyhow::Result<HubBuilder> {
        let mut settings = Settings::new(self.servers.clone(), retention, Arc::new(|| SystemClock.now()));
        settings.credentials.clone_from(&self.credentials);
        settings.ca.clone_from(&self.ca);
        settings.certificate.clone_from(&self.certificate);
        settings.stream = self.stream.clone();
        settings.replicas = self.replicas;
        let started = async {
            let engine = NatsEngine::start(settings, log.clone()).await?;
            // Whoever does not listen must not have it come.
            let bus = if has_neighbours { Some(engine.bus().await?) } else { None };
            Ok::<_, StartError>((engine, bus))
        };
        match started.await {
            Ok((engine, bus)) => {
                let builder = builder.engine(Arc::new(engine), log);
                Ok(match bus {
                    Some(bus) => builder.neighbours(Arc::new(Nodes(bus))),
                    None => builder,
                })
            }
            Err(error) => {
                let text = told(&error);
                Err(match error {
                    StartError::Refused(..) | StartError::Tls(..) | StartError::NoJetStream(..) => {
                        Failure::refused(text).into()
                    }
                    _ => Failure::usage(text).into(),
                })
            }
        }
    }
}

/// An error with its cause.
fn told(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// The hubs on the same stream.
#[derive(Debug)]
struct Nodes(Bus);

impl Neighbours for Nodes {
    fn node(&self) -> NodeId {
        NodeId::new(self.0.node())
    }

    fn message_bytes_max(&self) -> usize {
        self.0.message_bytes_max().unwrap_or(NATS_PAYLOAD_BYTES)
    }

    fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    fn send(&self, to: Option<NodeId>, message: Vec<u8>) -> Sending<'_> {
        Box::pin(self.0.send(to.map(NodeId::bits), message))
    }

    fn receive(&self) -> Receiving<'_> {
        Box::pin(self.0.receive())
    }
}

/// What a server takes that was told nothing else.
const NATS_PAYLOAD_BYTES: usize = 1 << 20;

/// Without a secret.
impl std::fmt::Display for EngineSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, stream {}", self.servers, self.stream.as_str())
    }
}
