//! How a storage begins: in memory, or with what a directory has.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::Storage;
use super::base::Base;
use super::directory::Directory;
use super::flusher::{Flusher, Full, OnFlushed};
use super::log::Log;
use super::memtable::Memtable;
use super::segment::{self, LogError, Segment};
use super::space::Space;
use crate::embedded::store::StoreResult;
use crate::error::BoxError;
use crate::timestamp::Timestamp;

/// What is in the log of a database, read and found whole.
pub(in crate::embedded) struct ReadLog(Vec<Segment>);

impl ReadLog {
    /// The segments that were flushed, the last of them with this number, and those that were not.
    fn parted(self, flushed: u64) -> Result<(Vec<Segment>, Vec<Segment>), LogError> {
        let (stale, unflushed): (Vec<Segment>, Vec<Segment>) =
            self.0.into_iter().partition(|segment| segment.number <= flushed);
        for (segment, expected) in unflushed.iter().zip(flushed + 1..) {
            if segment.number != expected {
                let missing = format!("log segment {expected} is missing, but segment {} is there", segment.number);
                return Err(LogError::Damaged(missing));
            }
        }
        Ok((stale, unflushed))
    }
}

impl Storage {
    pub(in crate::embedded) fn in_memory(
        cache_bytes: usize,
        memtable_bytes: usize,
        on_flushed: OnFlushed,
    ) -> StoreResult<Self> {
        let base = Base::in_memory(cache_bytes)?;
        let space = Arc::new(Space::default());
        Ok(Self {
            base_snapshot: Arc::new(base.snapshot()?),
            flusher: Flusher::start(base.clone(), None, space.clone(), on_flushed)?,
            directory: None,
            full: VecDeque::new(),
            active: Arc::default(),
            memtable_bytes,
            rotate_at: memtable_bytes,
            refusal: None,
            log: None,
            space,
            version: 0,
            base_version: 0,
            reserved: Timestamp::ZERO,
            base,
        })
    }

    /// Reads the log and changes nothing. The database file's lock has to be held, so that nobody is writing it.
    pub(in crate::embedded) fn read_log(directory: &Directory) -> Result<ReadLog, LogError> {
        segment::read_all(directory).map(ReadLog)
    }

    /// Takes up the log beside an open database file, whose writes wait as `space` says.
    pub(in crate::embedded) fn recover(
        directory: Directory,
        base: Base,
        log: ReadLog,
        space: Arc<Space>,
        memtable_bytes: usize,
        on_flushed: OnFlushed,
    ) -> Result<Self, LogError> {
        let in_base = |error: BoxError| LogError::Io(io::Error::other(error));
        let flushed = base.flushed_segment().map_err(in_base)?;
        let mut reserved = base.reserved().map_err(in_base)?;
        let (stale, unflushed) = log.parted(flushed)?;
        let log = match unflushed.last() {
            Some(last) => Log::resume(&directory, last),
            None => Log::begin(&directory, flushed + 1),
        };
        let log = log.map_err(io::Error::from)?;
        for segment in stale {
            let name = segment::name_of(segment.number);
            if let Err(error) = directory.remove(&name) {
                tracing::warn!(file = name, %error, "a flushed log segment can't be deleted; the next opening tries again");
            }
        }
        let mut version = 0;
        let mut tables = Vec::new();
        for segment in unflushed {
            let table = Memtable::default();
            for frame in segment.frames {
                version += 1;
                table.add(frame.writes, version);
                reserved = reserved.max(frame.reserved);
            }
            tables.push(Full { table: Arc::new(table), segment: segment.number, reserved });
        }
        space.be_patient(true);
        let flusher =
            Flusher::start(base.clone(), Some(directory.clone()), space.clone(), on_flushed).map_err(in_base)?;
        // The last one goes on, as its segment does.
        let active = tables.pop().map_or_else(Arc::default, |last| last.table);
        let mut full = VecDeque::new();
        for table in tables {
            full.push_back(table.table.clone());
            flusher.flush(table);
        }
        Ok(Self {
            base_snapshot: Arc::new(base.snapshot().map_err(in_base)?),
            base,
            full,
            active,
            memtable_bytes,
            rotate_at: memtable_bytes,
            refusal: None,
            log: Some(log),
            flusher,
            space,
            directory: Some(directory),
            version,
            base_version: 0,
            reserved,
        })
    }

    /// What a directory has, the log in memory and all of it as it is. What is appended stays in memory.
    pub(in crate::embedded) fn read_only(
        directory: Directory,
        base: Base,
        log: ReadLog,
        space: Arc<Space>,
        on_flushed: OnFlushed,
    ) -> Result<Self, LogError> {
        let in_base = |error: BoxError| LogError::Io(io::Error::other(error));
        let (_, unflushed) = log.parted(base.flushed_segment().map_err(in_base)?)?;
        let mut reserved = base.reserved().map_err(in_base)?;
        let (active, mut version) = (Memtable::default(), 0);
        for frame in unflushed.into_iter().flat_map(|segment| segment.frames) {
            version += 1;
            active.add(frame.writes, version);
            reserved = reserved.max(frame.reserved);
        }
        Ok(Self {
            base_snapshot: Arc::new(base.snapshot().map_err(in_base)?),
            flusher: Flusher::start(base.clone(), None, space.clone(), on_flushed).map_err(in_base)?,
            directory: Some(directory),
            full: VecDeque::new(),
            active: Arc::new(active),
            memtable_bytes: usize::MAX,
            rotate_at: usize::MAX,
            refusal: None,
            log: None,
            space,
            version,
            base_version: 0,
            reserved,
            base,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::embedded::storage::{DATABASE_FILE, Faults, Modes};

    #[test]
    fn a_missing_segment_is_noticed() {
        let outer = tempfile::tempdir().unwrap();
        let directory = Directory::open(outer.path(), Modes::default(), Faults::default()).unwrap();
        Base::create(directory.create_file(DATABASE_FILE).unwrap(), 1 << 20, None).unwrap();
        drop(Log::begin(&directory, 2).ok().unwrap());
        let file = directory.open_file(DATABASE_FILE).unwrap();
        let space = Arc::new(Space::default());
        let base = Base::open(file, space.clone(), 1 << 20).ok().unwrap();
        let log = Storage::read_log(&directory).unwrap();
        let recovered = Storage::recover(directory, base, log, space, 1 << 20, Arc::new(|| {}));
        let Some(LogError::Damaged(reason)) = recovered.err() else { panic!("expected damage") };
        assert!(reason.contains("segment 1 is missing"), "{reason}");
    }
}
