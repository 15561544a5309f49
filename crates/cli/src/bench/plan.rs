//! What a load will be: the arguments, checked, and who subscribes to what.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Url;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::limits::{CONNECT_PATIENCE, OTHER_FILES};
use crate::Failure;

/// One load, ready to run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) subscribers: usize,
    /// How many of them never read.
    pub(super) slow: usize,
    pub(super) topics: usize,
    pub(super) pace: Pace,
    /// The data of an event, in bytes.
    pub(super) size: usize,
    /// The part of the events that is private.
    pub(super) private: f64,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    pub(super) drain: Duration,
    /// Tells this run's events from those of others.
    pub(super) run: u32,
}

/// When the next event is published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// Events a second, on a schedule that does not wait for anyone.
    Rate(f64),
    /// As soon as fewer than so many are on their way.
    InFlight(u64),
}

/// The hub, found and reachable.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// As it was written, for people.
    pub(super) url: String,
    pub(super) address: SocketAddr,
    /// The value of `Host`.
    pub(super) host: String,
    /// What goes before `/events`: empty unless the hub is nested in something else.
    pub(super) prefix: String,
    /// The value of `Authorization` for each subscriber, who take turns; none if there is none.
    subscribe_authorizations: Vec<String>,
    /// The value of `Authorization`.
    publish_authorization: Option<String>,
}

impl Plan {
    pub(super) fn topic(&self, subscriber: usize) -> usize {
        subscriber % self.topics
    }

    /// Slow ones are spread evenly over the topics, and over the subscribers of each topic.
    pub(super) fn is_slow(&self, subscriber: usize) -> bool {
        let (rank, topic) = (subscriber / self.topics, self.topic(subscriber));
        let (least, more) = (self.subscribers / self.topics, self.subscribers % self.topics);
        let place = topic * least + topic.min(more) + rank;
        (place + 1) * self.slow / self.subscribers > place * self.slow / self.subscribers
    }

    /// How many subscribers read each topic.
    pub(super) fn readers(&self) -> Vec<u64> {
        let mut readers = vec![0; self.topics];
        for subscriber in (0..self.subscribers).filter(|subscriber| !self.is_slow(*subscriber)) {
            readers[self.topic(subscriber)] += 1;
        }
        readers
    }

    /// How many of the first `published` events were on this topic. They take turns.
    pub(super) fn published_on(&self, topic: usize, published: u64) -> u64 {
        let (topics, topic) = (self.topics as u64, topic as u64);
        published / topics + u64::from(topic < published % topics)
    }

    /// Whether an event is private: such ones are spread evenly.
    pub(super) fn is_private(&self, event: u64) -> bool {
        let before = |event: u64| (event as f64 * self.private).floor();
        before(event + 1) > before(event)
    }

    pub(super) fn topic_name(topic: usize) -> String {
        format!("bench/{topic}")
    }
}

impl Target {
    /// Each subscriber sends one of `tokens`, in turn, and the publisher its own.
    pub(super) async fn find(text: &str, tokens: &[&str], publish_token: Option<&str>) -> Result<Self, Failure> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let unusable = |reason: &str| Failure::usage(format!("{text} can't be used: {reason}"));
        let url = Url::parse(&text).map_err(|error| unusable(&error.to_string()))?;
        match url.scheme() {
            "http" => {}
            "https" => {
                return Err(unusable(
                    "bench speaks plain http://, because encrypting would take more time than the load; give the hub a \
                     plain listener (--listen) and name that",
                ));
            }
            _ => return Err(unusable("write the URL of a hub, such as http://127.0.0.1:3000")),
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(unusable("write the URL of a hub without `?` and `#`; bench chooses the topics"));
        }
        if tokens.iter().chain(&publish_token).any(|token| token.chars().any(|c| !c.is_ascii_graphic() && c != ' ')) {
            return Err(Failure::usage("--token has characters that a header can't carry"));
        }
        let bearer = |token: &str| format!("Bearer {token}");
        let subscribe_authorizations = tokens.iter().copied().map(bearer).collect();
        let publish_authorization = publish_token.map(bearer);
        let port = url.port_or_known_default().unwrap_or(80);
        // A URL has a name in brackets if it is an IPv6 address, which a lookup does not want.
        let name = url.host_str().ok_or_else(|| unusable("it names no host"))?;
        let address = reach(name.trim_matches(['[', ']']), port).await.map_err(|error| {
            Failure::unreachable(format!(
                "can't reach the hub at {text}: {error}; is it running? `fanfare serve` starts one"
            ))
        })?;
        let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Self { url: text, address, host, prefix, subscribe_authorizations, publish_authorization })
    }

    /// The lines that a subscription has, after its first one.
    pub(super) fn subscribe_headers(&self, subscriber: usize) -> Vec<(&'static str, &str)> {
        let turn = subscriber.checked_rem(self.subscribe_authorizations.len());
        self.headers(turn.and_then(|turn| self.subscribe_authorizations.get(turn)).map(String::as_str))
    }

    /// The lines that every publish has, after its first one.
    pub(super) fn publish_headers(&self) -> Vec<(&'static str, &str)> {
        self.headers(self.publish_authorization.as_deref())
    }

    fn headers<'a>(&'a self, authorization: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
        let mut headers = vec![("Host", self.host.as_str())];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        headers
    }
}

