//! One thread that publishes, on a schedule that waits for nobody.
//!
//! Each event is stamped with the time at which it was due, not at which it was sent. An event that had to wait, because the hub
//! took long to answer the one before, has that wait in its latency: leaving it out, "coordinated omission", is how a server that
//! stalls gets good figures. What is due at once goes out as one batch, so that a slow answer costs latency and no events.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_log::BATCH_EVENTS_MAX;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::limits::{ANSWER_BYTES_MAX, POLL_INTERVAL, PUBLISH_PATIENCE, QUIET};
use super::plan::{Pace, Plan, Target};
use super::server::{Cpu, Server};
use super::shared::Shared;
use super::stamp::Stamp;
use super::tally::{Window, latencies};
use crate::Failure;
use crate::publish::BATCH_BYTES_MAX;

/// What has been published.
#[derive(Debug)]
pub(super) struct Published {
    /// Events that the hub has confirmed.
    pub(super) events: u64,
    /// Those of them that are measured, and since when.
    pub(super) window: Option<Window>,
    /// When the last one was confirmed, in nanoseconds since the run began.
    pub(super) end_ns: u64,
    /// The server's processor time when the measured part began.
    pub(super) cpu_before: Option<Cpu>,
    /// How late this thread was, in microseconds, waits for the hub left out.
    pub(super) own_delay_us: Histogram<u64>,
    /// The longest that an event waited for the answer to the one before.
    pub(super) hub_delay_us: u64,
    /// Why it ended early.
    pub(super) failure: Option<Failure>,
}

pub(super) struct Publisher {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    connection: Connection,
    published: Published,
    /// Deliveries that the events so far lead to, by topic and in all.
    readers: Vec<u64>,
    expected: u64,
    answered_ns: u64,
}

impl Publisher {
    pub(super) fn new(plan: Arc<Plan>, shared: Arc<Shared>) -> std::io::Result<Self> {
        let published = Published {
            events: 0,
            window: None,
            end_ns: 0,
            cpu_before: None,
            own_delay_us: latencies(),
            hub_delay_us: 0,
            failure: None,
        };
        let connection = Connection::new(plan.target.clone())?;
        let readers = plan.readers();
        Ok(Self { plan, shared, connection, published, readers, expected: 0, answered_ns: 0 })
    }

    /// The warm-up, then what is measured.
    pub(super) fn run(mut self, server: Option<&Server>) -> Published {
        sharpen_sleep();
        let outcome = self.publish_for(self.plan.warm_up).and_then(|()| {
            self.published.cpu_before = server.and_then(|server| server.cpu().ok());
            let window = Window { first: self.published.events, start_ns: self.shared.now_ns() };
            self.published.window = Some(window);
            self.published.own_delay_us.reset();
            self.published.hub_delay_us = 0;
            self.shared.begin(window);
            self.publish_for(self.plan.duration)
        });
        self.published.failure = outcome.err();
        self.published.end_ns = self.shared.now_ns();
        self.published
    }

    fn publish_for(&mut self, duration: Duration) -> Result<(), Failure> {
        match self.plan.pace {
            Pace::Rate(rate) => self.on_schedule(rate, duration),
            Pace::InFlight(events) => self.in_flight(events, duration),
        }
    }

    fn on_schedule(&mut self, rate: f64, duration: Duration) -> Result<(), Failure> {
        let start_ns = self.shared.now_ns();
        let end_ns = start_ns + duration.as_nanos() as u64;
        let due_ns = |event: u64| start_ns + (event as f64 * 1e9 / rate) as u64;
        let mut next = 0;
        self.answered_ns = start_ns;
        while due_ns(next) < end_ns && !self.shared.is_stopped() {
            let now_ns = self.shared.now_ns();
            let first_ns = due_ns(next);
            if let Some(early_ns) = first_ns.checked_sub(now_ns).filter(|early_ns| *early_ns > 0) {
                // In pieces, so that a stop is noticed.
                std::thread::sleep(Duration::from_nanos(early_ns).min(POLL_INTERVAL));
                continue;
            }
            let due = (next..).map(due_ns).take_while(|due_ns| *due_ns <= now_ns && *due_ns < end_ns);
            let due: Vec<u64> = due.take(self.batch_max()).collect();
            // What made it late: up to the last answer the hub, after it this thread.
            self.published.hub_delay_us =
                self.published.hub_delay_us.max(self.answered_ns.saturating_sub(first_ns) / 1000);
            self.published.own_delay_us.saturating_record((now_ns - first_ns.max(self.answered_ns).min(now_ns)) / 1000);
            next += due.len() as u64;
            self.publish(&due)?;
            // Who asked for ten seconds gets no more, also when the hub can't keep up.
            if now_ns >= end_ns {
                break;
            }
        }
        // The last event is followed by its interval, so that the rate over the whole time is the one that was asked for.
        while self.shared.now_ns() < end_ns && !self.shared.is_stopped() {
            std::thread::sleep(Duration::from_nanos(end_ns.saturating_sub(self.shared.now_ns())).min(POLL_INTERVAL));
        }
        Ok(())
    }

