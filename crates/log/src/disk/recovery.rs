//! From the files of a log to a log that goes on, whatever the last process or the machine left behind.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::disk::damage::{Damage, DamageKind, Unreadable};
use crate::disk::history::Entry;
use crate::disk::keeper::{bound_filters_of, prepare, remove, seal};
use crate::disk::scan::{Scan, Step, later_group, written_end};
use crate::disk::segment::{HEAD_BYTES, Head, Index, Segment, events_name, index_name, sequence_of};
use crate::disk::settings::{DiskSettings, Durability, Order, Sizes};
use crate::disk::side::{Side, Summary};
use crate::disk::state::State;
use crate::disk::storage::{Folder, read_full, write_full};
use crate::disk::stored::Base;
use crate::disk::terms::{Key, Terms};
use crate::disk::writer::Active;
use crate::{Epoch, Position, Timestamp};

/// What was found, ready to go on.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) entries: VecDeque<Entry>,
    pub(super) active: Active,
    pub(super) state: State,
    /// The unfinished write that was cut off, if there was one.
    pub(super) torn: Option<Damage>,
}

/// Brings the log to a state that lasts: after it all that is kept is on the disk, and the next append works.
pub(super) fn recover(folder: &dyn Folder, settings: &DiskSettings, sizes: &Sizes) -> Result<Recovered, Unreadable> {
    let found_state = State::load(folder).map_err(Unreadable::failed(&folder.path("state")))?;
    let fresh_state = State::new(settings.durability, settings.order, settings.boot.clone());
    let is_new_key = found_state.is_none();
    let mut state = found_state.unwrap_or_else(|| fresh_state.clone());
    let closed_at = state.closed_at;
    let same_boot = state.boot.is_some() && state.boot == settings.boot;

    let mut entries = VecDeque::new();
    let mut torn = None;
    let mut was_cut = false;
    let Listed { segments, unwritten, damage } = list(folder, state.durability == Durability::Fsync || same_boot)?;
    if let Some(damage) = damage.into_iter().next() {
        return Err(damage.into());
    }
    let count = segments.len();
    for (index, (segment, size)) in segments.into_iter().enumerate() {
        let is_last = index + 1 == count;
        if !follows(entries.back(), &segment, state.order)? {
            // The history begins anew here. A crash came before what was forgotten had been removed.
            remove_all(folder, &mut entries)?;
        }
        let entry = if is_last {
            let (entry, tail) = tail(folder, segment, size, (&state, same_boot))?;
            torn = tail;
            // Room is taken ahead: a file that ends where its records do may have had more of them.
            was_cut = closed_at.is_none() && size <= entry.end.into();
            entry
        } else {
            sealed(folder, segment, size, &state.key)?
        };
        entries.push_back(entry);
        if !is_last {
            bound_filters_of(entries.iter().rev().map(|entry| &entry.segment), sizes.filter_bytes);
        }
    }
    check_end(folder, closed_at, entries.back())?;
    if settings.order == Order::Followed && state.order == Order::Own {
        if entries.iter().any(|entry| entry.records > 0) {
            return Err(Unreadable::OwnOrder(folder.path("")));
        }
        // Its epoch was never used, and would stand in the way of the one to follow.
        remove_all(folder, &mut entries)?;
    }

    remove_orphans(folder)?;
    for segment in unwritten {
        folder.remove(&events_name(segment.head.sequence)).map_err(Unreadable::failed(segment.path()))?;
    }
    // Written, but maybe not synced by whoever wrote it.
    let synced = entries.back().map_or(Ok(()), |entry: &Entry| entry.segment.file.sync()).and_then(|()| folder.sync());
    synced.map_err(Unreadable::failed(&folder.path("")))?;

    let lost_by_machine = state.durability == Durability::Os && closed_at.is_none() && !same_boot;
    let is_in_doubt = entries.is_empty() || torn.is_some() || was_cut || lost_by_machine || is_new_key;
    let active = if settings.order == Order::Followed && is_in_doubt {
        // Whoever makes the order gives the same positions to the same events again.
        let start = entries.back().map_or(Position::start_of(Epoch(0)), |last| last.last);
        begin_segment(folder, sizes, (&state, settings.now), start, &mut entries)?
    } else if is_in_doubt || state.order != settings.order {
        let known = entries.back().map_or(0, |last| last.last.epoch.0).max(state.epoch);
        state.epoch = known.saturating_add(1).max(settings.now.0);
        let start = Position::start_of(Epoch(state.epoch));
        begin_segment(folder, sizes, (&state, settings.now), start, &mut entries)?
    } else {
        go_on(folder, sizes, entries.back())?
    };
    state = State { closed_at: None, ..state };
    (state.durability, state.order) = (settings.durability, settings.order);
    state.boot.clone_from(&settings.boot);
    state.save(folder).map_err(Unreadable::failed(&folder.path("state")))?;
    Ok(Recovered { entries, active, state, torn })
}

