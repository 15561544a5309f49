//! One subscriber: a socket and a place in the history.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_log::{Position, Record};

use crate::conflation::Conflation;
use crate::lag::Lag;
use crate::revocation::Lease;
use crate::run::Open;
use crate::shard::chunk;
use crate::shard::wheel::NEVER;
use crate::slow_policy::SlowPolicy;
use crate::subscription::Held;

/// A subscriber. While it is live this is all that it costs in user space.
#[derive(Debug)]
pub(super) struct Subscriber<S> {
    pub(super) socket: S,
    /// Its place among the hub's connections.
    _open: Open,
    /// What its subscription holds.
    _held: Option<Arc<Held>>,
    /// Its access can be taken back. Boxed, because most have none.
    pub(super) lease: Option<Box<Lease>>,
    pub(super) group: u32,
    pub(super) grant: u32,
    /// The tick at which something was sent to it last.
    pub(super) last_sent: u32,
    /// The tick at which the wheel has it come up.
    pub(super) armed_for: u32,
    /// The tick at which its stream ends.
    pub(super) leaves_at: u32,
    /// The tick at which its token ends.
    pub(super) expires_at: u32,
    /// Bytes that came from it after its request.
    pub(super) heard: u32,
    /// How it is served while it is behind.
    pub(super) slow: SlowPolicy,
    pub(super) state: State,
}

/// How it goes on.
#[derive(Debug)]
pub(super) enum State {
    /// It has everything of its group's events up to the cursor, and its socket had room when it was last used.
    Live { cursor: u64, place: u32 },
    /// It reads the log for itself until it has caught up with its group. Boxed, because most never are.
    Behind(Box<Behind>),
}

/// Somebody who connected with a cursor, or whose socket had no room. What is held for it does not grow.
#[derive(Debug)]
pub(super) struct Behind {
    /// Everything up to here was sent, but for the piece.
    pub(super) position: Position,
    /// What was being sent.
    pub(super) piece: Option<Piece>,
    /// How far, if its stream is to end when that is too far.
    pub(super) lag: Option<Box<Lag>>,
    /// What it has read ahead, if it wants the latest events alone, and has not come to the tail in one turn.
    pub(super) ahead: Option<Box<Conflation>>,
    /// It waits for room in its socket.
    pub(super) is_blocked: bool,
    /// It waits for its turn.
    pub(super) is_queued: bool,
}

/// The rest of a write that had no room.
#[derive(Debug)]
pub(super) enum Piece {
    /// The chunk of an event, from this byte on.
    Event(Arc<Record>, usize),
    /// The rest of the chunk of an event that was read from the history, and the bytes of its frame.
    Rest {
        rest: Bytes,
        frame_bytes: usize,
    },
    Bytes(Bytes),
}

impl Piece {
    /// What it counts for when it is sent: events, and bytes of their frames.
    pub(super) fn event_bytes(&self) -> (u64, u64) {
        match self {
            Self::Event(record, _) => (1, record.frame.len() as u64),
            Self::Rest { frame_bytes, .. } => (1, *frame_bytes as u64),
            Self::Bytes(_) => (0, 0),
        }
    }

    /// Has `send` take the rest, and gives what is left of it then.
    pub(super) fn send(
        self,
        send: impl FnOnce(&[std::io::IoSlice<'_>]) -> std::io::Result<usize>,
    ) -> std::io::Result<Option<Self>> {
        Ok(match self {
            Self::Event(record, sent) => {
                let sent = sent + send(&chunk::rest(&chunk::Head::of(record.frame.len()), &record.frame, sent))?;
                (sent < chunk::len(record.frame.len())).then_some(Self::Event(record, sent))
            }
            Self::Rest { rest, frame_bytes } => {
                let sent = send(&[std::io::IoSlice::new(&rest)])?;
                (sent < rest.len()).then(|| Self::Rest { rest: rest.slice(sent..), frame_bytes })
            }
            Self::Bytes(bytes) => {
                let sent = send(&[std::io::IoSlice::new(&bytes)])?;
                (sent < bytes.len()).then(|| Self::Bytes(bytes.slice(sent..)))
            }
        })
    }
}

impl<S> Subscriber<S> {
    pub(super) fn new(
        socket: S,
        (open, held): (Open, Option<Arc<Held>>),
        (group, grant): (u32, u32),
        position: Position,
    ) -> Self {
        Self {
            socket,
            _open: open,
            _held: held,
            lease: None,
            group,
            grant,
            last_sent: 0,
            armed_for: NEVER,
            leaves_at: NEVER,
            expires_at: NEVER,
            heard: 0,
            slow: SlowPolicy::CatchUp,
            state: State::Behind(Box::new(Behind::at(position))),
        }
    }

    /// Whether it has bytes that its socket had no room for.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(&self.state, State::Behind(behind) if behind.is_blocked)
    }
}

impl Behind {
    pub(super) fn at(position: Position) -> Self {
        Self { position, piece: None, lag: None, ahead: None, is_blocked: false, is_queued: false }
    }
}
