//! What the hubs of a cluster tell each other, as JSON.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use fanfare_log::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::limits::{
    LEASE_MAX, LEASE_MIN, NEIGHBOUR_MESSAGE_BYTES_MAX, SUBSCRIPTIONS_MAX, TOKEN_BYTES_MAX, TOPIC_BYTES_MAX,
};
use crate::presence::roster::Uuid;
use crate::presence::{NodeId, NodeName, Subscriber};

/// Readers pass over what has another version: while a cluster is upgraded, those who differ do not see each other.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message<'a> {
    version: u32,
    pub(super) node: NodeId,
    pub(super) name: NodeName,
    /// The time of day there, in milliseconds since 1970.
    time: u64,
    /// How long the node is believed to live after this, in milliseconds.
    lease: u64,
    /// Somebody is there whom no message can hold.
    pub(super) partial: bool,
    pub(super) content: Content<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Content<'a> {
    /// Who came and went on that node, after so many changes since its start. Without any it says that the node lives.
    Changes { after: u64, changes: Vec<Change<'a>> },
    /// Asks the receiver who is there, in the order of their names, after this one.
    Ask { after: Option<Uuid> },
    /// The answer, after so many changes: all whose names come after the one and not after the other. Without the other, to
    /// the end.
    Page { at: u64, after: Option<Uuid>, until: Option<Uuid>, members: Vec<Here<'a>> },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change<'a> {
    Joined(Here<'a>),
    Left(Uuid),
}

/// A subscriber on the node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Here<'a> {
    pub(super) name: Uuid,
    selectors: Vec<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    payload: Option<Cow<'a, RawValue>>,
}

/// A payload may be `null`, which is not the same as none.
fn present<'de, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(|value| Some(Cow::Owned(value)))
}

/// Why a message was passed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it has {0} bytes")]
    Size(usize),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("its version is {0}")]
    Version(u32),
    #[error("there are more nodes than there can be")]
    Crowd,
    #[error("{0} is out of bounds")]
    Bounds(&'static str),
}

impl<'a> Message<'a> {
    pub(super) fn new(node: NodeId, name: NodeName, time: Timestamp, lease: Duration, content: Content<'a>) -> Self {
        let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        Self { version: VERSION, node, name, time: time.0, lease, partial: false, content }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Every key is a string, so this can't fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what another node sent, who may be anybody that can send.
    pub(super) fn decode(bytes: &[u8]) -> Result<Message<'static>, Unreadable> {
        if bytes.len() > NEIGHBOUR_MESSAGE_BYTES_MAX {
            return Err(Unreadable::Size(bytes.len()));
        }
        let version: Version = serde_json::from_slice(bytes)?;
        if version.version != VERSION {
            return Err(Unreadable::Version(version.version));
        }
        let message: Message<'static> = serde_json::from_slice(bytes)?;
        message.check()?;
        Ok(message)
    }

    fn check(&self) -> Result<(), Unreadable> {
        let within = |is_within: bool, what| if is_within { Ok(()) } else { Err(Unreadable::Bounds(what)) };
        within((LEASE_MIN..=LEASE_MAX).contains(&self.lease()), "the lease")?;
        match &self.content {
            Content::Changes { after, changes } => {
                within(after.checked_add(changes.len() as u64).is_some(), "the number of the change")?;
                changes.iter().try_for_each(|change| match change {
                    Change::Joined(here) => here.check(),
                    Change::Left(_) => Ok(()),
                })
            }
            Content::Ask { .. } => Ok(()),
            Content::Page { after, until, members, .. } => {
                within(until.is_none_or(|until| Some(until) > *after), "the end of the page")?;
                let is_inside = |name: Uuid| Some(name) > *after && until.is_none_or(|until| name <= until);
                within(members.iter().all(|here| is_inside(here.name)), "a name on the page")?;
                within(members.is_sorted_by(|one, next| one.name < next.name), "the order of the page")?;
                members.iter().try_for_each(Here::check)
            }
        }
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp(self.time)
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease)
    }
}

/// What of a message is read first.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl<'a> Here<'a> {
    pub(super) fn of(subscriber: &'a Subscriber) -> Self {
        Self {
            name: subscriber.uuid(),
            selectors: subscriber.selectors().iter().map(|selector| Cow::Borrowed(&**selector)).collect(),
            payload: subscriber.payload().map(Cow::Borrowed),
        }
    }

    /// Whether it is as large as one with a token can be. An application may say more of one, and others would pass over
    /// the whole message with it.
    pub(super) fn is_within_bounds(&self) -> bool {
        self.selectors.len() <= SUBSCRIPTIONS_MAX
            && self.selectors.iter().all(|selector| selector.len() <= TOPIC_BYTES_MAX)
            && self.payload.as_ref().is_none_or(|payload| payload.get().len() <= TOKEN_BYTES_MAX)
    }

    fn check(&self) -> Result<(), Unreadable> {
        if self.is_within_bounds() { Ok(()) } else { Err(Unreadable::Bounds("a subscriber")) }
    }

    /// The subscriber, on the node of this name.
    pub(super) fn on(self, node: NodeName) -> Subscriber {
        let selectors = self.selectors.into_iter().map(Arc::from);
        let payload = self.payload.map(|payload| Arc::from(payload.into_owned()));
        Subscriber::new(self.name.bits(), selectors, payload, Some(node))
    }
}