/// The first address of a name that takes a connection.
async fn reach(name: &str, port: u16) -> std::io::Result<SocketAddr> {
    let mut failed = std::io::Error::other("the name has no address");
    for address in lookup_host((name, port)).await? {
        match timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

/// Raises the limit on open files as far as this many subscribers need.
pub(super) fn make_room(subscribers: usize) -> Result<(), Failure> {
    let needed = subscribers as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    // No limit at all is `None`.
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(needed), maximum: limit.maximum };
    if limit.maximum.is_none_or(|maximum| maximum >= needed) && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    let maximum = limit.maximum.or(limit.current).unwrap_or_default();
    Err(Failure::usage(format!(
        "{subscribers} subscribers need {needed} open files and this process may have {maximum}: raise the hard limit \
         (`ulimit -Hn {needed}` as root, LimitNOFILE= in a systemd unit), or use --subscribers {}",
        maximum.saturating_sub(OTHER_FILES)
    )))
}

#[cfg(test)]
impl Plan {
    pub(super) fn of(subscribers: usize, topics: usize, slow: usize) -> Self {
        let target = Target {
            url: "http://127.0.0.1:3000".to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 3000)),
            host: "127.0.0.1:3000".to_owned(),
            prefix: String::new(),
            subscribe_authorizations: Vec::new(),
            publish_authorization: None,
        };
        let (warm_up, duration, drain) = (Duration::ZERO, Duration::from_secs(10), Duration::from_secs(10));
        let (pace, size, private, run) = (Pace::Rate(10.0), 100, 0.0, 1);
        Self { target, subscribers, slow, topics, pace, size, private, warm_up, duration, drain, run }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_subscribers_are_spread_over_topics() {
        for (subscribers, topics, slow) in [(100, 10, 10), (1000, 10, 100), (7, 3, 2), (5, 8, 5), (20, 2, 0), (1, 1, 1)]
        {
            let plan = Plan::of(subscribers, topics, slow);
            let counted = (0..subscribers).filter(|subscriber| plan.is_slow(*subscriber)).count();
            assert_eq!(counted, slow, "{plan:?}");
            let readers = plan.readers();
            assert_eq!(readers.iter().sum::<u64>(), (subscribers - slow) as u64, "{plan:?}");
            let spread = readers.iter().max().unwrap() - readers.iter().min().unwrap();
            assert!(spread <= 2, "{readers:?}");
        }
    }

    #[test]
    fn private_events_are_spread_evenly() {
        for (private, expected) in [(0.0, 0), (0.01, 10), (0.5, 500), (1.0, 1000)] {
            let plan = Plan { private, ..Plan::of(1, 1, 0) };
            assert_eq!((0..1000).filter(|event| plan.is_private(*event)).count(), expected, "{private}");
        }
    }

    #[test]
    fn topics_take_turns() {
        let plan = Plan::of(9, 3, 0);
        for published in 0..20 {
            for topic in 0..3 {
                let expected = (0..published).filter(|event| event % 3 == topic as u64).count();
                assert_eq!(plan.published_on(topic, published), expected as u64);
            }
        }
    }
}