/// The files of a log.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The segments, each with the size of its file.
    pub(super) segments: Vec<(Segment, u64)>,
    /// Files past the last segment that were prepared, or begun and not finished: nothing was stored in them.
    pub(super) unwritten: Vec<Segment>,
    /// What is wrong with the rest.
    pub(super) damage: Vec<Damage>,
}

/// Lists the files of a log. `in_order` says that groups reached the disk in their order.
pub(super) fn list(folder: &dyn Folder, in_order: bool) -> Result<Listed, Unreadable> {
    let names = folder.names().map_err(Unreadable::failed(&folder.path("")))?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
    sequences.sort_unstable();
    let mut listed = Listed::default();
    let mut is_end = true;
    for sequence in sequences.into_iter().rev() {
        let path = folder.path(&events_name(sequence));
        let failed = Unreadable::failed(&path);
        let file = folder.open(&events_name(sequence)).map_err(&failed)?;
        let size = file.size().map_err(&failed)?;
        let mut bytes = [0; HEAD_BYTES as usize];
        let read = read_full(&*file, &mut bytes, 0).map_err(&failed)?;
        let kind = match Head::decode(bytes.get(..read).unwrap_or_default()) {
            Ok(head) if head.sequence == sequence && size <= u64::from(u32::MAX) => {
                is_end = false;
                let segment = Segment::new(head, file, path.clone(), Index::Memory(Terms::default()));
                listed.segments.push((segment, size));
                continue;
            }
            Ok(_) => DamageKind::Order,
            Err(kind) => kind,
        };
        // The head is written with the first group: without it nothing was stored, unless something follows that was
        // written later.
        let is_unwritten = is_end
            && kind == DamageKind::Header
            && (!in_order
                || later_group(&*file, 0, written_end(&*file, 0, size).map_err(&failed)?).map_err(&failed)?.is_none());
        if is_unwritten {
            let base = Base { position: Position::start_of(Epoch(0)), time: Timestamp(0) };
            let head = Head { sequence, base, before: base.position };
            listed.unwritten.push(Segment::new(head, file, path.clone(), Index::Memory(Terms::default())));
        } else {
            is_end = false;
            listed.damage.push(Damage { file: path.clone(), byte: 0, kind });
        }
    }
    listed.segments.reverse();
    for ((one, _), (next, _)) in listed.segments.iter().zip(listed.segments.iter().skip(1)) {
        if one.head.sequence + 1 != next.head.sequence {
            listed.damage.push(next.damage(0, DamageKind::Order));
        }
    }
    Ok(listed)
}

/// A segment must begin where the one before ends. False if it begins past that, which only what follows another's order
/// may do.
pub(super) fn follows(before: Option<&Entry>, segment: &Segment, order: Order) -> Result<bool, Unreadable> {
    match before {
        Some(before) if before.last < segment.head.before && order == Order::Followed => Ok(false),
        Some(before) if before.last < segment.head.before => {
            Err(before.segment.damage(before.end.into(), DamageKind::Missing).into())
        }
        Some(before) if before.last > segment.head.before => Err(segment.damage(0, DamageKind::Order).into()),
        _ => Ok(true),
    }
}

/// Removes segments, from the oldest on.
fn remove_all(folder: &dyn Folder, entries: &mut VecDeque<Entry>) -> Result<(), Unreadable> {
    for Entry { segment, .. } in entries.drain(..) {
        remove(folder, segment.head.sequence).map_err(Unreadable::failed(segment.path()))?;
    }
    Ok(())
}

