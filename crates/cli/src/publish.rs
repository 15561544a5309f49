//! `fanfare publish`: one event, or each line of standard input.

mod lines;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Url};

use crate::Failure;
use crate::refusal::detail;

/// Bytes of a batch, unless a single event is larger: half of what a hub takes unless it was told otherwise.
pub(crate) const BATCH_BYTES_MAX: usize = 512 << 10;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  fanfare publish greetings -d 'Hello'\n  fanfare publish books/1 users/42 --type price -d @price.json --private\n  tail -F /var/log/syslog | fanfare publish log --lines"
)]
pub(crate) struct PublishArgs {
    /// The topic, and alternates of it
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,

    /// The hub
    #[arg(long, env = "FANFARE_HUB", value_name = "URL", default_value = "http://127.0.0.1:3000")]
    hub: Url,

    /// The data; @FILE reads it from a file, @- from standard input
    #[arg(short, long, value_name = "DATA")]
    data: Option<String>,

    /// The event's type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,

    /// The event's id, in place of one that the hub chooses
    #[arg(long)]
    id: Option<String>,

    /// How long subscribers shall wait before they reconnect, in milliseconds
    #[arg(long, value_name = "MS")]
    retry: Option<u64>,

    /// Only for subscribers whose token covers a topic
    #[arg(long)]
    private: bool,

    /// A token that allows publishing
    #[arg(long, env = "FANFARE_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Each line of standard input is an event
    #[arg(long, conflicts_with_all = ["data", "id"])]
    lines: bool,
}

pub(crate) async fn run(args: PublishArgs) -> anyhow::Result<ExitCode> {
    let publisher = Publisher::new(&args)?;
    if args.lines {
        return lines::publish(&publisher, &args).await;
    }
    let data = args.data.as_deref().map(read_data).transpose()?.unwrap_or_default();
    let ids = publisher.send(args.line(&data)).await?;
    io::stdout().write_all(ids.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// `@FILE` and `@-` name where the data is; anything else is the data.
fn read_data(argument: &str) -> anyhow::Result<String> {
    let Some(name) = argument.strip_prefix('@') else { return Ok(argument.to_owned()) };
    let mut bytes = Vec::new();
    if name == "-" {
        io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(name).with_context(|| format!("can't read {name}"))?;
    }
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{name} is not UTF-8: an event can carry nothing else")).into())
}

impl PublishArgs {
    /// One line of the hub's batch format.
    fn line(&self, data: &str) -> String {
        let mut line = serde_json::json!({ "topic": self.topics, "data": data, "private": self.private });
        if let Some(event_type) = &self.event_type {
            line["type"] = event_type.as_str().into();
        }
        if let Some(id) = &self.id {
            line["id"] = id.as_str().into();
        }
        if let Some(retry) = self.retry {
            line["retry"] = retry.into();
        }
        format!("{line}\n")
    }
}

/// Sends batches to a hub.
struct Publisher {
    client: Client,
    url: Url,
    token: Option<String>,
}

impl Publisher {
    fn new(args: &PublishArgs) -> anyhow::Result<Self> {
        let mut url = args.hub.clone();
        let not_a_hub =
            || Failure::usage(format!("{} is not the URL of a hub, such as http://127.0.0.1:3000", args.hub));
        url.path_segments_mut().map_err(|()| not_a_hub())?.pop_if_empty().push("events");
        Ok(Self { client: Client::new(), url, token: args.token.clone() })
    }

    /// Publishes the events of `batch`, all or none, and gives their ids, a line each.
    async fn send(&self, batch: String) -> anyhow::Result<String> {
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/x-ndjson").body(batch);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let unreachable = |error: reqwest::Error| {
            let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            Failure::unreachable(format!(
                "can't reach the hub at {}{cause}; is it running? `fanfare serve` starts one",
                self.url
            ))
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(Failure::refused(format!("the hub answered {status}{}", detail(text.as_bytes()))).into());
        }
        Ok(text)
    }
}
