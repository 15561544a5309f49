//! `fanfare log`: the history of a hub that is stopped.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::{Args, Subcommand};
use fanfare_log::{DamageKind, DiskLog, Id, Info, Inspection, Position, Record, Timestamp, Visibility};
use fanfare_wire::{Decoded, Decoder, Limits};
use serde::Serialize;

use crate::options::DATA_DIR;

/// Look at the history of a hub that is stopped
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  fanfare log export fanfare-data | jq -r .data")]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Says what it holds: events, bytes, the oldest, the newest
    Info(Folder),
    /// Reads and checks all of it; the exit code is 1 if anything that was acknowledged is lost
    Verify(Folder),
    /// Prints every event as a line of JSON, from the oldest to the newest
    Export(Folder),
}

#[derive(Debug, Args)]
struct Folder {
    /// The hub's --data-dir
    #[arg(value_name = "DIR", env = "FANFARE_DATA_DIR", default_value = DATA_DIR)]
    folder: PathBuf,
}

pub(crate) fn run(args: &LogArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        LogCommand::Info(Folder { folder }) => info(folder),
        LogCommand::Verify(Folder { folder }) => verify(folder),
        LogCommand::Export(Folder { folder }) => export(folder),
    }
}

fn inspect(folder: &Path) -> anyhow::Result<Inspection> {
    DiskLog::inspect(folder).context("the history can't be looked at")
}

fn info(folder: &Path) -> anyhow::Result<ExitCode> {
    let info = inspect(folder)?.info()?;
    let end = |end: Option<(Position, Timestamp)>| match end {
        Some((position, time)) => format!("{position}, {}", date(time)),
        None => "none".to_owned(),
    };
    let epochs: Vec<String> = info.epochs.iter().map(|epoch| format!("{:x}", epoch.0)).collect();
    let mut text = format!("folder   {}\n", folder.display());
    text += &format!("events   {}\n", info.events);
    text += &format!("bytes    {}\n", info.bytes);
    // The files have room that was taken ahead, so that a full disk shows before anything is lost.
    let mebibytes = info.file_bytes as f64 / f64::from(1 << 20);
    text += &format!("files    {mebibytes:.1} MiB, segments {}\n", info.segments);
    text += &format!("oldest   {}\n", end(info.oldest));
    text += &format!("newest   {}\n", end(info.newest));
    text += &format!("epochs   {}\n", epochs.join(" "));
    text += if info.is_closed { "closed   yes\n" } else { "closed   no: the next start repairs it\n" };
    io::stdout().write_all(text.as_bytes())?;
    Ok(tell_damage(&info)?)
}

fn verify(folder: &Path) -> anyhow::Result<ExitCode> {
    let info = inspect(folder)?.info()?;
    let code = tell_damage(&info)?;
    if !loses(&info) {
        writeln!(io::stdout(), "{} events are whole", info.events)?;
    }
    Ok(code)
}

/// Names what is damaged, and fails if it matters.
fn tell_damage(info: &Info) -> io::Result<ExitCode> {
    for damage in &info.damage {
        writeln!(io::stderr(), "{damage}")?;
    }
    Ok(if loses(info) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether anything that was acknowledged is lost.
fn loses(info: &Info) -> bool {
    info.damage.iter().any(|damage| !matches!(damage.kind, DamageKind::TornTail | DamageKind::Index))
}

fn export(folder: &Path) -> anyhow::Result<ExitCode> {
    let inspection = inspect(folder)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut code = ExitCode::SUCCESS;
    for record in inspection.records() {
        match record {
            Ok(record) => {
                serde_json::to_writer(&mut out, &Exported::of(&record)).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Err(error) => {
                // What follows the damage is worth having.
                let error = anyhow::Error::new(error);
                writeln!(io::stderr(), "events are missing here: {error:#}")?;
                code = ExitCode::FAILURE;
            }
        }
    }
    out.flush()?;
    Ok(code)
}

/// An event as `POST /events` takes it, with its place in the history.
#[derive(Debug, Default, Serialize)]
struct Exported {
    position: String,
    /// Milliseconds since 1970.
    time: u64,
    topic: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
    data: String,
    private: bool,
}

impl Exported {
    fn of(record: &Record) -> Self {
        let mut exported = Self {
            position: record.position.to_string(),
            time: record.time.0,
            topic: record.topics.iter().map(|topic| topic.to_string()).collect(),
            id: match &record.id {
                Id::Chosen(id) => Some(id.to_string()),
                Id::Position => None,
            },
            private: record.visibility == Visibility::Private,
            ..Self::default()
        };
        // What was stored was within the hub's own limits.
        let mut decoder = Decoder::with_limits(Limits::for_event_bytes(usize::MAX));
        let mut frame = &record.frame[..];
        while let Some(found) = decoder.decode(&mut frame) {
            match found {
                Decoded::Event(message) => {
                    message.data.clone_into(&mut exported.data);
                    exported.event_type = Some(message.event_type.to_owned()).filter(|name| name != "message");
                }
                Decoded::Retry(milliseconds) => exported.retry = Some(milliseconds),
                _ => {}
            }
        }
        exported
    }
}

fn date(time: Timestamp) -> String {
    let time: Option<SystemTime> = UNIX_EPOCH.checked_add(Duration::from_millis(time.0));
    time.map_or_else(|| "a time out of range".to_owned(), httpdate::fmt_http_date)
}
