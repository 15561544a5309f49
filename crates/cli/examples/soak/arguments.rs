//! What a run is asked for.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) until: Until,
    /// Events published a second, at most.
    pub(crate) rate: u32,
    pub(crate) csv: Option<PathBuf>,
    pub(crate) seed: u64,
}

/// When publishing ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Events(u64),
    Time(Duration),
}

impl Arguments {
    /// Reads `--events N` or `--for DURATION`, and `--rate N`, `--csv FILE`, `--seed N`.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (mut until, mut rate, mut csv, mut seed) = (None, 200, None, fastrand::u64(..));
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
            let number = || value.parse().with_context(|| format!("{name} takes a number, not {value:?}"));
            match name.as_str() {
                "--events" => until = Some(Until::Events(number()?)),
                "--for" => until = Some(Until::Time(duration(&value)?)),
                "--rate" => {
                    rate = u32::try_from(number()?).ok().filter(|rate| *rate > 0).context("--rate: one or more")?
                }
                "--csv" => csv = Some(value.into()),
                "--seed" => seed = number()?,
                _ => bail!("there is no {name}: use --events N or --for DURATION, --rate N, --csv FILE, --seed N"),
            }
        }
        let until = until.context("say --events N or --for DURATION, such as 10m")?;
        Ok(Self { until, rate, csv, seed })
    }
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let number: u64 = digits.parse().with_context(|| format!("{text:?} is no duration: write 90s, 10m or 1h"))?;
    let seconds = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        unit => bail!("{unit:?} is no unit here: write 90s, 10m or 1h"),
    };
    Ok(Duration::from_secs(number * seconds))
}
