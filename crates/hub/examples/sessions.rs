//! A hub inside an application that has users: who is logged in sees what is for them, and nothing after the logout.
//!
//! ```text
//! cargo run -p fanfare-hub --example sessions
//! ```
//!
//! The hub is at `/live` and asks the application who may do what. `POST /login` with `{"name":"…"}` begins a session
//! and sets its cookie, `POST /messages` with `{"to":"…","text":"…"}` writes to one user or, without `to`, to the board
//! that everybody reads, and `POST /logout` ends the session with all of its streams. Ctrl-C ends the streams before
//! the server.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{AppendHeaders, Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use cookie::{Cookie, SameSite};
use fanfare_hub::{Access, Authorization, BuildError, Grant, Hub, Refusal, Revocation, Settings, TypedTopic};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 3000)).await?;
    #[expect(clippy::print_stdout, reason = "an example speaks to the person who runs it")]
    {
        println!("Listening on http://{}", listener.local_addr()?);
    }
    let (hub, router) = app().await?;
    let stop = async move {
        // Ctrl-C can only fail to be listened to when it can't come either.
        let _ = tokio::signal::ctrl_c().await;
        hub.stop().await;
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(stop).await?)
}

/// The whole application, and the hub in it.
pub async fn app() -> Result<(Hub, Router), Error> {
    let topics = Arc::new(Topics::new()?);
    let hub = hub(topics.clone()).await?;
    let app = Arc::new(App { hub: hub.clone(), topics, sessions: Mutex::default() });
    let router = Router::new()
        .route("/", get(async || Html(include_str!("sessions.html"))))
        .route("/session", get(session))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/messages", post(write))
        .layer(DefaultBodyLimit::max(4096))
        .with_state(app.clone())
        .nest("/live", hub.router())
        // Around the hub as around the rest: it finds the session in the request.
        .layer(from_fn_with_state(app, recognize));
    Ok((hub, router))
}

/// Asks the session of each request what it may do.
async fn hub(topics: Arc<Topics>) -> Result<Hub, BuildError> {
    let mut settings = Settings::default();
    settings.authorization = Authorization::asking(move |request| {
        let topics = topics.clone();
        async move {
            let session = request.extensions.get::<Session>();
            let session = session.ok_or_else(|| Refusal::unauthorized("log in first"))?;
            let inbox = topics.inbox_of(&session.name).map_err(|_| Refusal::forbidden("you have no inbox"))?;
            // Nobody publishes here: what is written passes the application, which knows from whom it is.
            let grant = Grant::default().with_subscribe([inbox])?;
            let left = session.ends_at.saturating_duration_since(Instant::now());
            Ok(Access::from(grant).expires_in(left).until(&session.revocation))
        }
    });
    Hub::builder().settings(settings).build().await
}

struct App {
    hub: Hub,
    topics: Arc<Topics>,
    /// By the token in the cookie.
    sessions: Mutex<HashMap<String, Session>>,
}

/// What is said where: a message, and nothing else.
struct Topics {
    inbox: TypedTopic<Message>,
    board: TypedTopic<Message>,
}

#[derive(Serialize)]
struct Message {
    from: String,
    text: String,
}

impl Topics {
    fn new() -> Result<Self, Error> {
        Ok(Self {
            inbox: TypedTopic::new("users/{name}/messages")?.with_type("private".try_into()?),
            board: TypedTopic::new("board")?.with_type("board".try_into()?),
        })
    }

    fn inbox_of(&self, name: &str) -> Result<fanfare_hub::Topic, fanfare_hub::InvalidTypedTopic> {
        self.inbox.topic(&[("name", name)])
    }
}

#[derive(Clone)]
struct Session {
    name: String,
    ends_at: Instant,
    revocation: Revocation,
}

const COOKIE_NAME: &str = "session";
const SESSION_TIME: Duration = Duration::from_secs(3600);
/// Of all users together: a session is some hundred bytes.
const SESSIONS_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 32;

/// Puts the session that the cookie names into the request.
async fn recognize(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let session = token(request.headers()).and_then(|token| app.sessions().get(&token).cloned());
    if let Some(session) = session.filter(|session| session.ends_at > Instant::now()) {
        request.extensions_mut().insert(session);
    }
    next.run(request).await
}

fn token(headers: &HeaderMap) -> Option<String> {
    let mut cookies =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(Cookie::split_parse);
    cookies.find_map(|cookie| {
        cookie.ok().filter(|cookie| cookie.name() == COOKIE_NAME).map(|cookie| cookie.value().to_owned())
    })
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

/// Where users have passwords, here is the place to ask for them. That it takes JSON keeps forms of foreign pages from
/// it.
async fn login(
    State(app): State<Arc<App>>,
    Json(Login { name }): Json<Login>,
) -> Result<impl IntoResponse, StatusCode> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let token = format!("{:032x}", u128::from_be_bytes(bytes));
    let now = Instant::now();
    let session = Session { name, ends_at: now + SESSION_TIME, revocation: Revocation::new() };
    {
        let mut sessions = app.sessions();
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, session| session.ends_at > now);
        }
        if sessions.len() >= SESSIONS_MAX {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        sessions.insert(token.clone(), session);
    }
    Ok((StatusCode::NO_CONTENT, set(token, SESSION_TIME)))
}

/// Ends the session, and with it each stream that it has in any tab.
async fn logout(State(app): State<Arc<App>>, headers: HeaderMap) -> impl IntoResponse {
    let session = token(&headers).and_then(|token| app.sessions().remove(&token));
    if let Some(session) = session {
        session.revocation.revoke();
    }
    (StatusCode::NO_CONTENT, set(String::new(), Duration::ZERO))
}

/// No script reads the cookie, and no foreign site sends it. With TLS it would be `Secure` as well, and its name begin
/// with `__Host-`.
fn set(token: String, time: Duration) -> impl IntoResponse {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(0);
    let cookie = Cookie::build((COOKIE_NAME, token)).path("/").http_only(true).same_site(SameSite::Strict);
    AppendHeaders([(SET_COOKIE, cookie.max_age(cookie::time::Duration::seconds(seconds)).to_string())])
}

/// Who is logged in, and where the page reads.
async fn session(State(app): State<Arc<App>>, session: Option<Extension<Session>>) -> Json<Value> {
    let Some(Extension(Session { name, .. })) = session else { return Json(Value::Null) };
    let topics = [app.topics.inbox_of(&name).ok(), app.topics.board.topic(&[]).ok()];
    let topics: Vec<String> = topics.into_iter().flatten().map(|topic| topic.to_string()).collect();
    Json(json!({ "name": name, "topics": topics }))
}

#[derive(Deserialize)]
struct Letter {
    to: String,
    text: String,
}

async fn write(
    State(app): State<Arc<App>>,
    session: Option<Extension<Session>>,
    Json(Letter { to, text }): Json<Letter>,
) -> StatusCode {
    let Some(Extension(Session { name: from, .. })) = session else { return StatusCode::UNAUTHORIZED };
    let (topics, message) = (&app.topics, Message { from, text });
    let update = match &*to {
        "" => topics.board.update(&[], &message),
        name => topics.inbox.update(&[("name", name)], &message).map(fanfare_hub::Update::private),
    };
    let Ok(update) = update else { return StatusCode::UNPROCESSABLE_ENTITY };
    match app.hub.publish(update).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl App {
    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
