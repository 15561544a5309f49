//! The connection to the servers.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use tokio::sync::watch;

use crate::StartError;
use crate::limits::{PUBLISHES_MAX, REQUEST_TIMEOUT};
use crate::settings::{Credentials, Settings};
use crate::status::Status;

/// Connects. Where no server is there yet, the client goes on trying, and this returns at once.
pub(crate) async fn connect(settings: &Settings, status: &watch::Sender<Status>) -> Result<Context, StartError> {
    let options = || options(settings, status);
    let addresses: Vec<ServerAddr> = settings
        .servers
        .addresses
        .iter()
        .map(|address| address.parse().map_err(|_| StartError::Address(address.clone())))
        .collect::<Result<_, _>>()?;
    // The first attempt tells a mistake in the settings, which no waiting mends, from a server that is away.
    let refused = |error: ConnectError| StartError::Refused(settings.servers.to_string(), error.into());
    let client = match options()?.connect(addresses.clone()).await {
        Ok(client) => client,
        Err(error) if is_final(&error) => return Err(refused(error)),
        Err(error) => {
            tracing::warn!(servers = %settings.servers, %error, "NATS is away: waiting for it");
            options()?.retry_on_initial_connect().connect(addresses).await.map_err(refused)?
        }
    };
    let is_connected = client.connection_state() == State::Connected;
    status.send_modify(|status| status.is_connected = is_connected);
    Ok(ContextBuilder::new().timeout(REQUEST_TIMEOUT).max_ack_inflight(PUBLISHES_MAX).build(client))
}

fn options(settings: &Settings, status: &watch::Sender<Status>) -> Result<ConnectOptions, StartError> {
    let status = status.clone();
    let mut options = ConnectOptions::new()
        .name("fanfare")
        .require_tls(settings.servers.is_tls)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .connection_timeout(CONNECTION_TIMEOUT)
        // A connection that is cut without a word is given up after two pings that nobody answers.
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            note(&event, &status);
            std::future::ready(())
        });
    if let Some(ca) = &settings.ca {
        options = options.add_root_certificates(ca.clone());
    }
    Ok(match settings.credentials.clone().or_else(|| settings.servers.credentials.clone()) {
        None => options,
        Some(Credentials::Password(user, password)) => options.user_and_password(user, password),
        Some(Credentials::Token(token)) => options.token(token),
        Some(Credentials::File(text)) => options.credentials(&text).map_err(StartError::Credentials)?,
    })
}

/// Whether it is of no use to try again.
fn is_final(error: &ConnectError) -> bool {
    matches!(
        error.kind(),
        ConnectErrorKind::Authentication
            | ConnectErrorKind::AuthorizationViolation
            | ConnectErrorKind::ServerParse
            | ConnectErrorKind::Tls
    )
}

fn note(event: &Event, status: &watch::Sender<Status>) {
    let connected = |is_connected| {
        status.send_modify(|status| status.is_connected = is_connected);
    };
    match event {
        Event::Connected => {
            tracing::info!("connected to NATS");
            connected(true);
        }
        Event::Disconnected | Event::Closed => {
            tracing::warn!("the connection to NATS is lost: trying again");
            connected(false);
        }
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

const CONNECTION_TIMEOUT: Duration = Duration::from_secs(3);
const PING_INTERVAL: Duration = Duration::from_secs(5);
