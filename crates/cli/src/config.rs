//! `fanfare config`: what the settings of `serve` are, and what they could be.

mod key;

mod said;

mod check;

mod example;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Check a configuration, or print one to start from
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fanfare config example > fanfare.toml\n  fanfare config check --config fanfare.toml"
)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Check(Box<check::CheckArgs>),
    /// Print a TOML file with every key, its meaning and its default, all of them commented out
    Example,
}

pub(crate) async fn run(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    let text = match args.command {
        ConfigCommand::Check(args) => check::check(*args).await?,
        ConfigCommand::Example => example::example(),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