/// Removes side files whose segment went before them.
fn remove_orphans(folder: &dyn Folder) -> Result<(), Unreadable> {
    let names = folder.names().map_err(Unreadable::failed(&folder.path("")))?;
    for name in &names {
        let is_orphan =
            name.strip_suffix(".index").is_some_and(|segment| !names.contains(&format!("{segment}.events")));
        if is_orphan {
            folder.remove(name).map_err(Unreadable::failed(&folder.path(name)))?;
        }
    }
    Ok(())
}

/// What a scan of a segment found.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) terms: Terms,
    /// Of whole batches.
    pub(super) summary: Summary,
    /// Where the scan ended: past `summary.end` if a batch is not whole.
    pub(super) stopped: u64,
}

/// Reads a segment to its end, or to the first place that is not a record.
pub(super) fn scan(segment: &Segment, size: u64, key: &Key) -> io::Result<Scanned> {
    let mut terms = Terms::default();
    let base = segment.head.base;
    let mut summary = Summary { end: HEAD_BYTES, records: 0, retained_bytes: 0, last_offset: base.position.offset };
    // The records of a batch count when its last one is there.
    let mut batch: Vec<(Position, u32, Vec<u64>)> = Vec::new();
    let mut batch_bytes = 0;
    let mut scan = Scan::new(&*segment.file, base, HEAD_BYTES.into(), size);
    loop {
        match scan.next()? {
            // Offsets that do not grow were not written by this log.
            Step::Record(byte, view)
                if view.position.offset <= batch.last().map_or(summary.last_offset, |(last, _, _)| last.offset) =>
            {
                return Ok(Scanned { terms, summary, stopped: byte });
            }
            Step::Record(byte, view) => {
                batch_bytes += view.retained_bytes();
                if view.placing.continues {
                    batch.push((view.position, byte as u32, key.terms_of(&view).collect()));
                    continue;
                }
                for (position, byte, of_record) in batch.drain(..) {
                    terms.add(position, byte, of_record.into_iter());
                }
                terms.add(view.position, byte as u32, key.terms_of(&view));
                summary = Summary {
                    end: (byte + view.size as u64) as u32,
                    records: terms.records(),
                    retained_bytes: summary.retained_bytes + std::mem::take(&mut batch_bytes),
                    last_offset: view.position.offset,
                };
            }
            Step::End(byte) | Step::Bad(byte) => return Ok(Scanned { terms, summary, stopped: byte }),
        }
    }
}

