//! The labels of metrics, and every value that they can have.

use std::io;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByReason {
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByCoding {
    pub(super) coding: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByKind {
    pub(super) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByPath {
    pub(super) path: &'static str,
}

/// The status of a request that was refused: a dozen values, all of them the hub's own choice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByStatus {
    pub(super) status: u16,
}

/// Who serves a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Shard,
    /// hyper, or TLS without it.
    General,
}

impl Path {
    pub(super) const ALL: [Self; 2] = [Self::Shard, Self::General];

    pub(super) fn label(self) -> ByPath {
        ByPath {
            path: match self {
                Self::Shard => "shard",
                Self::General => "general",
            },
        }
    }
}

/// What is spoken on a connection that no shard has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionKind {
    Http1,
    Http2,
    TlsHandshake,
    TlsHttp1,
    TlsHttp2,
}

impl ConnectionKind {
    pub(super) const ALL: [Self; 5] = [Self::Http1, Self::Http2, Self::TlsHandshake, Self::TlsHttp1, Self::TlsHttp2];

    pub(super) fn label(self) -> ByKind {
        ByKind {
            kind: match self {
                Self::Http1 => "http1",
                Self::Http2 => "http2",
                Self::TlsHandshake => "tls_handshake",
                Self::TlsHttp1 => "tls_http1",
                Self::TlsHttp2 => "tls_http2",
            },
        }
    }
}

/// Why a connection was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionRefusal {
    /// It was one too many, and told so.
    Full,
    /// It was one too many for its address, and told so.
    Address,
    /// It was one too many, and too many were told so already.
    Dropped,
    /// It could not be accepted: mostly for want of files.
    Accept,
    /// TLS could not be agreed on, or not in time.
    TlsHandshake,
}

impl ConnectionRefusal {
    pub(super) const ALL: [Self; 5] = [Self::Full, Self::Address, Self::Dropped, Self::Accept, Self::TlsHandshake];

    pub(super) fn label(self) -> ByReason {
        ByReason {
            reason: match self {
                Self::Full => "full",
                Self::Address => "address",
                Self::Dropped => "dropped",
                Self::Accept => "accept",
                Self::TlsHandshake => "tls_handshake",
            },
        }
    }
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The client ended it, or the connection broke.
    Client,
    /// The hub stops.
    Drained,
    /// Its token was about to end.
    TokenExpired,
    /// The application took its access back.
    Revoked,
    /// It was as old as a connection may become.
    Aged,
    /// It was further behind than it wanted to be served.
    TooFarBehind,
    /// It did not take what there was in time, or sent what nobody asked for.
    CutOff,
    /// It was still open at the end of the drain.
    Stopped,
    /// It fell behind the history, on a hub that tells of gaps in the answer alone.
    Lagged,
    /// The history could not be read, or its socket not be watched.
    Failed,
}

impl StreamEnd {
    pub(super) const ALL: [Self; 10] = [
        Self::Client,
        Self::Drained,
        Self::TokenExpired,
        Self::Revoked,
        Self::Aged,
        Self::TooFarBehind,
        Self::CutOff,
        Self::Stopped,
        Self::Lagged,
        Self::Failed,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Drained => "drained",
            Self::TokenExpired => "token_expired",
            Self::Revoked => "revoked",
            Self::Aged => "aged",
            Self::TooFarBehind => "too_far_behind",
            Self::CutOff => "cut_off",
            Self::Stopped => "stopped",
            Self::Lagged => "lagged",
            Self::Failed => "failed",
        }
    }

    pub(super) fn label(self) -> ByReason {
        ByReason { reason: self.as_str() }
    }

    /// What an error of the socket means: the peer has gone, or was found to take nothing for too long.
    pub(crate) fn of_socket(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut { Self::CutOff } else { Self::Client }
    }

    /// Whether the connection ends with a reset, which throws away what was not taken.
    pub(crate) fn is_reset(self) -> bool {
        matches!(self, Self::Client | Self::CutOff | Self::Failed | Self::TooFarBehind)
    }
}

/// Why a publish was rejected, by its status. `None` for what is no publish: a wrong path or method.
pub(super) fn rejection(status: StatusCode, is_draining: bool) -> Option<ByReason> {
    let reason = match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return None,
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => "forbidden",
        StatusCode::REQUEST_TIMEOUT => "slow_body",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "media_type",
        StatusCode::TOO_MANY_REQUESTS => "rate",
        StatusCode::SERVICE_UNAVAILABLE if is_draining => "draining",
        status if status.is_server_error() => "unavailable",
        _ => "malformed",
    };
    Some(ByReason { reason })
}

/// All that [`rejection`] can say.
pub(super) const REJECTIONS: [&str; 9] = [
    "unauthorized",
    "forbidden",
    "slow_body",
    "too_large",
    "media_type",
    "rate",
    "draining",
    "unavailable",
    "malformed",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rejection_is_one_of_those_that_are_shown_from_the_start() {
        let mut seen: Vec<_> = (400..600)
            .flat_map(|status| [(status, false), (status, true)])
            .filter_map(|(status, is_draining)| rejection(StatusCode::from_u16(status).unwrap(), is_draining))
            .map(|label| label.reason)
            .collect();
        seen.sort_unstable();
        seen.dedup();
        let mut all = REJECTIONS.to_vec();
        all.sort_unstable();
        assert_eq!(seen, all);
    }
}
