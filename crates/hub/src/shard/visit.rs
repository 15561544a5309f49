//! What is done for one subscriber when it is its turn.

use std::io::{self, IoSlice};
use std::ops::Range;

use bytes::Bytes;
use fanfare_log::{Position, ReadError, Record, RecordRef};

use crate::conflation::Conflation;
use crate::cursor::{Gap, GapReason};
use crate::figures::StreamEnd;
use crate::lag::Lag;
use crate::limits::{RUNS_MAX, SPARE_BUFFER_BYTES_MAX};
use crate::shard::buffer::{Buffer, Place};
use crate::shard::chunk;
use crate::shard::fanout::Fanout;
use crate::shard::grants::Grants;
use crate::shard::socket::Socket;
use crate::shard::subscriber::{Behind, Piece, State};
use crate::shard::wheel::NEVER;
use crate::slow_policy::SlowPolicy;
use crate::subscription::read_budget;

impl<S: Socket> Fanout<S> {
    /// Sends a live subscriber all that is pending. Returns whether there was anything.
    pub(super) fn visit(&mut self, number: u32) -> bool {
        let Some(one) = self.subscribers.get_mut(number as usize) else { return false };
        let State::Live { cursor, .. } = &mut one.state else { return false };
        let group = &self.groups[one.group as usize];
        let Some(buffer) = &group.buffer else { return false };
        if *cursor >= group.head {
            return false;
        }
        let pending = *cursor..group.head;
        let sent = if buffer.has_private() {
            send_allowed(&mut one.socket, buffer, pending.clone(), &mut self.grants, one.grant)
        } else {
            let sent = one.socket.send(buffer.bytes(pending.clone()));
            sent.map(|sent| {
                let stop = pending.start + sent as u64;
                Sent { stop, count: buffer.count(pending.start..stop) }
            })
        };
        match sent {
            Ok(Sent { stop, count }) => {
                self.tally.add(count);
                one.last_sent = self.wheel.now();
                *cursor = stop;
                if stop < pending.end {
                    let behind =
                        Behind { is_blocked: true, ..self.stopped_at(self.subscribers[number as usize].group, stop) };
                    self.fall_behind(number, behind);
                }
            }
            Err(error) => self.close(number, StreamEnd::of_socket(&error)),
        }
        true
    }

    /// Where somebody stands who was sent a group's bytes up to `offset`.
    pub(super) fn stopped_at(&self, group: u32, offset: u64) -> Behind {
        let group = &self.groups[group as usize];
        let Some(buffer) = group.buffer.as_ref().filter(|_| offset < group.head) else {
            return Behind::at(self.followed);
        };
        match buffer.place(offset) {
            Place::Between(None) => Behind::at(group.known_from),
            Place::Between(Some(record)) => Behind::at(record.position),
            Place::Within(record, sent) => {
                Behind { piece: Some(Piece::Event(record.clone(), sent)), ..Behind::at(record.position) }
            }
        }
    }

    /// Goes on with somebody who is behind.
    pub(super) fn catch_up(&mut self, number: u32) {
        let Some(one) = self.subscribers.get_mut(number as usize) else { return };
        let State::Behind(behind) = &mut one.state else { return };
        if !std::mem::take(&mut behind.is_queued) || behind.is_blocked {
            return;
        }
        if let Some(piece) = behind.piece.take() {
            let whole = piece.event_bytes();
            match piece.send(|pieces| one.socket.send_vectored(pieces)) {
                Ok(None) => self.tally.add(whole),
                Ok(rest) => {
                    behind.piece = rest;
                    behind.is_blocked = true;
                    return;
                }
                Err(error) => return self.close(number, StreamEnd::of_socket(&error)),
            }
            one.last_sent = self.wheel.now();
        }
        self.scratch.clear();
        if self.is_too_far_behind(number) {
            return self.end_as(number, StreamEnd::TooFarBehind);
        }
        self.go_on(number);
    }

    /// Sends what is in `scratch`, and after it what the log has, or makes the subscriber live.
    pub(super) fn go_on(&mut self, number: u32) {
        let joins = self.joins_at(number).is_some();
        let result = if joins { self.send_scratch(number, self.scratch.len()) } else { self.read_on(number) };
        match result {
            Ok(()) => {}
            Err(end) => return self.close(number, end),
        }
        if self.scratch.capacity() > SPARE_BUFFER_BYTES_MAX * 4 {
            self.scratch = Vec::new();
        }
        match self.joins_at(number) {
            Some(cursor) => self.join(number, cursor),
            None => self.enqueue(number),
        }
    }

