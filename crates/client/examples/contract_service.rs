//! The service that LaunchDarkly's public contract tests for SSE clients drive, so that anyone can hold Fanfare
//! against them.
//!
//! ```text
//! cargo run -p fanfare-client --example contract_service [PORT]
//! cargo run -p fanfare-client --example contract_service [PORT] --callbacks
//! ```
//!
//! It listens on the loopback, on port 8000 unless another is given (0 takes a free one), and prints where. Then run
//! the harness: `sse-contract-tests --url http://127.0.0.1:8000`. The first form drives the stream; the second the
//! callbacks, which have to name the types of events beforehand and are not told of comments.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use fanfare_client::{
    Event, EventId, EventSource, EventSourceBuilder, Listener, ListenerOptions, News, NewsStream, RetryPolicy,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

/// What both faces can do.
const CAPABILITIES: [&str; 8] = [
    "bom",
    "headers",
    "last-event-id",
    "post",
    "read-timeout",
    "report",
    "restart",
    "server-directed-shutdown-request",
];

/// The harness has one at a time, or a few if it is in a hurry.
const STREAMS_MAX: usize = 1_000;

/// What a stream has heard and not yet reported. Then it stops to read.
const REPORTS_MAX: usize = 64;

#[tokio::main]
#[allow(clippy::print_stdout, reason = "the harness needs to be told where")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (flags, ports): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let face = match flags.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Face::Stream,
        ["--callbacks"] => Face::Callbacks,
        _ => return Err(format!("unknown: {}; the only flag is --callbacks", flags.join(" ")).into()),
    };
    let port = ports.first().map_or(Ok(8000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    let service = Arc::new(Service { face, streams: Mutex::default(), exit: Notify::new() });
    let exit = Arc::clone(&service);
    axum::serve(listener, routes(service)).with_graceful_shutdown(async move { exit.exit.notified().await }).await?;
    Ok(())
}

fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(capabilities).post(create).delete(exit))
        .route("/streams/{number}", post(command).delete(delete))
        .with_state(service)
}

/// Which face of the client is tested.
#[derive(Clone, Copy)]
enum Face {
    Stream,
    Callbacks,
}

struct Service {
    face: Face,
    streams: Mutex<Streams>,
    exit: Notify,
}

#[derive(Default)]
struct Streams {
    created: u64,
    open: HashMap<u64, Stream>,
}

