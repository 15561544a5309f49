//! The one binary: flags become settings, settings become a running hub, publisher, subscriber or load.
//!
//! Only here are the environment read and lines printed.

mod units;

mod refusal;

mod secret;

mod key_source;
mod keys;

#[cfg_attr(not(feature = "nats"), path = "engine_absent.rs")]
mod engine;

mod demo;
mod options;
mod serve;
mod tls;

mod log;

mod token;

mod publish;

mod subscribe;

mod bench;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tracing_subscriber::EnvFilter;

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
    Token(token::TokenArgs),
    Bench(bench::BenchArgs),
    Log(log::LogArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  fanfare completions bash > ~/.local/share/bash-completion/completions/fanfare")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    start_log();
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Publish(args) => publish::run(args).await,
        Command::Subscribe(args) => subscribe::run(args).await,
        Command::Token(args) => token::run(&args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Log(args) => log::run(&args),
        Command::Completions { shell } => completions(shell),
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

/// Log lines go to stderr, where they are no part of what a command prints.
fn start_log() {
    let level = std::env::var("FANFARE_LOG").unwrap_or_else(|_| "info".to_owned());
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).with_ansi(colours);
    log.with_env_filter(EnvFilter::new(level)).init();
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
