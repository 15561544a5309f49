//! `fanfare demo`: a hub with three sources, so that a newcomer sees events within a second.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use fanfare_hub::{Hub, PublishError, Topic, Update};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::options::Options;
use crate::serve::serve;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  fanfare demo\n  # then open the page it names, or:\n  curl -N http://127.0.0.1:3000/events/counter"
)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    options: Options,
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let options = args.options.with_file()?.for_demo();
    let sources = [Source::Counter, Source::Heartbeat, Source::Metrics];
    serve(&options, |hub| sources.into_iter().for_each(|source| drop(tokio::spawn(source.publish(hub.clone()))))).await
}

#[derive(Clone, Copy)]
enum Source {
    /// The seconds since the start, each second.
    Counter,
    /// `OK`, every 5 seconds, as events of the type `heartbeat`.
    Heartbeat,
    /// The hub's own figures, each second, as events of the type `metrics`.
    Metrics,
}

impl Source {
    async fn publish(self, hub: Hub) {
        let period = Duration::from_secs(if matches!(self, Self::Heartbeat) { 5 } else { 1 });
        let start = Instant::now();
        let mut ticks = interval_at(start + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let update = self.update(&hub, start.elapsed());
            let published = match update {
                Ok(update) => hub.publish(update).await,
                Err(error) => return tracing::error!(%error, "a demo source has stopped"),
            };
            match published {
                Ok(_) => {}
                Err(PublishError::Draining) => return,
                Err(error) => tracing::warn!(%error, "a demo event was not published"),
            }
        }
    }

    fn update(self, hub: &Hub, elapsed: Duration) -> anyhow::Result<Update> {
        Ok(match self {
            Self::Counter => Update::new(Topic::new("counter")?, elapsed.as_secs().to_string()),
            Self::Heartbeat => Update::new(Topic::new("heartbeat")?, "OK").with_type("heartbeat".try_into()?),
            Self::Metrics => {
                let figures = serde_json::to_string(&hub.figures())?;
                Update::new(Topic::new("metrics")?, figures).with_type("metrics".try_into()?)
            }
        })
    }
}
