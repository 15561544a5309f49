//! The keeper: a thread that makes the next segment's room, seals full segments and removes what was trimmed, so that
//! publishing waits for none of it.

use std::io;
use std::sync::Arc;

use crate::disk::history::OldRecord;
use crate::disk::scan::{Scan, Step};
use crate::disk::segment::{Index, Segment, events_name, index_name};
use crate::disk::shared::Shared;
use crate::disk::side::{self, Side, Summary};
use crate::disk::storage::{File, Folder, write_full};
use crate::disk::terms::Key;
use crate::disk::work::Task;
use crate::limits::OLDEST_RECORDS_MAX;
use crate::{Position, Timestamp};

/// Works until the log is closed.
pub(super) fn run(shared: &Shared) {
    while let Some(task) = shared.work.task() {
        match task {
            Task::Prepare(sequence) => {
                let file = prepare(&*shared.folder, sequence, shared.sizes.room_bytes);
                shared.work.prepared(sequence, file);
            }
            Task::Seal(segment, summary) => {
                if seal(&*shared.folder, &shared.key, &segment, &summary).is_err() {
                    shared.work.seal_again(segment, summary);
                }
                bound_filters(shared);
            }
            Task::Remove(segment) => {
                if remove(&*shared.folder, segment.head.sequence).is_err() {
                    shared.work.remove_again(segment);
                }
            }
            Task::Trim(now, least) => trim(shared, now, least),
        }
        shared.work.done();
    }
    if let Some(sequence) = shared.work.unused() {
        // The next start makes another.
        let _removed = shared.folder.remove(&events_name(sequence));
    }
}

/// Makes the file of a segment and takes its room, so that a disk that is full shows before an event is written.
pub(super) fn prepare(folder: &dyn Folder, sequence: u64, bytes: u64) -> io::Result<Arc<dyn File>> {
    let name = events_name(sequence);
    let file = folder.create(&name)?;
    let prepared = file.allocate(bytes).and_then(|()| file.sync()).and_then(|()| folder.sync());
    if let Err(error) = prepared {
        // Half the room is of no use, and others may need it.
        let _removed = folder.remove(&name);
        return Err(error);
    }
    Ok(file)
}

/// Writes the side file of a full segment, has its index read from there, and gives back the room that it did not need.
pub(super) fn seal(folder: &dyn Folder, key: &Key, segment: &Segment, summary: &Summary) -> io::Result<()> {
    let encoded = match &*segment.index() {
        Index::Memory(terms) => Some(side::encode(&segment.head, key, terms, summary)),
        Index::Side(_) => None,
    };
    if let Some(bytes) = encoded {
        let name = index_name(segment.head.sequence);
        let new_name = format!("{name}.new");
        // It is not synced: what does not fit its checksum after a crash is made again.
        let file = folder.create(&new_name)?;
        write_full(&*file, &bytes, 0)?;
        folder.rename(&new_name, &name)?;
        let opened = Side::open(file, &segment.head, key, summary.end.into())?;
        let (side, _) = opened.ok_or_else(|| io::Error::other("an index does not read as it was written"))?;
        *segment.index_mut() = Index::Side(side);
    }
    if segment.file.size()? > summary.end.into() {
        segment.file.truncate(summary.end.into())?;
        segment.file.sync()?;
    }
    Ok(())
}

/// Keeps the filters of the newest segments in memory, as far as the bound allows.
fn bound_filters(shared: &Shared) {
    let segments: Vec<Arc<Segment>> = shared.history().entries().rev().map(|entry| entry.segment.clone()).collect();
    bound_filters_of(segments.iter(), shared.sizes.filter_bytes);
}

/// Drops the filters of segments past the bound; the newest come first.
pub(super) fn bound_filters_of<'a>(segments: impl Iterator<Item = &'a Arc<Segment>>, bytes_max: usize) {
    let mut bytes = 0;
    for segment in segments {
        let taken = match &*segment.index() {
            Index::Side(side) => side.filter_bytes(),
            Index::Memory(_) => 0,
        };
        bytes += taken;
        if taken > 0
            && bytes > bytes_max
            && let Index::Side(side) = &mut *segment.index_mut()
        {
            side.drop_filter();
        }
    }
}

/// Removes a segment. The name must be gone for good before that of the next one is, or a crash could leave a gap.
pub(super) fn remove(folder: &dyn Folder, sequence: u64) -> io::Result<()> {
    for name in [events_name(sequence), index_name(sequence)] {
        match folder.remove(&name) {
            // An index may not have been made yet, and a first attempt may have come this far.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    folder.sync()
}

/// Reads what trimming needs to know of the oldest records, and trims as far as that goes: other tasks come between.
fn trim(shared: &Shared, now: Timestamp, least: u64) {
    read_oldest(shared);
    // Somebody else may have asked for an earlier time while this was asked for.
    if shared.history().knows_oldest() {
        shared.trim(now, least);
    }
}

/// Reads what trimming needs to know next. False if it knows enough, or there is no more.
pub(super) fn read_oldest(shared: &Shared) -> bool {
    let Some((entry, from)) = shared.history().oldest_unread() else { return false };
    let sequence = entry.segment.head.sequence;
    let records = oldest(&entry.segment, from, entry.end, (entry.last, entry.records, entry.retained_bytes));
    shared.history_mut().add_oldest(sequence, records);
    true
}

/// The records from byte `from` on. If one is damaged, the rest counts as one, so that the history can still be trimmed.
fn oldest(
    segment: &Segment,
    from: u32,
    end: u32,
    (last, mut records_left, mut bytes_left): (Position, u64, u64),
) -> Vec<OldRecord> {
    let mut records = Vec::new();
    let mut scan = Scan::new(&*segment.file, segment.head.base, from.into(), end.into());
    let mut time = segment.head.base.time;
    while records.len() < OLDEST_RECORDS_MAX {
        match scan.next() {
            Ok(Step::Record(byte, view)) => {
                time = view.time;
                let record = OldRecord {
                    position: view.position,
                    time,
                    retained_bytes: view.retained_bytes(),
                    records: 1,
                    next_byte: byte as u32 + view.size as u32,
                };
                records_left = records_left.saturating_sub(1);
                bytes_left = bytes_left.saturating_sub(record.retained_bytes);
                records.push(record);
            }
            Ok(Step::End(byte)) if byte >= end.into() => break,
            Ok(Step::End(_) | Step::Bad(_)) | Err(_) => {
                let rest = OldRecord {
                    position: last,
                    time,
                    retained_bytes: bytes_left,
                    records: records_left,
                    next_byte: end,
                };
                records.push(rest);
                break;
            }
        }
    }
    records
}
