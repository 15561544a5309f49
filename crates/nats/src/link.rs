//! The connection to the servers.

use std::error::Error;
use std::io;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, Server, ServerAddr};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::StartError;
use crate::certificates::{check_certificates, is_of_tls};
use crate::credentials_file;
use crate::limits::{
    CHECK_INTERVAL, COMMANDS_MAX, CONNECT_ATTEMPTS, CONNECTION_TIMEOUT, INBOX_MESSAGES_MAX, PING_INTERVAL,
    PUBLISHES_MAX, REQUEST_TIMEOUT,
};
use crate::settings::{Credentials, Settings};
use crate::status::{Disconnection, Status};

/// Connects. Where no server is there yet, the client goes on trying, and this returns at once.
pub(crate) async fn connect(settings: &Settings, status: &watch::Sender<Status>) -> Result<Context, StartError> {
    check_certificates(settings.ca.as_deref(), settings.certificate.as_ref())?;
    settings.identity().map_or(Ok(()), Credentials::check)?;
    let options = || options(settings, status);
    let addresses: Vec<ServerAddr> = settings
        .servers
        .addresses
        .iter()
        .map(|address| address.parse().map_err(|_| StartError::Address(address.clone())))
        .collect::<Result<_, _>>()?;
    // The first attempt tells a mistake in the settings, which no waiting mends, from a server that is away.
    let client = match first_attempts(&options, &addresses).await {
        Ok(client) => client,
        Err(error) => match final_error(settings, error) {
            Ok(refused) => return Err(refused),
            Err(error) => {
                tracing::warn!(servers = %settings.servers, %error, "NATS is away: waiting for it");
                status.send_modify(|status| status.disconnection = Some(Disconnection::Away(error.to_string())));
                let connecting = options().retry_on_initial_connect().connect(addresses).await;
                connecting.map_err(|error| StartError::Refused(settings.servers.to_string(), error.into()))?
            }
        },
    };
    if client.connection_state() == State::Connected {
        status.send_modify(Status::connect);
    }
    Ok(ContextBuilder::new().timeout(REQUEST_TIMEOUT).max_ack_inflight(PUBLISHES_MAX).build(client))
}

fn options(settings: &Settings, status: &watch::Sender<Status>) -> ConnectOptions {
    let (status, attempts) = (status.clone(), status.clone());
    let options = match settings.identity().cloned() {
        None => ConnectOptions::new(),
        Some(Credentials::Password(user, password)) => ConnectOptions::with_user_and_password(user, password),
        Some(Credentials::Token(token)) => ConnectOptions::with_token(token),
        Some(Credentials::File(path)) => {
            ConnectOptions::with_auth_callback(move |nonce| credentials_file::answer(path.clone(), nonce))
        }
    };
    let mut options = options
        .name("fanfare")
        .require_tls(settings.servers.is_tls)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .connection_timeout(CONNECTION_TIMEOUT)
        // A connection that is cut without a word is given up after two pings that nobody answers.
        .ping_interval(PING_INTERVAL)
        .client_capacity(COMMANDS_MAX)
        .subscription_capacity(INBOX_MESSAGES_MAX)
        .reconnect_delay_callback(reconnect_delay)
        // It is asked before each round of attempts, and the only one that is told what the last round came to.
        .reconnect_to_server_callback(move |servers, _| {
            note_attempts(&servers, &attempts);
            std::future::ready(None)
        })
        .event_callback(move |event| {
            note(&event, &status);
            std::future::ready(())
        });
    if let Some(ca) = &settings.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let Some(own) = &settings.certificate {
        options = options.add_client_certificate(own.certificate.clone(), own.key.clone());
    }
    options
}

/// The first attempt, and some more where a server cut the connection without a word: one that refuses a certificate
/// says so after its side of the handshake, and what we have sent by then may have the word thrown away.
async fn first_attempts(
    options: &impl Fn() -> ConnectOptions,
    addresses: &[ServerAddr],
) -> Result<Client, ConnectError> {
    let mut outcome = options().connect(addresses.to_vec()).await;
    for _ in 1..CONNECT_ATTEMPTS {
        match &outcome {
            Err(error) if is_cut(error) => outcome = options().connect(addresses.to_vec()).await,
            _ => break,
        }
    }
    outcome
}