    /// Nothing is due at a time here, so the stamp is the time of sending.
    fn in_flight(&mut self, events: u64, duration: Duration) -> Result<(), Failure> {
        let fan_out = (self.readers.iter().sum::<u64>() / self.readers.len() as u64).max(1);
        let end_ns = self.shared.now_ns() + duration.as_nanos() as u64;
        let (mut last, mut last_ns) = (0, self.shared.now_ns());
        loop {
            let now_ns = self.shared.now_ns();
            if now_ns >= end_ns || self.shared.is_stopped() {
                self.shared.set_resume_at(u64::MAX);
                return Ok(());
            }
            let delivered = self.shared.delivered();
            let room = (events * fan_out).saturating_sub(self.expected.saturating_sub(delivered)) / fan_out;
            if room > 0 {
                let due = vec![now_ns; self.batch_max().min(usize::try_from(room).unwrap_or(usize::MAX))];
                self.publish(&due)?;
                continue;
            }
            if delivered > last {
                (last, last_ns) = (delivered, now_ns);
            } else if now_ns - last_ns > QUIET.as_nanos() as u64 {
                // What is lost does not come; it must not stop the rest.
                self.expected = delivered;
                last_ns = now_ns;
            }
            self.shared.set_resume_at(self.expected - (events - 1) * fan_out);
            if self.shared.delivered() == delivered {
                std::thread::park_timeout(POLL_INTERVAL);
            }
        }
    }

    fn batch_max(&self) -> usize {
        (BATCH_BYTES_MAX / self.plan.size).clamp(1, BATCH_EVENTS_MAX)
    }

    /// Publishes the next events, one for each time at which one was due.
    fn publish(&mut self, due: &[u64]) -> Result<(), Failure> {
        let mut body = String::with_capacity(due.len() * (self.plan.size + 64));
        let (mut sequence, mut deliveries) = (self.published.events, 0);
        for &due_ns in due {
            let topic = (sequence % self.plan.topics as u64) as usize;
            // Neither a topic's name nor a stamp has anything that JSON would escape.
            let _ = write!(body, r#"{{"topic":"{}","data":""#, Plan::topic_name(topic));
            Stamp { run: self.plan.run, sequence, due_ns }.write(self.plan.size, &mut body);
            body.push_str(if self.plan.is_private(sequence) { "\",\"private\":true}\n" } else { "\"}\n" });
            deliveries += self.readers[topic];
            sequence += 1;
        }
        self.connection.publish(body.into())?;
        self.published.events = sequence;
        self.expected += deliveries;
        self.shared.set_published(sequence);
        self.answered_ns = self.shared.now_ns();
        Ok(())
    }
}

/// A kept-alive connection. hyper on a runtime of this thread alone: no other has to be woken for an answer.
struct Connection {
    runtime: Runtime,
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    fn new(target: Target) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, target, sender: None })
    }

    fn publish(&mut self, body: Bytes) -> Result<(), Failure> {
        let Self { runtime, target, sender } = self;
        let answered = runtime.block_on(async {
            timeout(PUBLISH_PATIENCE, async {
                let response = send(sender, target, body).await.map_err(|error| {
                    Failure::unreachable(format!("the hub does not take what is published: {error}; see what it logs"))
                })?;
                let status = response.status();
                let text = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
                let text = text.map(|text| text.to_bytes()).unwrap_or_default();
                if status.is_success() { Ok(()) } else { Err(refused(status, &text)) }
            })
            .await
        });
        answered.unwrap_or_else(|_| {
            let seconds = PUBLISH_PATIENCE.as_secs();
            Err(Failure::unreachable(format!("the hub has not answered a publish for {seconds} s; see what it logs")))
        })
    }
}

/// Sends one batch, on a new connection if there is none, or the hub has closed it while it was idle.
async fn send(
    sender: &mut Option<SendRequest<Full<Bytes>>>,
    target: &Target,
    body: Bytes,
) -> anyhow::Result<Response<Incoming>> {
    // A connection that was closed while it was idle is found out by its readiness or by the request, then comes a new one.
    for _ in 0..SEND_ATTEMPTS {
        let mut connected = match sender.take() {
            Some(kept) if !kept.is_closed() => kept,
            _ => connect(target).await?,
        };
        let mut request = Request::post(format!("{}/events", target.prefix));
        for (name, value) in target.publish_headers().into_iter().chain([("Content-Type", "application/x-ndjson")]) {
            request = request.header(name, value);
        }
        if connected.ready().await.is_err() {
            continue;
        }
        match connected.try_send_request(request.body(Full::new(body.clone()))?).await {
            Ok(response) => {
                *sender = Some(connected);
                return Ok(response);
            }
            // With its message in hand nothing was sent.
            Err(mut error) => match error.take_message() {
                Some(_) => {}
                None => return Err(error.into_error().into()),
            },
        }
    }
    Err(anyhow::anyhow!("it closes every connection before it has read the request"))
}

/// The one that was kept, and two that are new: more would hide a hub that takes none.
const SEND_ATTEMPTS: usize = 3;

async fn connect(target: &Target) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn refused(status: hyper::StatusCode, text: &[u8]) -> Failure {
    let advice = match status.as_u16() {
        401 | 403 => "give a --token that lets it publish to bench/…",
        413 => "use a smaller --size, or raise the hub's --max-body",
        429 => "use a lower --rate, or raise the hub's --publish-rate",
        _ => "is this the URL of a Fanfare hub?",
    };
    Failure::refused(format!("the hub answered a publish with {status}{}; {advice}", crate::refusal::detail(text)))
}

/// Linux lets a sleep end 50 µs late to wake several sleepers at once. Every latency would have that in it.
fn sharpen_sleep() {
    #[cfg(target_os = "linux")]
    {
        // Where that is refused the figures say how late this thread was.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}
