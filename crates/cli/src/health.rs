//! `fanfare health`: what a container asks from inside, where there is no curl.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::Url;

use crate::Failure;
use crate::connection::{ConnectionArgs, with_scheme};
use crate::refusal::detail;

/// Ask a hub whether it takes subscribers and publishers
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  fanfare health http://127.0.0.1:3000\n\nExit codes: 0 ready, 1 not now, 2 wrong usage, 4 could not be reached"
)]
pub(crate) struct HealthArgs {
    /// The hub
    #[arg(env = "FANFARE_HUB", default_value = "http://127.0.0.1:3000")]
    url: String,

    /// Asks only whether the process answers
    #[arg(long)]
    live: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Whoever watches asks again.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let unusable = |error: String| Failure::usage(format!("{}: {error}", args.url));
    let mut url = Url::parse(&with_scheme(&args.url)).map_err(|error| unusable(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unusable("a hub is at an http or https URL".to_owned()).into());
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("health").push(if args.live { "live" } else { "ready" });
    }
    let client = args.connection.client().map_err(|error| Failure::usage(format!("{error:#}")))?;
    let client = client.timeout(TIMEOUT).build()?;
    let unreachable = |error: reqwest::Error| {
        let causes = std::iter::successors(std::error::Error::source(&error), |&cause| cause.source());
        let cause = causes.last().map_or_else(|| "no answer".to_owned(), ToString::to_string);
        Failure::unreachable(format!("can't reach the hub: {cause}"))
    };
    let response = client.get(url).send().await.map_err(unreachable)?;
    let status = response.status();
    let text = response.text().await.map_err(unreachable)?;
    if !status.is_success() {
        anyhow::bail!("{status}{}", detail(text.as_bytes()));
    }
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
