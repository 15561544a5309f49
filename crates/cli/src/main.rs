//! The one binary: flags become settings, settings become a running hub, publisher, subscriber or load.
//!
//! Only here are the environment read and lines printed.

mod units;

mod logging;
mod terminal;

mod connection;
mod refusal;

mod secret;

mod key_source;
mod keys;

#[cfg_attr(not(feature = "nats"), path = "engine_absent.rs")]
mod engine;

mod demo;
mod options;
mod serve;
mod systemd;
mod tls;

mod config;

mod log;

mod token;

mod publish;

mod subscribe;

mod health;

mod doctor;

mod bench;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::logging::LogFormat;

#[derive(Debug, Parser)]
#[command(name = "fanfare", version, about = "Server-sent events: a hub, and both of its ends", max_term_width = 100)]
#[command(after_help = "A first look:\n  fanfare demo\n  curl -N http://127.0.0.1:3000/events")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub
    Serve(serve::ServeArgs),
    /// Run the hub in memory with three sources of events, to look at
    Demo(demo::DemoArgs),
    /// Publish events to a hub
    Publish(publish::PublishArgs),
    /// Print a stream of events
    Subscribe(subscribe::SubscribeArgs),
    Health(health::HealthArgs),
    Doctor(Box<doctor::DoctorArgs>),
    Token(token::TokenArgs),
    Bench(bench::BenchArgs),
    Log(log::LogArgs),
    Config(config::ConfigArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  fanfare completions bash > ~/.local/share/bash-completion/completions/fanfare")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages, one a command
    #[command(after_help = "Example:\n  fanfare man ~/.local/share/man/man1")]
    Man {
        /// Where they go; the folder is there
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = Cli::parse().command;
    // A hub's options say how its lines are written.
    if !matches!(command, Command::Serve(_) | Command::Demo(_)) {
        logging::start(LogFormat::Text);
    }
    let outcome = match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Publish(args) => publish::run(args).await,
        Command::Subscribe(args) => subscribe::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Doctor(args) => doctor::run(*args).await,
        Command::Token(args) => token::run(&args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Log(args) => log::run(&args),
        Command::Config(args) => config::run(args).await,
        Command::Completions { shell } => completions(shell),
        Command::Man { folder } => manual(&folder),
    };
    outcome.unwrap_or_else(|error| {
        if is_closed_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        // Nobody is left to hear that stderr is gone too.
        let _ = writeln!(io::stderr(), "error: {error:#}");
        let code = error.downcast_ref::<Failure>().map_or(1, |failure| failure.code);
        ExitCode::from(code)
    })
}

/// Whoever read our output has gone, as `head` does: that is no error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fanfare", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

fn manual(folder: &Path) -> anyhow::Result<ExitCode> {
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("can't write the pages to {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// An error with an exit code of its own, so that scripts can tell them apart.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// What was asked can't be: 2, as clap's own.
    fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// The other side refused for good.
    fn refused(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// The other side could not be reached.
    fn unreachable(message: impl Into<String>) -> Self {
        Self { code: 4, message: message.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }
}
