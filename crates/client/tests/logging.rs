//! What is logged (C30), and that it holds no secret. A program of its own, for the subscriber is that of the process.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;
use std::time::Duration;

use fanfare_client::{EventSource, News, NewsStream, RetryPolicy};
use fanfare_scripted_server::{Script, ScriptedServer, Watchdog};
use tracing::Level;

/// In every place where a secret can be.
const SECRET: &str = "hush";

thread_local! {
    /// Everything that is logged on this thread, which is this test's, at every level, by every crate.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Logged;

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logged {
    fn start() {
        static START: Once = Once::new();
        START.call_once(|| {
            let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_ansi(false);
            subscriber.with_writer(|| Self).try_init().unwrap();
        });
    }

    fn text() -> String {
        LOGGED.with_borrow(|logged| String::from_utf8(logged.clone()).unwrap())
    }
}

/// How often it was interrupted until the end.
async fn run(mut client: NewsStream) -> usize {
    let mut interruptions = 0;
    while let Some(news) = client.next().await {
        interruptions += usize::from(matches!(news, News::Error(_)));
    }
    interruptions
}

#[tokio::test(start_paused = true)]
async fn c30_each_attempt_has_a_span_and_what_happens_is_logged_in_it() {
    Logged::start();
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let server = ScriptedServer::start().await.unwrap();
    let server = server.play([
        Script::event_stream().send("id: 41\ndata\n\n"),
        Script::redirect(307, "/moved?token=hush"),
        Script::status(404),
    ]);
    assert_eq!(run(EventSource::builder(server.url("/events")).news().unwrap()).await, 2);
    let text = Logged::text();
    let line = |parts: &[&str]| {
        let is_it = |line: &&str| line.contains("fanfare_client") && parts.iter().all(|part| line.contains(part));
        assert!(text.lines().any(|line| is_it(&line)), "no line with {parts:?} in\n{text}");
    };
    let first = format!("connection{{url={} attempt=1 last_event_id= status=200}}", server.url("/events"));
    line(&["DEBUG", &first, "answered version=HTTP/1.1 content_type=Some(\"text/event-stream\")"]);
    line(&["DEBUG", &first, "interrupted reason=the server ended the stream retry_in=Some(3s) failures=1"]);
    let second = format!("connection{{url={} attempt=2 last_event_id=41", server.url("/events"));
    line(&["TRACE", &second, "asking headers=[\"accept\", \"cache-control\", \"pragma\", \"last-event-id\"]"]);
    line(&["DEBUG", &second, &format!("redirected status=307 to={}", server.url("/moved"))]);
    line(&["DEBUG", &second, "status=404}", "interrupted reason=the server answered 404 Not Found retry_in=None"]);
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_logged() {
    Logged::start();
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let server = ScriptedServer::start().await.unwrap();
    let location = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ";
    let server = server.play([
        Script::new()
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: a=hush\r\n\r\ndata: hush\n\n"),
        Script::new().send("HTTP/1.1 503 Busy\r\nX-Token: hush\r\nContent-Length: 4\r\n\r\nhush"),
        Script::new().send(format!("{location}/events?token=hush\r\n\r\n")),
        Script::new().send(format!("{location}ftp://user:hush@127.0.0.1/?hush\r\n\r\n")),
    ]);
    let url = server.url("/events?token=hush#hush").replace("http://", "http://user:hush@");
    let client = EventSource::builder(url)
        .bearer_token(SECRET)
        .unwrap()
        .header("X-Api-Key", SECRET)
        .unwrap()
        .header("Cookie", "session=hush")
        .unwrap()
        .body(SECRET)
        .header_provider(|| async { Ok([("proxy-authorization".parse()?, SECRET.parse()?)].into_iter().collect()) })
        .with_credentials(true)
        .retry(RetryPolicy::default().on_transient_statuses());
    assert_eq!(run(client.news().unwrap()).await, 3);
    for request in server.requests() {
        assert!(request.head().contains(SECRET));
    }
    // The jar of reqwest says through `log` what it stores. A subscriber hears that only where `log` is bridged, as a build of
    // the whole workspace does for a test of another crate; `with_credentials` tells whoever does that.
    let text = Logged::text();
    let text: String = text.lines().filter(|line| !line.contains(" cookie_store::")).collect();
    assert!(text.contains("redirected") && text.contains("which is no HTTP URL"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
}