/// A segment that is not the last: by its side file, or else by a scan that makes the side file again.
fn sealed(folder: &dyn Folder, segment: Segment, size: u64, key: &Key) -> Result<Entry, Unreadable> {
    let path = segment.path().clone();
    let failed = Unreadable::failed(&path);
    let side = match folder.open(&index_name(segment.head.sequence)) {
        Ok(file) => Side::open(file, &segment.head, key, size).map_err(&failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let summary = match side {
        Some((side, summary)) => {
            *segment.index_mut() = Index::Side(side);
            summary
        }
        None => {
            let Scanned { terms, summary, stopped } = scan(&segment, size, key).map_err(&failed)?;
            // Everything was synced before the next segment was begun.
            let written = written_end(&*segment.file, summary.end.into(), size).map_err(&failed)?;
            if stopped != u64::from(summary.end) || written != u64::from(summary.end) {
                return Err(segment.damage(stopped, DamageKind::Record).into());
            }
            *segment.index_mut() = Index::Memory(terms);
            summary
        }
    };
    seal(folder, key, &segment, &summary)
        .map_err(Unreadable::failed(&folder.path(&index_name(segment.head.sequence))))?;
    Ok(entry(segment, &summary))
}

/// The last segment: scanned in any case, and an unfinished write at its end passed over.
fn tail(
    folder: &dyn Folder,
    segment: Segment,
    size: u64,
    (state, same_boot): (&State, bool),
) -> Result<(Entry, Option<Damage>), Unreadable> {
    let path = segment.path().clone();
    let failed = Unreadable::failed(&path);
    let Scanned { terms, summary, stopped } = scan(&segment, size, &state.key).map_err(&failed)?;
    let written = written_end(&*segment.file, summary.end.into(), size).map_err(&failed)?;
    let mut torn = None;
    if written > u64::from(summary.end) {
        let was_whole = was_whole(&segment, (stopped, written), state, same_boot)?;
        if was_whole {
            return Err(segment.damage(stopped, DamageKind::Record).into());
        }
        torn = Some(segment.damage(summary.end.into(), DamageKind::TornTail));
        // The epoch that is opened for it seals this segment at its end, which cuts the rest off.
    }
    *segment.index_mut() = Index::Memory(terms);
    // An old side file would be of no use: the segment grows.
    let _removed = folder.remove(&index_name(segment.head.sequence));
    Ok((entry(segment, &summary), torn))
}

/// Whether the place where the records of the last segment stop was on the disk once, so that it is damage and not an
/// unfinished write.
pub(super) fn was_whole(
    segment: &Segment,
    (stopped, written): (u64, u64),
    state: &State,
    same_boot: bool,
) -> Result<bool, Unreadable> {
    let was_closed = matches!(state.closed_at, Some((sequence, end))
        if sequence == segment.head.sequence && stopped < u64::from(end));
    if was_closed {
        return Ok(true);
    }
    // Without syncs a machine that stops has written in any order: what comes later proves nothing.
    if state.durability == Durability::Os && !same_boot {
        return Ok(false);
    }
    let later = later_group(&*segment.file, stopped, written).map_err(Unreadable::failed(segment.path()))?;
    Ok(later.is_some())
}

/// A log that was closed must end where it was closed, at least.
pub(super) fn check_end(
    folder: &dyn Folder,
    closed_at: Option<(u64, u32)>,
    last: Option<&Entry>,
) -> Result<(), Unreadable> {
    let Some((sequence, end)) = closed_at.filter(|(_, end)| *end > 0) else { return Ok(()) };
    let found = last.map_or((0, 0), |last| (last.segment.head.sequence, last.end));
    if found < (sequence, end) {
        let byte = if found.0 == sequence { found.1.into() } else { 0 };
        return Err(Damage { file: folder.path(&events_name(sequence)), byte, kind: DamageKind::Missing }.into());
    }
    Ok(())
}

fn entry(segment: Segment, summary: &Summary) -> Entry {
    let Summary { end, records, retained_bytes, last_offset } = *summary;
    let last = Position { offset: last_offset, ..segment.head.base.position };
    Entry { segment: Arc::new(segment), end, last, records, retained_bytes }
}

/// Goes on in the last segment.
fn go_on(folder: &dyn Folder, sizes: &Sizes, last: Option<&Entry>) -> Result<Active, Unreadable> {
    let Some(Entry { segment, end, last, records, retained_bytes }) = last.cloned() else {
        return Err(Unreadable::Failed(folder.path(""), io::ErrorKind::NotFound.into()));
    };
    let (size, room) = (sizes.segment_bytes.max(end.into()), end.into());
    Ok(Active { segment, size, room, end, records, retained_bytes, last })
}

/// Begins a segment at `start`, in a new epoch if positions past the tail may have been given out.
fn begin_segment(
    folder: &dyn Folder,
    sizes: &Sizes,
    (state, now): (&State, Timestamp),
    start: Position,
    entries: &mut VecDeque<Entry>,
) -> Result<Active, Unreadable> {
    let last = entries.back();
    let sequence = last.map_or(1, |last| last.segment.head.sequence + 1);
    let before = last.map_or(start, |last| last.last);
    if let Some(last) = last {
        let Entry { end, records, retained_bytes, .. } = *last;
        let summary = Summary { end, records, retained_bytes, last_offset: last.last.offset };
        seal(folder, &state.key, &last.segment, &summary).map_err(Unreadable::failed(last.segment.path()))?;
    }
    let head = Head { sequence, base: Base { position: start, time: now }, before };
    let path = folder.path(&events_name(sequence));
    let file = prepare(folder, sequence, sizes.room_bytes)
        .and_then(|file| {
            write_full(&*file, &head.encode(), 0)?;
            file.sync()?;
            Ok(file)
        })
        .map_err(Unreadable::failed(&path))?;
    let segment = Arc::new(Segment::new(head, file, path, Index::Memory(Terms::default())));
    let entry = Entry { segment: segment.clone(), end: HEAD_BYTES, last: start, records: 0, retained_bytes: 0 };
    entries.push_back(entry);
    let (size, room) = (sizes.segment_bytes, sizes.room_bytes);
    Ok(Active { segment, size, room, end: HEAD_BYTES, records: 0, retained_bytes: 0, last: start })
}
