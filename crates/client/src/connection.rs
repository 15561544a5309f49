//! The driver: a [`Session`] on a socket, moved by whoever polls it.
//!
//! There is no task and no queue here. A poll reads at most one chunk ahead of what it returns, so that a consumer
//! that does not poll stops the reading, the receive window fills, and the server is the one that waits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http_body::Body;
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep};
use tracing::{Instrument, Span, field};

use crate::credentials::Redacted;
use crate::limits::IDLE_LATENESS_MAX;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::session::{Moment, Session, State};
use crate::{Error, Kind, News, answer};

/// One client at work. Dropping it aborts the connection.
pub(crate) struct Connection {
    session: Session,
    request: Arc<Request>,
    client: reqwest::Client,
    timeouts: Timeouts,
    started: Instant,
    /// Of the attempt that is under way: one span from the request to the end of its stream (C30).
    span: Span,
    work: Work,
}

/// How long is waited, and for what. `None` is for ever.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timeouts {
    pub(crate) connect: Option<Duration>,
    pub(crate) idle: Option<Duration>,
}

/// What is under way.
enum Work {
    /// Nothing: ask the session.
    Next,
    Ask {
        answer: Answer,
        deadline: Option<Pin<Box<Sleep>>>,
    },
    Read {
        body: reqwest::Body,
        chunk: Bytes,
        silence: Silence,
    },
    Refuse(Refusal),
    Wait(Pin<Box<Sleep>>),
}

type Answer = Pin<Box<dyn Future<Output = Result<reqwest::Response, Error>> + Send>>;

impl Connection {
    pub(crate) fn new(session: Session, request: Request, client: reqwest::Client, timeouts: Timeouts) -> Self {
        let (request, started) = (Arc::new(request), Instant::now());
        Self { session, request, client, timeouts, started, span: Span::none(), work: Work::Next }
    }

    /// The next thing that happens; `None` once it is closed.
    pub(crate) fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<Option<News>> {
        loop {
            let news = match &mut self.work {
                Work::Next => match self.session.state() {
                    State::Closed => return Poll::Ready(None),
                    _ => self.start(),
                },
                Work::Ask { .. } => ready!(self.poll_answer(cx)),
                Work::Read { .. } => ready!(self.poll_body(cx)),
                Work::Refuse(refusal) => {
                    let error = ready!(self.span.in_scope(|| refusal.poll(cx)));
                    error.and_then(|error| self.fail(error))
                }
                Work::Wait(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.session.push_waited();
                    self.work = Work::Next;
                    None
                }
            };
            if news.is_some() {
                return Poll::Ready(news);
            }
        }
    }

    /// Ends it and drops what is under way (C23).
    pub(crate) fn close(&mut self) {
        self.session.close();
        self.rest();
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn url(&self) -> &url::Url {
        &self.request.url
    }

    fn start(&mut self) -> Option<News> {
        if let Err(error) = tokio::runtime::Handle::try_current() {
            let text = "an event stream needs a tokio runtime: poll it in one, or use `blocking`";
            return self.fail(Error::new(Kind::Runtime, text).with_source(error));
        }
        match self.session.state() {
            State::Connecting => {
                let id = Arc::clone(self.session.last_event_id());
                self.span = tracing::debug_span!(
                    "connection",
                    url = %Redacted(&self.request.url),
                    attempt = self.session.attempt(),
                    last_event_id = %id,
                    status = field::Empty,
                );
                let answer = Arc::clone(&self.request).send(self.client.clone(), id).instrument(self.span.clone());
                // Silence before the head is silence too.
                let deadline = self.timeouts.connect.or(self.timeouts.idle).map(|time| Box::pin(sleep(time)));
                self.work = Work::Ask { answer: Box::pin(answer), deadline };
            }
            State::Waiting(wait) => self.work = Work::Wait(Box::pin(sleep(wait))),
            // An open session is always being read: `poll_answer` goes from one to the other.
            State::Open | State::Closed => {}
        }
        None
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<News>> {
        let Work::Ask { answer, deadline } = &mut self.work else { return Poll::Ready(None) };
        let answer = match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                let Some(deadline) = deadline else { return Poll::Pending };
                ready!(deadline.as_mut().poll(cx));
                let text = format!("no answer from {} in time", Redacted(&self.request.url));
                Err(Error::new(Kind::Timeout, text))
            }
        };
        Poll::Ready(match answer {
            Ok(response) => self.take_answer(response),
            Err(error) => self.fail(error),
        })
    }