fn is_cut(error: &ConnectError) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    matches!(cause, Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof))
}

/// What is of no use to try again. Any other error is given back.
fn final_error(settings: &Settings, error: ConnectError) -> Result<StartError, ConnectError> {
    let servers = settings.servers.to_string();
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            Ok(StartError::Refused(servers, error.into()))
        }
        ConnectErrorKind::Tls => Ok(StartError::Tls(servers, error.into())),
        _ if is_of_tls(&error) => Ok(StartError::Tls(servers, error.into())),
        _ => Err(error),
    }
}

/// Waits for a connection. An event that tells of one can get lost among many, so the client is looked at as well.
pub(crate) async fn connected(client: &Client, status: &watch::Sender<Status>) {
    let mut watched = status.subscribe();
    while timeout(CHECK_INTERVAL, watched.wait_for(|status| status.is_connected)).await.is_err() {
        if client.connection_state() == State::Connected {
            status.send_modify(Status::connect);
        }
    }
}

/// Notes why servers could not be connected to, and says so when it is another reason than before.
fn note_attempts(servers: &[Server], status: &watch::Sender<Status>) {
    let mut said: Vec<String> = servers
        .iter()
        .filter_map(|server| {
            Some(format!("{}:{}: {}", server.addr.host(), server.addr.port(), server.last_error.as_ref()?))
        })
        .collect();
    if said.is_empty() {
        return;
    }
    said.sort();
    let is_refused = servers.iter().filter_map(|server| server.last_error.as_deref()).any(is_refusal);
    let said = said.join("; ");
    let why = if is_refused { Disconnection::Refused(said.clone()) } else { Disconnection::Away(said.clone()) };
    let is_news = status.send_if_modified(|status| {
        let is_news = !status.is_connected && status.disconnection.as_ref() != Some(&why);
        if is_news {
            status.disconnection = Some(why);
        }
        is_news
    });
    match (is_news, is_refused) {
        (true, true) => {
            tracing::warn!("NATS does not let this node in: look at its credentials and certificates: {said}")
        }
        (true, false) => tracing::warn!("NATS is away: {said}"),
        (false, _) => {}
    }
}

/// Whether a server did not want this node, or the other way round. The client keeps the text of an error alone.
fn is_refusal(error: &str) -> bool {
    let kinds = [ConnectErrorKind::AuthorizationViolation, ConnectErrorKind::Authentication, ConnectErrorKind::Tls];
    kinds.iter().any(|kind| error.starts_with(&kind.to_string())) || TLS_ERRORS.iter().any(|text| error.contains(text))
}

/// As the TLS library shows its errors about certificates, ours and theirs.
const TLS_ERRORS: [&str; 2] = ["invalid peer certificate", "received fatal alert"];

fn note(event: &Event, status: &watch::Sender<Status>) {
    match event {
        Event::Connected => {
            tracing::info!("connected to NATS");
            status.send_modify(Status::connect);
        }
        Event::Disconnected | Event::Closed => {
            tracing::warn!("the connection to NATS is lost: trying again");
            status.send_modify(|status| status.is_connected = false);
        }
        // Of permissions, and of credentials that end under way. It may say the same of every publish.
        Event::ServerError(error) => {
            let mut is_news = false;
            status.send_if_modified(|status| {
                is_news = status.server_error.as_ref() != Some(error);
                status.server_error = Some(error.clone());
                false
            });
            if is_news {
                tracing::warn!("a server of NATS says: {error}");
            }
        }
        Event::SlowConsumer(_) => tracing::debug!("more came from NATS than is held: it is asked for again"),
        event => tracing::debug!(%event, "NATS"),
    }
}

/// Soon at first, then a little apart: a thousand nodes must not fall on a server that has just come back.
fn reconnect_delay(attempt: usize) -> Duration {
    match attempt {
        0 | 1 => Duration::ZERO,
        attempt => {
            let step = Duration::from_millis(50) * u32::try_from(attempt.min(20)).unwrap_or(20);
            step.mul_f64(0.5 + fastrand::f64() / 2.0)
        }
    }
}

/// The server's largest message, in bytes, if there is a connection.
pub(crate) fn payload_bytes_max(client: &Client) -> usize {
    client.max_payload()
}