/// How many bytes it takes in a message.
pub(super) fn encoded_bytes(part: &impl Serialize) -> usize {
    // With what stands between it and the next.
    serde_json::to_vec(part).map_or(0, |bytes| bytes.len()) + 1
}

impl Serialize for Uuid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not the name of a subscriber"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn somebody(bits: u128, payload: Option<&str>) -> Subscriber {
        let payload = payload.map(|text| RawValue::from_string(text.to_owned()).unwrap().into());
        Subscriber::new(bits, ["a", "b/{id}"].into_iter().map(Arc::from), payload, None)
    }

    fn message(content: Content<'_>) -> Message<'_> {
        Message::new(NodeId::new(1), "n1".parse().unwrap(), Timestamp(7), Duration::from_secs(15), content)
    }

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        for payload in [None, Some("null"), Some(r#"{"user":"é\n"}"#)] {
            let (first, second) = (somebody(1, payload), somebody(2, None));
            for content in [
                Content::Changes {
                    after: 5,
                    changes: vec![Change::Joined(Here::of(&first)), Change::Left(second.uuid())],
                },
                Content::Ask { after: Some(first.uuid()) },
                Content::Page { at: 5, after: None, until: None, members: vec![Here::of(&first), Here::of(&second)] },
            ] {
                let written = message(content).encode();
                let read = Message::decode(&written).unwrap();
                assert_eq!(read.encode(), written);
                assert_eq!((read.time(), read.lease()), (Timestamp(7), Duration::from_secs(15)));
            }
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_passed_over() {
        let text = |content| String::from_utf8(message(content).encode()).unwrap();
        let one = somebody(1, Some("1"));
        let changes = || text(Content::Changes { after: 5, changes: vec![Change::Joined(Here::of(&one))] });
        assert!(Message::decode(changes().as_bytes()).is_ok());
        let long = "x".repeat(TOPIC_BYTES_MAX + 1);
        let many = vec!["\"x\""; SUBSCRIPTIONS_MAX + 1].join(",");
        let large = format!("\"{}\"", "x".repeat(TOKEN_BYTES_MAX));
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"lease\":15000", "\"lease\":0"),
            ("\"lease\":15000", "\"lease\":18446744073709551615"),
            ("\"after\":5", "\"after\":18446744073709551615"),
            ("\"after\":5", "\"after\":5,\"more\":1"),
            ("\"n1\"", "\"n 1\""),
            ("0000000000000001", "000000000000001"),
            ("\"a\",\"b/{id}\"", &format!("\"{long}\"")),
            ("\"a\",\"b/{id}\"", &many),
            ("\"payload\":1", &format!("\"payload\":{large}")),
            ("-4000-", "-5000-"),
        ] {
            let changed = changes().replacen(from, to, 1);
            assert_ne!(changed, changes(), "{from}");
            assert!(Message::decode(changed.as_bytes()).is_err(), "{from} {}", &to[..to.len().min(80)]);
        }
        let two = somebody(2, None);
        let page = |after, until, members: &[&Subscriber]| {
            let members = members.iter().map(|one| Here::of(one)).collect();
            String::from_utf8(message(Content::Page { at: 5, after, until, members }).encode()).unwrap()
        };
        let (one, two) = (&one, &two);
        assert!(Message::decode(page(None, Some(two.uuid()), &[one, two]).as_bytes()).is_ok());
        for hostile in [
            page(None, None, &[two, one]),
            page(None, None, &[one, one]),
            page(Some(one.uuid()), None, &[one]),
            page(None, Some(one.uuid()), &[two]),
            page(Some(two.uuid()), Some(two.uuid()), &[]),
            page(Some(two.uuid()), Some(one.uuid()), &[]),
        ] {
            assert!(Message::decode(hostile.as_bytes()).is_err(), "{hostile}");
        }
        assert!(Message::decode(&vec![b' '; NEIGHBOUR_MESSAGE_BYTES_MAX + 1]).is_err());
        assert!(Message::decode(&vec![b'['; NEIGHBOUR_MESSAGE_BYTES_MAX]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0usize..400, flips in proptest::collection::vec((0usize..400, 0u8..8), 0..4)) {
            let _ = Message::decode(&bytes);
            let one = somebody(1, Some("{}"));
            let mut written = message(Content::Page { at: 1, after: None, until: None, members: vec![Here::of(&one)] }).encode();
            for (at, bit) in flips {
                if let Some(byte) = written.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            written.truncate(cut);
            let _ = Message::decode(&written);
        }
    }
}