impl Service {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn capabilities(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let own = match service.face {
        Face::Stream => "comments",
        Face::Callbacks => "event-type-listeners",
    };
    let capabilities: Vec<_> = CAPABILITIES.into_iter().chain([own]).collect();
    let answer = json!({"name": "fanfare-client", "capabilities": capabilities});
    ([(CONTENT_TYPE, "application/json")], answer.to_string())
}

async fn create(State(service): State<Arc<Service>>, body: Bytes) -> Result<impl IntoResponse, (StatusCode, String)> {
    let bad = |error: &dyn Error| (StatusCode::BAD_REQUEST, error.to_string());
    let request: CreateStream = serde_json::from_slice(&body).map_err(|error| bad(&error))?;
    let mut streams = service.streams();
    if streams.open.len() == STREAMS_MAX {
        return Err((StatusCode::SERVICE_UNAVAILABLE, format!("{STREAMS_MAX} streams are open: DELETE some")));
    }
    let stream = Stream::start(request, service.face).map_err(|error| bad(&*error))?;
    streams.created += 1;
    let number = streams.created;
    streams.open.insert(number, stream);
    Ok((StatusCode::CREATED, [(LOCATION, format!("/streams/{number}"))]))
}

async fn command(State(service): State<Arc<Service>>, Path(number): Path<u64>, body: Bytes) -> StatusCode {
    let command = match serde_json::from_slice(&body) {
        Ok(CommandRequest { command: CommandName::Restart, .. }) => Command::Restart,
        Ok(CommandRequest { command: CommandName::Listen, listen: Some(Listen { event_type }) }) => {
            Command::Listen(event_type)
        }
        Ok(CommandRequest { command: CommandName::Listen, listen: None }) | Err(_) => return StatusCode::BAD_REQUEST,
    };
    let Some(commands) = service.streams().open.get(&number).map(|stream| stream.commands.clone()) else {
        return StatusCode::NOT_FOUND;
    };
    let (done, wait_done) = oneshot::channel();
    // When the answer is there the command has been obeyed: the harness sends what it listens for next.
    match commands.send((command, done)).await {
        Ok(()) if wait_done.await.is_ok() => StatusCode::ACCEPTED,
        _ => StatusCode::NOT_FOUND,
    }
}

async fn delete(State(service): State<Arc<Service>>, Path(number): Path<u64>) -> StatusCode {
    let stream = service.streams().open.remove(&number);
    if stream.is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn exit(State(service): State<Arc<Service>>) -> StatusCode {
    service.streams().open.clear();
    service.exit.notify_one();
    StatusCode::NO_CONTENT
}

/// What the harness asks to subscribe to, and how.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateStream {
    stream_url: String,
    callback_url: String,
    initial_delay_ms: Option<u64>,
    read_timeout_ms: Option<u64>,
    last_event_id: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    method: Option<String>,
    body: Option<String>,
}

#[derive(Deserialize)]
struct CommandRequest {
    command: CommandName,
    listen: Option<Listen>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum CommandName {
    Listen,
    Restart,
}

#[derive(Deserialize)]
struct Listen {
    #[serde(rename = "type")]
    event_type: String,
}

enum Command {
    Listen(String),
    Restart,
}

type Commands = mpsc::Receiver<(Command, oneshot::Sender<()>)>;

impl CreateStream {
    /// The same request, going on after `last_event_id`.
    fn builder(&self, last_event_id: &str) -> Result<EventSourceBuilder, Box<dyn Error>> {
        let mut builder = EventSource::builder(&self.stream_url);
        for (name, value) in &self.headers {
            builder = builder.header(name, value)?;
        }
        if let Some(method) = &self.method {
            builder = builder.method(Method::from_bytes(method.as_bytes())?);
        }
        if let Some(body) = &self.body {
            builder = builder.body(body.clone());
        }
        if let Some(delay) = self.initial_delay_ms {
            builder = builder.retry(RetryPolicy::default().reconnection_time(Duration::from_millis(delay)));
        }
        if let Some(timeout) = self.read_timeout_ms {
            builder = builder.idle_timeout(Duration::from_millis(timeout));
        }
        if !last_event_id.is_empty() {
            builder = builder.last_event_id(EventId::new(last_event_id)?);
        }
        Ok(builder)
    }
}

/// One client under test. Dropping it ends the client and its reports.
struct Stream {
    commands: mpsc::Sender<(Command, oneshot::Sender<()>)>,
    tasks: [AbortHandle; 2],
}

impl Stream {
    fn start(request: CreateStream, face: Face) -> Result<Self, Box<dyn Error>> {
        // What can't be reported is not worth a stream.
        reqwest::Url::parse(&request.callback_url)?;
        let (commands, obey) = mpsc::channel(1);
        let (report, reports) = mpsc::channel(REPORTS_MAX);
        let reporter = tokio::spawn(post_reports(request.callback_url.clone(), reports));
        let id = request.last_event_id.clone().unwrap_or_default();
        let driver = match face {
            Face::Stream => {
                let client = request.builder(&id)?.news()?;
                tokio::spawn(drive_stream(request, client, obey, report))
            }
            Face::Callbacks => {
                let listener = reporting_listener(report);
                let source = connect(request.builder(&id)?, &listener, CALLBACK_TYPES)?;
                tokio::spawn(drive_callbacks(request, source, listener, obey))
            }
        };
        Ok(Self { commands, tasks: [driver.abort_handle(), reporter.abort_handle()] })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn drive_stream(request: CreateStream, mut client: NewsStream, mut obey: Commands, report: mpsc::Sender<Value>) {
    let mut is_over = false;
    loop {
        tokio::select! {
            news = client.next(), if !is_over => {
                let told = match news {
                    Some(News::Event(event)) => event_report(&event),
                    Some(News::Comment(comment)) => json!({"kind": "comment", "comment": comment}),
                    Some(News::Error(interruption)) => error_report(interruption.error()),
                    Some(_) => continue,
                    None => {
                        is_over = true;
                        continue;
                    }
                };
                if report.send(told).await.is_err() {
                    return;
                }
            }
            Some((command, done)) = obey.recv() => {
                // A stream hears every type.
                if matches!(command, Command::Restart) {
                    let restarted = request.builder(client.last_event_id()).map(EventSourceBuilder::news);
                    let Ok(Ok(restarted)) = restarted else { return };
                    client = restarted;
                    is_over = false;
                }
                let _ = done.send(());
            }
            else => return,
        }
    }
}

/// The types that a restarted source listens to again. `error` is also what the client itself tells.
async fn drive_callbacks(request: CreateStream, mut source: EventSource, listener: Listener, mut obey: Commands) {
    let mut types: BTreeSet<String> = CALLBACK_TYPES.into_iter().map(str::to_owned).collect();
    while let Some((command, done)) = obey.recv().await {
        match command {
            Command::Listen(event_type) => {
                source.add_listener(&event_type, &listener, ListenerOptions::default());
                types.insert(event_type);
            }
            Command::Restart => {
                source.close();
                let Ok(builder) = request.builder(&source.last_event_id()) else { return };
                let Ok(restarted) = connect(builder, &listener, types.iter().map(String::as_str)) else { return };
                source = restarted;
            }
        }
        let _ = done.send(());
    }
}

/// What is listened to without a command.
const CALLBACK_TYPES: [&str; 2] = ["error", "message"];

fn connect<'a>(
    builder: EventSourceBuilder,
    listener: &Listener,
    types: impl IntoIterator<Item = &'a str>,
) -> Result<EventSource, fanfare_client::Error> {
    let listen =
        |builder: EventSourceBuilder, event_type| builder.listener(event_type, listener, ListenerOptions::default());
    types.into_iter().fold(builder, listen).connect()
}

/// A callback that holds up the stream while too much is unreported.
fn reporting_listener(report: mpsc::Sender<Value>) -> Listener {
    Listener::new(move |event| {
        let told = match event.interruption() {
            Some(interruption) => error_report(interruption.error()),
            None if event.is_message() => event_report(event),
            None => return,
        };
        // Nobody listens any more once the stream was deleted.
        tokio::task::block_in_place(|| drop(report.blocking_send(told)));
    })
}

fn event_report(event: &Event) -> Value {
    json!({
        "kind": "event",
        "event": {"type": event.event_type(), "data": event.data(), "id": event.last_event_id()},
    })
}

fn error_report(error: &fanfare_client::Error) -> Value {
    json!({"kind": "error", "error": error.to_string()})
}

/// One after the other, each to the number that is its place in the order.
async fn post_reports(callback_url: String, mut reports: mpsc::Receiver<Value>) {
    let client = reqwest::Client::new();
    for number in 1.. {
        let Some(report) = reports.recv().await else { return };
        let post = client.post(format!("{callback_url}/{number}")).header(CONTENT_TYPE, "application/json");
        if let Err(error) = post.body(report.to_string()).send().await {
            #[allow(clippy::print_stderr, reason = "the harness can't be told, its user can")]
            {
                eprintln!("the harness does not take a report: {error}");
            }
            return;
        }
    }
}