    /// The offset at which somebody who is behind can join its group.
    fn joins_at(&self, number: u32) -> Option<u64> {
        let one = &self.subscribers[number as usize];
        match &one.state {
            State::Behind(behind)
                if !behind.is_blocked && behind.piece.is_none() && behind.position <= self.followed =>
            {
                self.groups[one.group as usize].offset_of(behind.position)
            }
            _ => None,
        }
    }

    fn join(&mut self, number: u32, cursor: u64) {
        let one = &mut self.subscribers[number as usize];
        let place = self.groups[one.group as usize].join(number, cursor);
        one.state = State::Live { cursor, place };
        self.tally.caught_up();
    }

    fn read_on(&mut self, number: u32) -> Result<(), StreamEnd> {
        let one = &mut self.subscribers[number as usize];
        let State::Behind(behind) = &mut one.state else { return Ok(()) };
        if one.slow == SlowPolicy::Conflate {
            return self.read_ahead(number);
        }
        let selectors = self.groups[one.group as usize].selectors.clone();
        let (grant, grants, scratch, replayed) = (one.grant, &mut self.grants, &mut self.scratch, &mut self.replayed);
        let before = scratch.len();
        replayed.clear();
        let mut see = |record: RecordRef<'_>| {
            if selectors.match_any(record.topics) && grants.may_see(grant, record) {
                chunk::encode(record.frame, scratch);
                replayed.push(Replayed {
                    position: record.position,
                    end: scratch.len(),
                    frame_bytes: record.frame.len(),
                });
            }
        };
        match self.hub.log.visit(behind.position, selectors.topics(), read_budget(&selectors), &mut see) {
            Ok(end) => {
                self.send_scratch(number, before)?;
                // Blocked, it stands wherever it was stopped.
                if let State::Behind(behind) = &mut self.subscribers[number as usize].state
                    && !behind.is_blocked
                {
                    behind.position = end;
                }
                Ok(())
            }
            Err(error) => {
                // What was shown before it failed is shown again, if ever.
                self.scratch.truncate(before);
                self.replayed.clear();
                self.can_not_read(number, &error)
            }
        }
    }

    fn can_not_read(&mut self, number: u32, error: &ReadError) -> Result<(), StreamEnd> {
        if matches!(error, ReadError::Expired) {
            return self.lag(number);
        }
        // The connection is lost, and no event: the subscriber comes back with its cursor.
        tracing::error!(%error, source = ?std::error::Error::source(error), "a subscriber was cut off");
        Err(StreamEnd::Failed)
    }

    /// Reads on for somebody who wants the latest event of each topic alone.
    fn read_ahead(&mut self, number: u32) -> Result<(), StreamEnd> {
        let one = &mut self.subscribers[number as usize];
        let State::Behind(behind) = &mut one.state else { return Ok(()) };
        let selectors = self.groups[one.group as usize].selectors.clone();
        let new = || Box::new(Conflation::after(behind.position, &self.hub.conflations));
        let mut ahead = behind.ahead.take().unwrap_or_else(new);
        let (grant, grants) = (one.grant, &mut self.grants);
        let admits = |record: &Record| selectors.match_any(record.topics.iter()) && grants.may_see(grant, record);
        let step = match ahead.step(&*self.hub.log, &selectors, admits) {
            Ok(step) => step,
            Err(error) => return self.can_not_read(number, &error),
        };
        let before = self.scratch.len();
        self.replayed.clear();
        for (position, frame) in step.due {
            chunk::encode(&frame, &mut self.scratch);
            self.replayed.push(Replayed { position, end: self.scratch.len(), frame_bytes: frame.len() });
        }
        self.send_scratch(number, before)?;
        // Blocked, it stands wherever it was stopped, and reads again from there.
        if let State::Behind(behind) = &mut self.subscribers[number as usize].state
            && !behind.is_blocked
        {
            behind.position = step.position.unwrap_or(behind.position);
            behind.ahead = Some(ahead).filter(|ahead| !ahead.is_empty());
        }
        Ok(())
    }

    /// Whether somebody is further behind than it wants to be served.
    fn is_too_far_behind(&mut self, number: u32) -> bool {
        let one = &mut self.subscribers[number as usize];
        let State::Behind(behind) = &mut one.state else { return false };
        let Some(lag) = &mut behind.lag else { return false };
        lag.reached(behind.position);
        let selectors = self.groups[one.group as usize].selectors.clone();
        let (grant, grants) = (one.grant, &mut self.grants);
        let admits = |record: RecordRef<'_>| selectors.match_any(record.topics) && grants.may_see(grant, record);
        let max = self.hub.settings.slow_disconnect_events;
        // What can't be looked at is told when it is read.
        lag.exceeds(max, &*self.hub.log, &selectors, admits).unwrap_or(false)
    }

    /// The history has passed somebody. Without a gap event the stream ends instead, and the answer to the reconnect
    /// tells: never silence.
    fn lag(&mut self, number: u32) -> Result<(), StreamEnd> {
        let State::Behind(behind) = &mut self.subscribers[number as usize].state else { return Ok(()) };
        let gap = Gap { requested: behind.position.to_string(), reason: GapReason::Lagged };
        behind.position = self.hub.log.span().start;
        behind.lag = behind.lag.is_some().then(|| Box::new(Lag::at(self.followed)));
        let mut event = Vec::new();
        let is_told = self.hub.tell(&gap, behind.position, &mut event);
        if is_told {
            chunk::encode(&event, &mut self.scratch);
        } else {
            self.scratch.extend_from_slice(chunk::LAST_CHUNK);
        }
        self.send_scratch(number, self.scratch.len())?;
        if is_told { Ok(()) } else { Err(StreamEnd::Lagged) }
    }

    /// Sends `scratch`, in which the chunks of what is `replayed` begin at byte `before`. If there is no room for all, the
    /// subscriber is blocked, and stands where it was stopped.
    fn send_scratch(&mut self, number: u32, before: usize) -> Result<(), StreamEnd> {
        let one = &mut self.subscribers[number as usize];
        let State::Behind(behind) = &mut one.state else { return Ok(()) };
        if self.scratch.is_empty() {
            return Ok(());
        }
        let sent = one.socket.send(&self.scratch).map_err(|error| StreamEnd::of_socket(&error))?;
        one.last_sent = self.wheel.now();
        behind.is_blocked = sent < self.scratch.len();
        if sent < before {
            behind.piece = Some(Piece::Bytes(Bytes::copy_from_slice(&self.scratch[sent..before])));
        }
        let mut start = before;
        for Replayed { position, end, frame_bytes } in self.replayed.drain(..) {
            if start >= sent {
                break;
            }
            behind.position = position;
            if let Some(lag) = &mut behind.lag {
                lag.sent(position);
            }
            if end > sent {
                let rest = Bytes::copy_from_slice(&self.scratch[sent..end]);
                behind.piece = Some(Piece::Rest { rest, frame_bytes });
                break;
            }
            self.tally.add((1, frame_bytes as u64));
            start = end;
        }
        Ok(())
    }

    /// The wheel has brought somebody up, or somebody who had its number before it. Returns whether the log was looked at.
    pub(super) fn come_up(&mut self, number: u32) -> bool {
        let now = self.wheel.now();
        let Some(one) = self.subscribers.get(number as usize).filter(|one| one.armed_for <= now) else { return false };
        // It did not take its events in time to end cleanly, and may not have them any more.
        if one.expires_at <= now {
            self.close(number, StreamEnd::CutOff);
            return false;
        }
        if let State::Live { cursor, .. } = one.state {
            self.come_up_live(number, cursor);
            return false;
        }
        let is_watched = one.slow == SlowPolicy::Disconnect;
        let is_looked_at = is_watched && one.is_blocked();
        if is_looked_at && self.is_too_far_behind(number) {
            self.close(number, StreamEnd::TooFarBehind);
        } else {
            self.arm(number, now + if is_watched { 1 } else { self.heartbeat_ticks });
        }
        is_looked_at
    }

    fn come_up_live(&mut self, number: u32, cursor: u64) {
        let now = self.wheel.now();
        let one = &self.subscribers[number as usize];
        let has_everything = cursor == self.groups[one.group as usize].head;
        if one.leaves_at <= now {
            // What was acknowledged before it leaves is still delivered.
            if has_everything && self.followed >= *self.hub.tail.borrow() {
                return self.end(number);
            }
            return self.arm(number, now + 1);
        }
        let heartbeat_at = one.last_sent.saturating_add(self.heartbeat_ticks);
        if heartbeat_at <= now && has_everything {
            self.send_alone(number, &Bytes::from_static(HEARTBEAT));
        }
        self.arm(number, heartbeat_at.max(now + 1));
    }

    pub(super) fn arm(&mut self, number: u32, tick: u32) {
        if let Some(one) = self.subscribers.get_mut(number as usize) {
            one.armed_for = self.wheel.arm(number, tick.min(one.leaves_at));
        }
    }

    /// The hub stops: has every stream end at a moment of its own within so many ticks.
    pub(super) fn drain(&mut self, ticks: u32) {
        self.drain_ticks = Some(ticks);
        let numbers: Vec<u32> = self.subscribers.iter().map(|(number, _)| number as u32).collect();
        numbers.into_iter().for_each(|number| self.arrange_leave(number));
    }

    pub(super) fn arrange_leave(&mut self, number: u32) {
        let share = self.hub.random() * f64::from(self.drain_ticks.unwrap_or(1));
        let one = &mut self.subscribers[number as usize];
        one.leaves_at = one.leaves_at.min(self.wheel.now() + 1 + share as u32);
        let leaves_at = one.leaves_at;
        self.arm(number, leaves_at);
    }

    /// The access of somebody, or of somebody who had its number before it, was revoked: nothing more is sent but the
    /// end.
    pub(super) fn revoke(&mut self, number: u32) {
        let one = self.subscribers.get(number as usize);
        let Some(one) = one.filter(|one| one.lease.as_ref().is_some_and(|lease| lease.is_revoked())) else { return };
        match &one.state {
            State::Behind(behind) if behind.is_blocked || behind.piece.is_some() => {
                self.close(number, StreamEnd::Revoked)
            }
            // What was sent ends with a whole event.
            State::Behind(_) | State::Live { .. } => self.end(number),
        }
    }

    /// Ends a stream between two events.
    fn end(&mut self, number: u32) {
        let one = &self.subscribers[number as usize];
        let is_revoked = one.lease.as_ref().is_some_and(|lease| lease.is_revoked());
        let end = match self.drain_ticks {
            _ if is_revoked => StreamEnd::Revoked,
            Some(_) => StreamEnd::Drained,
            None if one.expires_at != NEVER => StreamEnd::TokenExpired,
            None => StreamEnd::Aged,
        };
        self.end_as(number, end);
    }

    fn end_as(&mut self, number: u32, end: StreamEnd) {
        let mut bytes = Vec::new();
        if end == StreamEnd::Drained {
            chunk::encode(&self.hub.farewell(), &mut bytes);
        }
        bytes.extend_from_slice(chunk::LAST_CHUNK);
        self.send_alone(number, &bytes.into());
        self.remove(number, end, false);
    }

    /// Sends somebody to whom nothing is to be sent before it a few bytes.
    fn send_alone(&mut self, number: u32, bytes: &Bytes) {
        let one = &mut self.subscribers[number as usize];
        match one.socket.send(bytes) {
            Ok(sent) => {
                one.last_sent = self.wheel.now();
                if sent < bytes.len() {
                    let piece = Some(Piece::Bytes(bytes.slice(sent..)));
                    let behind = Behind { piece, is_blocked: true, ..Behind::at(self.followed) };
                    self.fall_behind(number, behind);
                }
            }
            Err(error) => self.close(number, StreamEnd::of_socket(&error)),
        }
    }
}

