//! `fanfare subscribe`: a stream at the terminal, or in a pipe.

use std::future::ready;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use fanfare_client::{Event, EventId, EventSource, Kind, News, NewsStream, RetryPolicy};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use tokio::time::{Instant, sleep, timeout};

use crate::units::{parse_duration, parse_size};

mod terminal;

mod print;

mod output;

mod resume;

use output::Output;
use print::Printer;
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

    /// Ends after an event with exactly this data, such as [DONE]
    #[arg(long, value_name = "DATA")]
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

    /// Connects through this proxy, instead of the one that the environment names
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,

    /// Trusts the certificates of this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    cacert: Option<std::path::PathBuf>,

    /// Trusts any certificate: anyone on the way can read and change the stream
    #[arg(short = 'k', long)]
    insecure: bool,

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

/// Wrong usage: what the user gave can't be used.
const EXIT_USAGE: u8 = 2;
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

/// Runs the command. What it has to say is said when it returns.
pub(crate) async fn run(args: SubscribeArgs) -> ExitCode {
    match prepare(&args) {
        Ok(session) => session.run(&args).await,
        Err(error) => {
            terminal::note(&format!("{error:#}"));
            let is_url = error.downcast_ref::<fanfare_client::Error>().is_some_and(|error| error.kind() == Kind::Url);
            ExitCode::from(if is_url { EXIT_FAILED } else { EXIT_USAGE })
        }
    }
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
    async fn run(mut self, args: &SubscribeArgs) -> ExitCode {
        let stop = async {
            let max_time = async {
                match args.max_time {
                    Some(time) => sleep(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                () = max_time => {}
            }
        };
        let outcome = tokio::select! {
            biased;
            () = stop => Ok(ExitCode::SUCCESS),
            outcome = self.follow(args) => outcome,
        };
        let finished = timeout(LAST_WRITE_TIMEOUT, self.settle()).await;
        match outcome {
            // A reader that is gone wants no more: that is no failure.
            Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                terminal::note(&format!("{error:#}"));
                ExitCode::from(EXIT_USAGE)
            }
            Ok(code) => match finished {
                Ok(Err(error)) if !is_closed_pipe(&error) => {
                    terminal::note(&format!("{error:#}"));
                    ExitCode::from(EXIT_USAGE)
                }
                Ok(_) => code,
                // A reader that does not read: the write holds a thread, and the runtime would wait for it for ever.
                Err(_) => std::process::exit(0),
            },
        }
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

/// What a closed connection means for a script.
fn exit_code(interruption: &fanfare_client::Interruption, args: &SubscribeArgs) -> ExitCode {
    let error = interruption.error();
    let was_told_to_stop = error.status().is_some_and(|status| status == reqwest::StatusCode::NO_CONTENT);
    let has_ended = args.no_reconnect && error.kind() == Kind::EndOfStream;
    if was_told_to_stop || has_ended {
        return ExitCode::SUCCESS;
    }
    let is_final = matches!(error.kind(), Kind::Status | Kind::ContentType | Kind::Url | Kind::Redirect | Kind::Request);
    ExitCode::from(if is_final && !interruption.has_given_up() { EXIT_FAILED } else { EXIT_DISCONNECTED })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Everything that can be wrong with the arguments is found here, before the first request.
fn prepare(args: &SubscribeArgs) -> anyhow::Result<Session> {
    let resume = args.resume_file.as_deref().map(ResumeFile::open).transpose()?;
    let mut builder = EventSource::builder(url(args)?)
        .client_builder(client(args)?)
        .headers(headers(args))
        .retry(retry_policy(args));
    if let Some(data) = &args.data {
        builder = builder.method(Method::POST).body(body(data)?);
    }
    if let Some(method) = &args.method {
        builder = builder.method(method.clone());
    }
    let resumed = resume.as_ref().and_then(ResumeFile::last_event_id);
    if let Some(id) = resumed.or(args.last_event_id.as_ref()) {
        builder = builder.last_event_id(id.clone());
    }
    if let Some(timeout) = args.idle_timeout.filter(|timeout| !timeout.is_zero()) {
        builder = builder.idle_timeout(timeout);
    }
    if let Some(size) = args.max_event_size {
        builder = builder.max_event_size(usize::try_from(size).unwrap_or(usize::MAX));
    }
    let printer = Printer::new(args.output, args.comments);
    Ok(Session { news: builder.news()?, printer, output: Output::new(), resume, printed: 0 })
}

fn url(args: &SubscribeArgs) -> Result<String, fanfare_client::Error> {
    let text = with_scheme(&args.url);
    // What does not parse is refused by the client, with the reason.
    let Ok(mut url) = Url::parse(&text) else { return Ok(text) };
    if !args.topics.is_empty() {
        if matches!(url.path(), "" | "/") {
            url.set_path("/events");
        }
        url.query_pairs_mut().extend_pairs(args.topics.iter().map(|topic| ("topic", topic)));
    }
    Ok(url.into())
}

/// `localhost:3000` is what one types, and to the URL standard it is a path of the scheme `localhost`. As curl does.
fn with_scheme(url: &str) -> String {
    let has_scheme = url.contains("://") || Url::parse(url).is_ok_and(|url| !url.path().starts_with(|c: char| c.is_ascii_digit()));
    if has_scheme { url.to_owned() } else { format!("http://{url}") }
}

fn client(args: &SubscribeArgs) -> anyhow::Result<reqwest::ClientBuilder> {
    let mut client = reqwest::Client::builder().user_agent(concat!("fanfare/", env!("CARGO_PKG_VERSION")));
    if let Some(proxy) = &args.proxy {
        let proxy = reqwest::Proxy::all(proxy).with_context(|| format!("--proxy: {proxy:?} is no proxy's URL"))?;
        client = client.proxy(proxy);
    }
    if let Some(path) = &args.cacert {
        let pem = std::fs::read(path).with_context(|| format!("--cacert: can't read {}", path.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .with_context(|| format!("--cacert: {} holds no certificate in PEM form", path.display()))?;
        client = client.tls_certs_only(certificates);
    }
    Ok(client.tls_danger_accept_invalid_certs(args.insecure))
}

fn headers(args: &SubscribeArgs) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    if let Some(token) = &args.token {
        headers.insert(AUTHORIZATION, token.clone());
    }
    if args.data.is_some() {
        // As curl does.
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.entry(CONTENT_TYPE).or_insert(form);
    }
    headers
}

fn retry_policy(args: &SubscribeArgs) -> RetryPolicy {
    let mut policy = if args.no_reconnect { RetryPolicy::never() } else { RetryPolicy::default() };
    if args.retry_on_status {
        policy = policy.on_transient_statuses();
    }
    if let Some(retries) = args.max_retries {
        policy = policy.retries_max(retries);
    }
    policy
}

fn body(data: &str) -> anyhow::Result<Vec<u8>> {
    match data.strip_prefix('@') {
        None => Ok(data.as_bytes().to_vec()),
        Some("-") => {
            let mut body = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut body).context("--data: can't read standard input")?;
            Ok(body)
        }
        Some(path) => std::fs::read(path).with_context(|| format!("--data: can't read {path}")),
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| format!("{name:?} is no header's name"))?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| "the value holds a control character")?;
    Ok((name, value))
}

fn parse_token(text: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::try_from(format!("Bearer {}", text.trim()));
    let mut value = value.map_err(|_| "the token holds a control character")?;
    value.set_sensitive(true);
    Ok(value)
}

fn parse_id(text: &str) -> Result<EventId, String> {
    EventId::new(text).map_err(|error| format!("the id {error}"))
}

#[cfg(test)]
mod tests;
