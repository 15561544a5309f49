//! Who is asking.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};

use crate::forwarded;
use crate::party::Party;
use crate::settings::Settings;

/// On a request: who is at the other end of its connection, as the socket says, or the PROXY protocol of a trusted proxy.
/// It is canonical.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The address of a client: the peer's, or the one for which a trusted proxy asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    address: IpAddr,
    /// It is a program of this machine's own.
    is_local: bool,
}

impl ClientAddress {
    /// Whose a connection is. `None` if it is a trusted proxy's, which holds requests of many.
    pub(crate) fn of_connection(settings: &Settings, peer: IpAddr) -> Option<Self> {
        (!settings.trusts(peer)).then(|| Self::new(settings, peer))
    }

    /// Whose a request is. `None` if nobody says where it comes from.
    pub(crate) fn of_request(settings: &Settings, extensions: &Extensions, headers: &HeaderMap) -> Option<Self> {
        let peer = match extensions.get::<Peer>() {
            Some(Peer(peer)) => *peer,
            // What an application that nests the router has axum say.
            None => extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical(),
        };
        let address = if settings.trusts(peer) { forwarded::client(settings, headers, peer) } else { peer };
        Some(Self::new(settings, address))
    }

    fn new(settings: &Settings, address: IpAddr) -> Self {
        // A trusted proxy on this machine is nobody's own: what it does not say for whom it asks is a stranger's.
        Self { address, is_local: address.is_loopback() && !settings.trusts(address) }
    }

    /// For the log.
    pub(crate) fn address(self) -> IpAddr {
        self.address
    }

    /// Whom limits are for.
    pub(crate) fn party(self) -> Party {
        Party::of_address(self.address)
    }

    /// How many connections it may have, and how many streams. `None` is any number.
    pub(crate) fn connections_max(self, settings: &Settings) -> Option<usize> {
        let default = (!self.is_local).then_some(Settings::CONNECTIONS_PER_ADDRESS);
        settings.connections_per_address_max.or(default)
    }
}
