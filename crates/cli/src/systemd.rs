//! What systemd hands over and is told: listening sockets, that the hub is ready, that it stops.

use anyhow::Context;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The sockets that were opened for this process (sd_listen_fds(3)). They outlast it, so that whoever connects while it
/// starts anew waits, and is not refused.
pub(crate) fn listeners() -> anyhow::Result<Vec<TcpListener>> {
    let mut handed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for number in 0..handed.len() {
        let why = || format!("socket {number} of LISTEN_FDS can't be listened on: only TCP (ListenStream=PORT) can");
        let Some(listener) = handed.take_tcp_listener(number).with_context(why)? else { continue };
        listener.set_nonblocking(true).with_context(why)?;
        listeners.push(TcpListener::from_std(listener).with_context(why)?);
    }
    Ok(listeners)
}

/// Tells that the hub is ready, and when it begins to stop. Nobody is told where nobody asks (NOTIFY_SOCKET).
pub(crate) fn keep_told(mut stop: watch::Receiver<bool>) {
    tell(&NotifyState::Ready);
    tokio::spawn(async move {
        if stop.wait_for(|stop| *stop).await.is_ok() {
            tell(&NotifyState::Stopping);
        }
    });
}

fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, "systemd can't be told `{state}`");
    }
}