    fn take_answer(&mut self, mut response: reqwest::Response) -> Option<News> {
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        self.span.record("status", status.as_u16());
        self.span.in_scope(|| {
            let content_type = headers.get(CONTENT_TYPE);
            tracing::debug!(version = ?response.version(), ?content_type, "answered");
            tracing::trace!(headers = ?headers.keys().collect::<Vec<_>>(), "answered");
        });
        let answer = answer::judge(status, headers, response.url().clone());
        match answer {
            Ok(opened) => {
                let silence = Silence { idle_timeout: self.timeouts.idle, timer: None, is_timing: false };
                self.work = Work::Read { body: response.into(), chunk: Bytes::new(), silence };
                let moment = self.moment();
                self.session.push_open(opened, moment)
            }
            Err(error) => {
                self.work = Work::Refuse(Refusal::new(error, response.into(), self.timeouts.idle));
                None
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<News>> {
        let Work::Read { body, chunk, silence } = &mut self.work else { return Poll::Ready(None) };
        if !chunk.is_empty() {
            let mut rest = &chunk[..];
            let news = self.session.push_chunk(&mut rest);
            let taken = chunk.len() - rest.len();
            chunk.advance(taken);
            let has_stopped = self.session.state() == State::Closed;
            return Poll::Ready(if has_stopped { self.finish(news) } else { news });
        }
        // A server that always has more must not keep other tasks of this thread from running.
        let budget = ready!(coop::poll_proceed(cx));
        let failure = match self.span.in_scope(|| Pin::new(body).poll_frame(cx)) {
            Poll::Ready(Some(Ok(frame))) => {
                budget.made_progress();
                silence.is_broken();
                *chunk = frame.into_data().unwrap_or_default();
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => Some(
                Error::new(Kind::CutOff, "the connection broke within the stream").with_source(error.without_url()),
            ),
            Poll::Ready(None) => None,
            Poll::Pending => {
                ready!(silence.poll_too_long(cx));
                Some(Error::new(Kind::Timeout, "the stream was silent for longer than the idle timeout"))
            }
        };
        Poll::Ready(match failure {
            Some(error) => self.fail(error),
            None => {
                let moment = self.moment();
                let news = self.session.push_end(moment);
                self.finish(news)
            }
        })
    }

    fn fail(&mut self, error: Error) -> Option<News> {
        let moment = self.moment();
        let news = self.session.push_failure(error, moment);
        self.finish(news)
    }

    /// The attempt is over.
    fn finish(&mut self, news: Option<News>) -> Option<News> {
        self.span.in_scope(|| match &news {
            Some(News::Error(interruption)) => {
                let (reason, retry_in) = (interruption.error(), interruption.retry_in());
                tracing::debug!(%reason, ?retry_in, failures = interruption.failures(), "interrupted");
            }
            _ => tracing::debug!("stopped"),
        });
        self.rest();
        news
    }

    /// Drops what is under way, and its connection with it.
    fn rest(&mut self) {
        self.work = Work::Next;
        self.span = Span::none();
    }

    fn moment(&self) -> Moment {
        Moment { now: self.started.elapsed(), jitter: fastrand::f64() }
    }
}

/// How long a stream has said nothing: not even a comment, for all bytes are life.
struct Silence {
    idle_timeout: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    is_timing: bool,
}

impl Silence {
    fn is_broken(&mut self) {
        self.is_timing = false;
    }

    /// Counts from the first poll that found nothing: a consumer that is slow to poll is no silence of the server.
    fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(idle_timeout) = self.idle_timeout else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(idle_timeout)));
        loop {
            if !self.is_timing {
                // What the clock can't count to never comes.
                let Some(deadline) = Instant::now().checked_add(idle_timeout) else { return Poll::Pending };
                timer.as_mut().reset(deadline);
                self.is_timing = true;
            }
            ready!(timer.as_mut().poll(cx));
            // Noticed late, it may be the program that was busy: the socket may hold what nobody has read yet.
            if timer.deadline().elapsed() < IDLE_LATENESS_MAX {
                return Poll::Ready(());
            }
            self.is_timing = false;
        }
    }
}
