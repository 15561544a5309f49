//! `fanfare subscribe`: a stream at the terminal, or in a pipe.

use std::future::ready;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use fanfare_client::{Event, EventId, Interruption, Kind, News, NewsStream};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::time::{Instant, sleep, timeout};

use crate::Failure;
use crate::connection::{ConnectionArgs, parse_header, parse_token};
use crate::units::{parse_duration, parse_size};

mod request;

mod print;

mod output;

mod resume;

use output::Output;
use print::{Printer, reason};
use request::{builder, parse_id};
use resume::ResumeFile;

/// Prints a stream of events, reconnecting as a browser does
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SubscribeArgs {
    /// The stream, such as http://localhost:3000/events; without a scheme, http
    url: String,

    /// Prints only events of this type (repeatable)
    #[arg(short = 'e', long = "event", value_name = "TYPE")]
    events: Vec<String>,

    /// Sends a header with each request (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// The request's method: GET, or POST with --data
    #[arg(short = 'X', long)]
    method: Option<Method>,

    /// Sends a body, again with each reconnect: text, @FILE, or @- for standard input
    #[arg(short = 'd', long, value_name = "BODY")]
    data: Option<String>,

    /// Sends `Authorization: Bearer TOKEN`
    #[arg(long, value_parser = parse_token)]
    token: Option<HeaderValue>,

    /// Subscribes to what this selector matches (repeatable): added to the URL, which without a path then means its
    /// /events
    #[arg(long = "topic", value_name = "SELECTOR")]
    topics: Vec<String>,

    /// Goes on after the event with this id
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    last_event_id: Option<EventId>,

    /// Remembers the last id in this file, and goes on from there the next time (before --last-event-id)
    #[arg(long, value_name = "FILE")]
    resume_file: Option<std::path::PathBuf>,

    /// Ends after this many events
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,

    /// Ends after this time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_time: Option<Duration>,

    /// Reconnects when the server says nothing for so long, not even a comment; 0 is never
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    idle_timeout: Option<Duration>,

    #[arg(long, value_name = "DATA", help = "Ends after an event with exactly this data, such as [DONE]")]
    until: Option<String>,

    /// Ends when the stream does
    #[arg(long)]
    no_reconnect: bool,

    /// Reconnects after 408, 429 and 5xx too, honouring Retry-After
    #[arg(long)]
    retry_on_status: bool,

    /// Gives up when this many retries in a row have failed
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,

    /// Skips events with more data [default: 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_event_size: Option<u64>,

    #[command(flatten)]
    connection: ConnectionArgs,

    /// How events are printed
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    output: Format,

    /// Prints comments too (text, json)
    #[arg(long)]
    comments: bool,
}

/// How events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Readable, a block an event
    Text,
    /// One JSON object a line: events, and what happens to the connection
    Json,
    /// Each event's data and a newline
    Data,
}

const EXAMPLES: &str = "\
Examples:
  fanfare subscribe http://localhost:3000/events
  fanfare subscribe http://localhost:3000 --topic counter -n 3 -o data
  fanfare subscribe https://api.example.com/v1/chat -d @request.json -H 'Content-Type: application/json' \\
    --token \"$TOKEN\" -o data --until '[DONE]' --no-reconnect

Exit codes: 0 ended as asked, 2 wrong usage, 3 failed for good, 4 could not connect, was cut off, or gave up";

/// The server's answer, or the URL, will not do, also not later.
const EXIT_FAILED: u8 = 3;
/// No connection, or no more patience.
const EXIT_DISCONNECTED: u8 = 4;

/// More than this is not held back, even when more is ready: the unit of writing when events come fast.
const WRITE_BYTES: usize = 64 << 10;

/// How often the resume file is written while events come without a pause.
const RESUME_INTERVAL: Duration = Duration::from_secs(1);

/// How long the end waits for whoever reads the output.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: SubscribeArgs) -> anyhow::Result<ExitCode> {
    let printer = Printer::new(args.output, args.comments);
    let mut output = Output::new();
    let resume = args.resume_file.as_deref().map(ResumeFile::open).transpose().map_err(|error| usage(&error))?;
    let builder = builder(&args, resume.as_ref()).map_err(|error| usage(&error))?;
    match builder.news() {
        Ok(news) => Session { news, printer, output, resume, printed: 0 }.run(&args).await,
        Err(error) if error.kind() == Kind::Url => {
            printer.unusable(&error, output.text());
            output.flush().await?;
            Err(Failure::refused(reason(&error)).into())
        }
        Err(error) => Err(usage(&error.into())),
    }
}

