//! The other hubs of a cluster, and how they are spoken to.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::NODE_NAME_BYTES_MAX;

/// Carries messages between the hubs of a cluster, so that each knows who is subscribed anywhere.
///
/// The hub copes with what networks do: a message may be lost, come twice, or come after one that was sent later to
/// another address. What it must not do is change one. Whoever can send on it is believed about who is there, and can ask
/// who is: it is to be as closed as the cluster.
pub trait Neighbours: fmt::Debug + Send + Sync {
    /// This hub, among the others: random, and another one after each start.
    fn node(&self) -> NodeId;

    /// The largest message, in bytes, as far as is known now.
    fn message_bytes_max(&self) -> usize;

    /// Whether the others can be spoken to, as far as is known. While not, nobody is taken for dead that is not heard.
    fn is_connected(&self) -> bool;

    /// Sends a message to one of the others, or to all of them. It is dropped where it can't be sent soon: what is old by
    /// the time that it comes is of no use.
    fn send(&self, to: Option<NodeId>, message: Vec<u8>) -> Sending<'_>;

    /// Waits for the next message to this hub. Those that it sent itself may be among them. `None` is the end of all.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no message.
    fn receive(&self) -> Receiving<'_>;
}

/// What [`Neighbours::send`] returns.
pub type Sending<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What [`Neighbours::receive`] returns.
pub type Receiving<'a> = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + 'a>>;

/// One run of a hub, told from all others, also from its own before. Sixteen hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The node of these bits, which are to be random.
    #[must_use]
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, InvalidNodeId> {
        let is_canonical = text.len() == 16 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let bits = is_canonical.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        bits.map(Self).ok_or(InvalidNodeId)
    }
}

/// Not a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node is sixteen hexadecimal digits")]
pub struct InvalidNodeId;

/// What a hub is called by people, such as the name of its machine: up to 63 letters, digits, `.`, `-` or `_`. Two may have
/// the same.
///
/// ```
/// use fanfare_hub::NodeName;
///
/// assert_eq!("web-1.example".parse::<NodeName>()?.as_str(), "web-1.example");
/// assert!("web 1".parse::<NodeName>().is_err());
/// # Ok::<(), fanfare_hub::InvalidNodeName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeName {
    type Err = InvalidNodeName;

    fn from_str(text: &str) -> Result<Self, InvalidNodeName> {
        // It stands in a header and in JSON as it is, and in a query without encoding.
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > NODE_NAME_BYTES_MAX || !text.bytes().all(is_allowed) {
            return Err(InvalidNodeName);
        }
        // What the list calls the node that answers.
        if text == OWN { Err(InvalidNodeName) } else { Ok(Self(text.into())) }
    }
}

impl From<NodeId> for NodeName {
    /// A name for one that was given none.
    fn from(node: NodeId) -> Self {
        Self(node.to_string().into())
    }
}

/// In a query: the node that answers, whatever it is called.
pub(crate) const OWN: &str = "self";

/// Not the name of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node's name has 1 to {NODE_NAME_BYTES_MAX} letters, digits, `.`, `-` or `_`, and is not `{OWN}`")]
pub struct InvalidNodeName;

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for NodeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_names_read_back_as_printed_and_nothing_else_does() {
        for bits in [0, 0x1f, u64::MAX] {
            assert_eq!(NodeId::new(bits).to_string().parse(), Ok(NodeId::new(bits)));
            assert!(NodeName::from(NodeId::new(bits)).as_str().parse::<NodeName>().is_ok());
        }
        for text in ["", "1", "000000000000000G", "+00000000000001f", "000000000000001F", "00000000000000001"] {
            assert_eq!(text.parse::<NodeId>(), Err(InvalidNodeId), "{text}");
        }
        for text in ["", "self", "a b", "a\n", "é", "a/b", &"x".repeat(64)] {
            assert_eq!(text.parse::<NodeName>(), Err(InvalidNodeName), "{text}");
        }
        assert!("x".repeat(63).parse::<NodeName>().is_ok());
    }
}