/// An event of the history in the scratch buffer.
#[derive(Debug)]
pub(super) struct Replayed {
    position: Position,
    /// Where its chunk ends.
    end: usize,
    frame_bytes: usize,
}

/// The comment that keeps a connection open, as a chunk.
const HEARTBEAT: &[u8] = b"2\r\n:\n\r\n";

/// How far a send of buffered events came.
struct Sent {
    stop: u64,
    /// Events, and bytes of their frames.
    count: (u64, u64),
}

/// Sends those events of a group's buffer that a grant allows, several runs of them in one call.
fn send_allowed<S: Socket>(
    socket: &mut S,
    buffer: &Buffer,
    pending: Range<u64>,
    grants: &mut Grants,
    grant: u32,
) -> io::Result<Sent> {
    let mut sent = Sent { stop: pending.start, count: (0, 0) };
    while sent.stop < pending.end {
        let mut runs: [Range<u64>; RUNS_MAX] = std::array::from_fn(|_| 0..0);
        let (mut used, mut end) = (0, sent.stop);
        for mark in buffer.after(sent.stop) {
            if !mark.is_private() || grants.may_see(grant, &*mark.record) {
                if used > 0 && runs[used - 1].end == end {
                    runs[used - 1].end = mark.end;
                } else if used < RUNS_MAX {
                    runs[used] = end..mark.end;
                    used += 1;
                } else {
                    break;
                }
            }
            end = mark.end;
        }
        let slices: [IoSlice<'_>; RUNS_MAX] = std::array::from_fn(|at| IoSlice::new(buffer.bytes(runs[at].clone())));
        let mut left = if used == 0 { 0 } else { socket.send_vectored(&slices[..used])? as u64 };
        for run in &runs[..used] {
            let taken = left.min(run.end - run.start);
            left -= taken;
            let (events, bytes) = buffer.count(run.start..run.start + taken);
            sent.count = (sent.count.0 + events, sent.count.1 + bytes);
            if taken < run.end - run.start {
                sent.stop = run.start + taken;
                return Ok(sent);
            }
        }
        sent.stop = end;
    }
    Ok(sent)
}
