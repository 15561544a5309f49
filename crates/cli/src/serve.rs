//! `fanfare serve`: the hub.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use fanfare_hub::{Authorization, Clock, Hub, Settings, SystemClock, raise_open_files_limit};
use fanfare_log::{DiskLog, DiskSettings, Epoch, Log, MemoryLog, Order, Retention};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::engine::EngineSettings;
use crate::options::{Durability, Options, Store};
use crate::tls::TlsFiles;
use crate::{Failure, logging, systemd};

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  fanfare serve --listen 127.0.0.1:8080 --retain-age 1h --cors-origin https://example.com\n\n\
        A duration is 500ms, 15s, 12h or 7d, and without a unit in seconds; a size is 64MiB or 1GB, and without a unit in bytes."
)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    options: Options,
}

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    serve(&args.options.with_file()?, |_| {}).await
}

/// Runs a hub until a signal ends it. `start` is called when it listens.
pub(crate) async fn serve(options: &Options, start: impl FnOnce(&Hub)) -> anyhow::Result<ExitCode> {
    logging::start(options.log_format());
    let settings = options.settings()?;
    let store = options.store()?;
    let engine = options.engine()?;
    let tls = options.tls()?.map(TlsFiles::watch).transpose()?;
    // Whoever manages services says "reload" with it, and means no end. A terminal that says it is gone.
    let _ignored = if tls.is_none() && !io::stdin().is_terminal() { Some(signal(SignalKind::hangup())?) } else { None };
    let listeners = listen(options, &settings).await?;
    let authorization = settings.authorization.clone();
    // Last of all: what was refused leaves no folder behind.
    let has_neighbours = settings.subscriptions;
    let builder = Hub::builder().settings(settings);
    let order = if engine.is_some() { Order::Followed } else { Order::Own };
    let builder = match (&store, &engine) {
        (Store::Memory(retention), None) => builder.memory(*retention),
        (Store::Disk { folder, durability, retention }, None) => {
            builder.log(Arc::new(open(folder, (*durability, order), *retention)?))
        }
        (store, Some(engine)) => {
            let log: Arc<dyn Log> = match store {
                Store::Memory(retention) => Arc::new(MemoryLog::new(Epoch(0), *retention)),
                Store::Disk { folder, durability, retention } => {
                    Arc::new(open(folder, (*durability, order), *retention)?)
                }
            };
            engine.start(builder, (log, options.stream_retention()), has_neighbours).await?
        }
    };
    let hub = builder.build().await.map_err(|error| Failure::usage(error.to_string()))?;
    let stop = stop_signal()?;
    let mut servers = JoinSet::new();
    let mut addresses = Vec::new();
    for listener in listeners {
        addresses.push(listener.local_addr()?);
        let (hub, tls, mut stop) = (hub.clone(), tls.clone(), stop.clone());
        servers.spawn(async move {
            let stopped = async move { stop.wait_for(|stop| *stop).await.map_or((), drop) };
            match tls {
                Some(tls) => hub.run_tls(listener, tls, stopped).await,
                None => hub.run(listener, stopped).await,
            }
        });
    }
    tell_open_files(options);
    let scheme = if tls.is_some() { "https" } else { "http" };
    greet(scheme, &addresses, (&store, engine.as_ref()), &authorization);
    systemd::keep_told(stop);
    start(&hub);
    while let Some(ended) = servers.join_next().await {
        ended??;
    }
    Ok(ExitCode::SUCCESS)
}

/// The sockets that were handed over, or else those of the addresses that were named.
async fn listen(options: &Options, settings: &Settings) -> anyhow::Result<Vec<TcpListener>> {
    let may_listen = |address| settings.may_listen(address).map_err(|error| Failure::usage(error.to_string()));
    let mut listeners = systemd::listeners()?;
    for listener in &listeners {
        may_listen(listener.local_addr()?)?;
    }
    if listeners.is_empty() {
        for address in options.listen() {
            may_listen(address)?;
            let why =
                || format!("can't listen on {address}: is another program there? Take another with --listen ADDR");
            listeners.push(TcpListener::bind(address).await.with_context(why)?);
        }
    }
    Ok(listeners)
}

/// Raises the limit on open files, and warns if connections would run into it first.
fn tell_open_files(options: &Options) {
    let limit = raise_open_files_limit();
    tracing::info!(open_files = limit.map_or_else(|| "unlimited".to_owned(), |files| files.to_string()), "limit");
    if let (Some(files), Some(connections)) = (limit, options.max_connections())
        && files < connections as u64
    {
        tracing::warn!(
            "--max-connections {connections} is more than the {files} files it may open: raise `ulimit -Hn`"
        );
    }
}

/// Opens the history on disk, and says what a crash left to repair.
fn open(folder: &Path, (durability, order): (Durability, Order), retention: Retention) -> anyhow::Result<DiskLog> {
    let mut settings = DiskSettings::new(retention, SystemClock.now());
    (settings.durability, settings.order) = (durability.into(), order);
    // Without it, on other systems, an unclean end opens a new epoch, which is safe.
    settings.boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().into());
    let log = DiskLog::open(folder, settings)
        .context("the history can't be used: name another folder with --data-dir, or go without one with --memory")?;
    if let Some(torn) = log.torn_tail() {
        tracing::warn!("cut off {torn}: the last end was not a clean one, and nothing that was acknowledged is lost");
    }
    Ok(log)
}

/// Says where the hub is. Whoever started it may have closed its output, which is no reason not to serve.
fn greet(
    scheme: &str,
    addresses: &[SocketAddr],
    (store, engine): (&Store, Option<&EngineSettings>),
    authorization: &Authorization,
) {
    let mut text = String::new();
    for address in addresses {
        text += &format!("Fanfare {} listens on {scheme}://{address}\n", env!("CARGO_PKG_VERSION"));
    }
    if let Some(address) = addresses.first() {
        text += &format!("  page       {scheme}://{address}/\n");
        let token = match authorization {
            Authorization::Open => "",
            _ => " -H \"Authorization: Bearer $TOKEN\"",
        };
        text += &format!("  subscribe  curl -N{token} {scheme}://{address}/events/greetings\n");
        text += &format!("  publish    curl{token} -d 'Hello' {scheme}://{address}/events/greetings\n");
    }
    text += &match store {
        Store::Memory(_) => "  events     in memory, gone when it stops\n".to_owned(),
        Store::Disk { folder, .. } => format!("  events     in {}\n", folder.display()),
    };
    if let Some(engine) = engine {
        text += &format!("  engine     {engine}\n");
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
