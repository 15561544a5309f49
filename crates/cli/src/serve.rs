//! `fanfare serve`: the hub.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use fanfare_hub::Hub;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Failure;
use crate::options::Options;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  fanfare serve --listen 127.0.0.1:8080 --retain-age 1h --cors-origin https://example.com"
)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    options: Options,
}

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let options = args.options.with_file()?;
    if !options.memory() {
        let note = "note: events are kept in memory and are gone when the hub stops; history on disk is not built yet";
        writeln!(io::stderr(), "{note}")?;
    }
    serve(&options, |_| {}).await
}

/// Runs a hub until a signal ends it. `start` is called when it listens.
pub(crate) async fn serve(options: &Options, start: impl FnOnce(&Hub)) -> anyhow::Result<ExitCode> {
    let hub = Hub::builder().settings(options.settings()?).memory(options.retention()).build().await;
    let hub = hub.map_err(|error| Failure::usage(error.to_string()))?;
    let mut listeners = Vec::new();
    for address in options.listen() {
        hub.may_listen(address).map_err(|error| Failure::usage(error.to_string()))?;
        let why = || format!("can't listen on {address}: is another program there? Take another with --listen ADDR");
        listeners.push(TcpListener::bind(address).await.with_context(why)?);
    }
    let stop = stop_signal()?;
    let mut servers = JoinSet::new();
    let mut addresses = Vec::new();
    for listener in listeners {
        addresses.push(listener.local_addr()?);
        let (hub, mut stop) = (hub.clone(), stop.clone());
        servers.spawn(async move {
            let stopped = async move { stop.wait_for(|stop| *stop).await.map_or((), drop) };
            hub.run(listener, stopped).await
        });
    }
    greet(&addresses);
    start(&hub);
    while let Some(ended) = servers.join_next().await {
        ended??;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says where the hub is. Whoever started it may have closed its output, which is no reason not to serve.
fn greet(addresses: &[SocketAddr]) {
    let mut text = String::new();
    for address in addresses {
        text += &format!("Fanfare {} listens on http://{address}\n", env!("CARGO_PKG_VERSION"));
    }
    if let Some(address) = addresses.first() {
        text += &format!("  page       http://{address}/\n");
        text += &format!("  subscribe  curl -N http://{address}/events/greetings\n");
        text += &format!("  publish    curl -d 'Hello' http://{address}/events/greetings\n");
    }
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// Turns true at the first SIGTERM or SIGINT. The second ends the process at once.
fn stop_signal() -> io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = Arc::new(watch::Sender::new(false));
    let receiver = stop.subscribe();
    tokio::spawn(async move {
        for is_first in [true, false] {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if !is_first {
                std::process::exit(130);
            }
            stop.send_replace(true);
        }
    });
    Ok(receiver)
}
