//! What is examined: a stream, and where its hub takes events if it is a hub's.

use anyhow::{Context, ensure};
use reqwest::Url;

use crate::connection::with_scheme;

/// A stream.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// What was asked for.
    pub(super) url: Url,
    /// Where a hub would be, by its path.
    pub(super) hub: Option<HubPath>,
}

/// Where a hub takes subscribers and publishers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HubPath {
    /// `…/events`, with events posted below it.
    Events(Url),
    /// `…/.well-known/mercure`, for both.
    Mercure(Url),
}

impl Target {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let text = with_scheme(text);
        // The text may hold a password or a token, so that it is not repeated.
        let mut url = Url::parse(&text).context("the URL can't be used")?;
        ensure!(matches!(url.scheme(), "http" | "https"), "{}: streams are at http and https URLs", url.scheme());
        if matches!(url.path(), "" | "/") {
            url.set_path("/events");
        }
        url.set_fragment(None);
        Ok(Self { hub: HubPath::of(&url), url })
    }

    /// The URL without what may be secret.
    pub(super) fn shown(&self) -> String {
        let mut shown = self.url.clone();
        let _ = shown.set_username("").and_then(|()| shown.set_password(None));
        if shown.query().is_some() {
            shown.set_query(Some("…"));
        }
        shown.as_str().replace("%E2%80%A6", "…")
    }

    /// Whether nobody else can be on the way.
    pub(super) fn is_loopback(&self) -> bool {
        let Some(host) = self.url.host_str() else { return false };
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl HubPath {
    fn of(url: &Url) -> Option<Self> {
        let path = url.path();
        if path.trim_end_matches('/').ends_with("/.well-known/mercure") {
            return Some(Self::Mercure(without_topics(url)));
        }
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        // A topic may hold the word again; a hub that is nested stands before it.
        let at = segments.iter().position(|segment| *segment == "events")?;
        let mut events = without_topics(url);
        events.set_path(&segments[..=at].join("/"));
        Some(Self::Events(events))
    }

    /// Where to subscribe to `topic` alone.
    pub(super) fn subscribe(&self, topic: &str) -> Url {
        let (Self::Events(url) | Self::Mercure(url)) = self;
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("topic", topic);
        url
    }
}

/// Where to publish below `…/events`.
pub(super) fn below(events: &Url, topic: [&str; 2]) -> Url {
    // A hub refuses parameters of a publish that it does not know.
    let mut url = with_pairs(events, |name| name == "authorization");
    // http and https URLs always have a path.
    if let Ok(mut path) = url.path_segments_mut() {
        path.extend(topic);
    }
    url
}

/// What else the query says may be a token, and stays.
fn without_topics(url: &Url) -> Url {
    with_pairs(url, |name| name != "topic")
}

/// The URL with those pairs of its query alone whose name `stays`.
fn with_pairs(url: &Url, stays: impl Fn(&str) -> bool) -> Url {
    let mut bare = url.clone();
    bare.set_query(None);
    let pairs: Vec<_> = url.query_pairs().filter(|(name, _)| stays(name)).collect();
    if !pairs.is_empty() {
        bare.query_pairs_mut().extend_pairs(pairs);
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribe(text: &str) -> Option<String> {
        Target::parse(text).unwrap().hub.map(|hub| hub.subscribe("d/1").to_string())
    }

    #[test]
    fn a_hub_is_known_by_its_path() {
        for (text, expected) in [
            ("localhost:3000", Some("http://localhost:3000/events?topic=d%2F1")),
            ("https://h/events", Some("https://h/events?topic=d%2F1")),
            ("https://h/events/books/events", Some("https://h/events?topic=d%2F1")),
            (
                "https://h/live/events?topic=a&authorization=t",
                Some("https://h/live/events?authorization=t&topic=d%2F1"),
            ),
            ("https://h/.well-known/mercure?topic=a", Some("https://h/.well-known/mercure?topic=d%2F1")),
            ("https://h/v1/ticks", None),
            ("https://h/eventstream", None),
        ] {
            assert_eq!(subscribe(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_token_in_the_query_is_for_publishing_too() {
        for (text, expected) in [
            ("https://h/live/events?topic=a&authorization=t", "https://h/live/events/d/1?authorization=t"),
            ("https://h/events/a?slow=conflate", "https://h/events/d/1"),
        ] {
            let Some(HubPath::Events(events)) = Target::parse(text).unwrap().hub else { panic!("{text} is a hub's") };
            assert_eq!(below(&events, ["d", "1"]).as_str(), expected);
        }
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let target = Target::parse("https://user:password@h/events?authorization=token#x").unwrap();
        assert_eq!(target.shown(), "https://h/events?…");
        let error = format!("{:#}", Target::parse("http://user:password@h:port/").unwrap_err());
        assert!(!error.contains("password"), "{error}");
        assert!(Target::parse("ftp://h/").is_err());
    }
}