/// What the user gave can't be used.
fn usage(error: &anyhow::Error) -> anyhow::Error {
    Failure::usage(format!("{error:#}")).into()
}

/// A subscription at work.
struct Session {
    news: NewsStream,
    printer: Printer,
    output: Output,
    resume: Option<ResumeFile>,
    printed: u64,
}

impl Session {
    async fn run(mut self, args: &SubscribeArgs) -> anyhow::Result<ExitCode> {
        let outcome = tokio::select! {
            biased;
            () = asked_to_stop(args.max_time) => Ok(ExitCode::SUCCESS),
            outcome = self.follow(args) => outcome,
        };
        let code = outcome?;
        let Ok(settled) = timeout(LAST_WRITE_TIMEOUT, self.settle()).await else {
            // A reader that does not read: the write holds a thread, and the runtime would wait for it for ever.
            std::process::exit(0);
        };
        settled?;
        Ok(code)
    }

    async fn follow(&mut self, args: &SubscribeArgs) -> anyhow::Result<ExitCode> {
        let mut settled_at = Instant::now();
        loop {
            let news = tokio::select! {
                biased;
                news = self.news.next() => news,
                () = ready(()) => {
                    // Nothing more at once: what there is goes out before the wait.
                    self.settle().await?;
                    settled_at = Instant::now();
                    self.news.next().await
                }
            };
            let Some(news) = news else { return Ok(ExitCode::SUCCESS) };
            if let Some(code) = self.tell(&news, args).await? {
                return Ok(code);
            }
            if self.output.len() >= WRITE_BYTES {
                self.output.flush().await?;
            }
            if settled_at.elapsed() >= RESUME_INTERVAL {
                self.settle().await?;
                settled_at = Instant::now();
            }
        }
    }

    /// Prints the news; an exit code if it was the last.
    async fn tell(&mut self, news: &News, args: &SubscribeArgs) -> anyhow::Result<Option<ExitCode>> {
        match news {
            News::Event(event) => Ok(self.event(event, args)),
            News::Error(interruption) => {
                self.printer.print(news, self.output.text());
                self.output.flush().await?;
                self.printer.note(news);
                Ok(interruption.retry_in().is_none().then(|| exit_code(interruption, args)))
            }
            _ => {
                self.printer.print(news, self.output.text());
                if self.printer.has_note(news) {
                    self.output.flush().await?;
                    self.printer.note(news);
                }
                Ok(None)
            }
        }
    }

    fn event(&mut self, event: &Event, args: &SubscribeArgs) -> Option<ExitCode> {
        if args.events.is_empty() || args.events.iter().any(|wanted| wanted == event.event_type()) {
            self.printer.event(event, self.output.text());
            self.printed += 1;
        }
        let is_last = args.max_events.is_some_and(|max| self.printed >= max)
            || args.until.as_deref().is_some_and(|until| until == event.data());
        is_last.then_some(ExitCode::SUCCESS)
    }

    /// Writes what is pending, and only then remembers the id: an event may be printed twice over two runs, never lost.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.output.flush().await?;
        match &mut self.resume {
            Some(resume) => resume.save(self.news.last_event_id()),
            None => Ok(()),
        }
    }
}

/// Ctrl-C, or the end of `--max-time`.
async fn asked_to_stop(max_time: Option<Duration>) {
    let max_time = async {
        match max_time {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // Without a handler Ctrl-C ends the program as it always does.
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = max_time => {}
    }
}

/// What a closed connection means for a script.
fn exit_code(interruption: &Interruption, args: &SubscribeArgs) -> ExitCode {
    let error = interruption.error();
    let was_told_to_stop = error.status().is_some_and(|status| status == reqwest::StatusCode::NO_CONTENT);
    let has_ended = args.no_reconnect && error.kind() == Kind::EndOfStream;
    if was_told_to_stop || has_ended {
        return ExitCode::SUCCESS;
    }
    let is_final =
        matches!(error.kind(), Kind::Status | Kind::ContentType | Kind::Url | Kind::Redirect | Kind::Request);
    ExitCode::from(if is_final && !interruption.has_given_up() { EXIT_FAILED } else { EXIT_DISCONNECTED })
}
