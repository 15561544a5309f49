//! `fanfare doctor`: what stands between a server and its subscribers, found by subscribing through it.

mod limits;

mod target;

mod stream;

mod marks;

mod proxy;

mod cure;

mod report;

mod head;

mod cors;

mod delivery;

mod compression;

mod resume;

mod idle;

mod examination;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::header::{HeaderName, HeaderValue};

use crate::Failure;
use crate::connection::{ConnectionArgs, parse_header, parse_token};
use crate::units::parse_duration;

use examination::examine;

/// Say what keeps events from arriving: subscribes through whatever stands in between
///
/// It opens a few streams at the URL and publishes marked events on a topic of its own, fanfare-doctor/…, if the URL is
/// a hub's and the hub lets it. Anywhere else, or with --no-publish, it watches what arrives.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    #[arg(help = "The stream, such as https://example.com/events, or the hub; without a scheme, http")]
    url: String,

    /// Asks as a page of this origin would, and says whether a browser lets it read the stream
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    origin: Option<HeaderValue>,

    /// Sends `Authorization: Bearer TOKEN`
    #[arg(long, env = "FANFARE_TOKEN", hide_env_values = true, value_parser = parse_token)]
    token: Option<HeaderValue>,

    /// A token that allows publishing on fanfare-doctor/{id} [default: the same]
    #[arg(long, env = "FANFARE_PUBLISH_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = parse_token)]
    publish_token: Option<HeaderValue>,

    /// Sends a header with each subscription (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// Publishes nothing: watches what arrives by itself
    #[arg(long)]
    no_publish: bool,

    /// Then keeps the stream for so long, to see whether it is cut off when there is nothing to say
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    idle: Option<Duration>,

    /// How long an event may take before it counts as held back
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_duration)]
    patience: Duration,

    /// Ends after this time, and --idle
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = parse_duration)]
    max_time: Duration,

    #[command(flatten)]
    connection: ConnectionArgs,

    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  fanfare doctor https://example.com/events
  fanfare doctor https://example.com/events --origin https://app.example.com --token \"$TOKEN\" --idle 90s
  fanfare doctor https://api.example.com/v1/ticks --no-publish --json

Exit codes: 0 no problem, 1 a problem was found, 2 wrong usage, 4 could not connect";

pub(crate) async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let report = examine(&args).await.map_err(|error| Failure::usage(format!("{error:#}")))?;
    let text = if args.json { report.json() } else { report.text() };
    io::stdout().write_all(text.as_bytes())?;
    Ok(report.exit_code())
}

/// What a browser puts into `Origin`: a scheme, a host, perhaps a port.
fn parse_origin(text: &str) -> Result<HeaderValue, String> {
    let unusable = || format!("`{text}` is not an origin: write it as https://example.com");
    let url = reqwest::Url::parse(text).map_err(|_| unusable())?;
    let origin = url.origin();
    // A path or a query would never be equal to what a browser sends.
    if !origin.is_tuple() || origin.ascii_serialization() != text.trim_end_matches('/') {
        return Err(unusable());
    }
    HeaderValue::try_from(origin.ascii_serialization()).map_err(|_| unusable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for (text, expected) in [
            ("https://example.com", Some("https://example.com")),
            ("https://example.com/", Some("https://example.com")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("https://example.com/page", None),
            ("example.com", None),
            ("file:///x", None),
            ("*", None),
        ] {
            let parsed = parse_origin(text);
            assert_eq!(parsed.as_ref().ok().and_then(|value| value.to_str().ok()), expected, "{text}");
        }
    }
}
