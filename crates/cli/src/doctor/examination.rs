//! The order of an examination: it opens streams as a page does, has something come, and looks at when it arrives.

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, ORIGIN};
use reqwest::{Client, Url};
use tokio::time::Instant;

use super::cure::Fault;
use super::delivery::Fate;
use super::limits::{CONNECT_TIMEOUT, LUMPS_ENOUGH};
use super::marks::{Mark, Marks};
use super::proxy::Guess;
use super::report::{Check, Report};
use super::stream::{Seen, Stream, shown};
use super::target::Target;
use super::{DoctorArgs, compression, cors, delivery, head, idle, resume};

/// Everything that can be wrong with the arguments is the error.
pub(super) async fn examine(args: &DoctorArgs) -> anyhow::Result<Report> {
    let target = Target::parse(&args.url)?;
    // What arrives is looked at as it is.
    let client = args.connection.client()?.no_gzip().no_brotli().no_zstd().no_deflate();
    let client = client.connect_timeout(CONNECT_TIMEOUT).build()?;
    let deadline = Instant::now() + args.max_time;
    let (marks, published) = begin(args, &client, &target, deadline).await;
    let url = marks.as_ref().map_or_else(|| target.url.clone(), |(marks, _)| marks.stream());
    let examination = Examination { args, target, client, url, deadline, published };
    Ok(examination.run(marks).await)
}

/// Publishes an event that nobody waits for. It tells whether there is a hub that lets us, and is the cursor of who
/// comes back.
async fn begin(
    args: &DoctorArgs,
    client: &Client,
    target: &Target,
    deadline: Instant,
) -> (Option<(Marks, Mark)>, Result<(), String>) {
    if args.no_publish {
        return (None, Err("as asked".to_owned()));
    }
    let Some(hub) = target.hub.clone() else {
        return (None, Err("this is not the path of a hub's streams".to_owned()));
    };
    let token = args.publish_token.as_ref().or(args.token.as_ref());
    let mut marks = Marks::new(client.clone(), hub, token.cloned());
    match marks.publish(deadline).await {
        Ok(mark) => (Some((marks, mark)), Ok(())),
        Err(reason) => (None, Err(reason)),
    }
}

struct Examination<'a> {
    args: &'a DoctorArgs,
    target: Target,
    client: Client,
    /// What is subscribed to.
    url: Url,
    deadline: Instant,
    published: Result<(), String>,
}

/// What the main stream told.
struct Observed {
    seen: Seen,
    is_hub: bool,
    was_held: bool,
}

impl Examination<'_> {
    async fn run(self, mut marks: Option<(Marks, Mark)>) -> Report {
        let stream = self.open(None, "identity");
        let coded = self.open(None, compression::OFFERED);
        let was_held = !self.wait(&stream, Seen::is_answered).await;
        if was_held && marks.is_none() {
            stream.wait(self.deadline, Seen::is_answered).await;
        }
        if let Some(check) = self.no_stream(&stream.seen(), marks.is_some()) {
            return self.report(&stream.seen(), vec![check]);
        }
        let has_begun = |seen: &Seen| seen.bytes > 0 || seen.end.is_some();
        let was_held = was_held || {
            let (has_bytes, _) = tokio::join!(self.wait(&stream, has_begun), self.wait(&coded, has_begun));
            !has_bytes
        };
        let coded_bytes = coded.seen().bytes;

        let fate = match &mut marks {
            Some((marks, _)) => Some(delivery::follow(&stream, marks, self.args.patience, self.deadline).await),
            None => {
                let enough = if self.is_hub(&stream.seen()) && !was_held { 1 } else { LUMPS_ENOUGH };
                let is_enough = |seen: &Seen| seen.end.is_some() || delivery::lump_count(seen) >= enough;
                stream.wait(self.deadline, is_enough).await;
                None
            }
        };
        let observed = Observed { is_hub: self.is_hub(&stream.seen()), seen: stream.seen(), was_held };
        let Some(answer) = &observed.seen.head else {
            let text = format!("connected, and no answer came within {}", shown(self.args.max_time));
            return self.report(&observed.seen, vec![Check::problem("connect", text, Fault::Buffered)]);
        };
        // The marks may have been what brought the head.
        if let Some(check) = head::refusal(answer) {
            return self.report(&observed.seen, vec![check]);
        }
        let mut checks = vec![
            Check::ok("connect", format!("200 after {}", shown(answer.at - observed.seen.started))),
            head::http(answer, &self.target),
            head::content_type(&observed.seen),
        ];
        checks.extend(head::headers(&observed.seen, observed.is_hub));
        checks.extend(self.cors(&observed.seen).await);
        checks.push(delivery::of_first_bytes(&observed.seen, was_held, observed.is_hub, self.args.patience));
        checks.push(match (&marks, &fate) {
            (Some((marks, _)), Some(fate)) => delivery::of_mark(fate, &observed.seen, marks, self.args.patience),
            _ => delivery::of_watched(&observed.seen, observed.is_hub, was_held),
        });
        checks.push(self.compression(&coded, coded_bytes, &observed, fate.as_ref()).await);
        checks.push(self.resume(marks.as_ref(), fate.as_ref(), &observed).await);
        if let Some(idle) = self.args.idle {
            stream.wait(Instant::now() + idle, |seen| seen.end.is_some()).await;
        }
        checks.push(idle::judge(&stream.seen(), self.args.idle, observed.is_hub));
        self.report(&observed.seen, checks)
    }

    fn report(self, seen: &Seen, checks: Vec<Check>) -> Report {
        let is_unreachable = seen.failure.as_ref().is_some_and(|failure| failure.is_connect);
        let (url, published) = (self.target.shown(), self.published);
        Report { url, guess: Guess::of(seen), published, checks, is_unreachable }
    }

    /// Opens a stream as a browser does, after `cursor` if there is one.
    fn open(&self, cursor: Option<&str>, coding: &str) -> Stream {
        let request = self.client.get(self.url.clone());
        // C9, C10, C13
        let request = request.header("accept", "text/event-stream").header(CACHE_CONTROL, "no-cache");
        let mut request = request.header(ACCEPT_ENCODING, coding);
        for (name, value) in &self.args.headers {
            request = request.header(name, value.clone());
        }
        let cursor = cursor.map(|cursor| ("last-event-id", cursor.to_owned()));
        if let Some((name, value)) = cursor {
            request = request.header(name, value.into_bytes());
        }
        if let Some(token) = &self.args.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        if let Some(origin) = &self.args.origin {
            request = request.header(ORIGIN, origin.clone());
        }
        Stream::open(request)
    }

    /// Waits as long as something may take.
    async fn wait(&self, stream: &Stream, is_seen: impl FnMut(&Seen) -> bool) -> bool {
        stream.wait(self.until(), is_seen).await
    }

    fn until(&self) -> Instant {
        (Instant::now() + self.args.patience).min(self.deadline)
    }

    /// Only hubs take marks, and only they say where a stream begins.
    fn is_hub(&self, seen: &Seen) -> bool {
        self.published.is_ok() || seen.header("last-event-id").is_some()
    }

    /// Why there is nothing to examine. A head that is late may still come with what is published.
    fn no_stream(&self, seen: &Seen, may_come: bool) -> Option<Check> {
        if let Some(failure) = &seen.failure {
            let text = if failure.is_connect {
                format!("could not connect: {}: is the server running, and the URL right?", failure.text)
            } else {
                format!("there was no answer: {}", failure.text)
            };
            return Some(Check::problem("connect", text, None));
        }
        let Some(answer) = &seen.head else {
            let text = format!("connected, and no answer came within {}", shown(self.args.max_time));
            return (!may_come).then(|| Check::problem("connect", text, Fault::Buffered));
        };
        head::refusal(answer).or_else(|| {
            let check = head::content_type(seen);
            (check.verdict == super::report::Verdict::Problem).then_some(check)
        })
    }

    async fn cors(&self, seen: &Seen) -> Vec<Check> {
        let (Some(origin), Some(answer)) = (&self.args.origin, &seen.head) else {
            return vec![Check::unknown(
                "cors",
                "not asked: --origin ORIGIN says whether its pages may read the stream",
            )];
        };
        let mut checks = vec![cors::of_stream(answer, origin)];
        if self.args.token.is_some() {
            checks.push(cors::preflight(&self.client, self.url.clone(), origin, self.until()).await);
        }
        checks
    }

    async fn compression(
        &self,
        coded: &Stream,
        bytes_before: usize,
        observed: &Observed,
        fate: Option<&Fate>,
    ) -> Check {
        let came_at_once = match fate {
            Some(fate) => matches!(fate, Fate::Came(_)),
            None => !observed.was_held && observed.seen.events.len() > 1,
        };
        let has_moved =
            if came_at_once { Some(self.wait(coded, |seen| seen.bytes > bytes_before).await) } else { None };
        compression::judge(&coded.seen(), has_moved)
    }

    async fn resume(&self, marks: Option<&(Marks, Mark)>, fate: Option<&Fate>, observed: &Observed) -> Check {
        if let (Some((marks, cursor)), Some(Fate::Came(next))) = (marks, fate) {
            let stream = self.open(Some(&cursor.id), "identity");
            self.wait(&stream, |seen| seen.failure.is_some() || !seen.events.is_empty()).await;
            return resume::of_hub(&stream.seen(), cursor, next, marks);
        }
        if marks.is_some() {
            return Check::unknown("resume", "events do not come as they should, which is to be cured first");
        }
        let Some((cursor, next)) = resume::cursor(&observed.seen) else {
            return Check::unknown("resume", "fewer than two events with an id were seen to go on from");
        };
        let stream = self.open(Some(&cursor.id), "identity");
        self.wait(&stream, |seen| seen.failure.is_some() || !seen.events.is_empty()).await;
        resume::of_stranger(&stream.seen(), next)
    }
}
