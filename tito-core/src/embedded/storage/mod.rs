//! The storage: a database file of redb, and before it a log and memtables, as in a log-structured merge tree of two
//! levels.
//!
//! A durable change of redb's tree writes every page on the way to each key: some 20 times the bytes of a group of small
//! transactions with random keys. So a group is appended to the log and kept in a sorted table in memory, both
//! cheap, and tables are merged into the file when they are full, in one sorted pass that shares those pages among tens
//! of thousands of keys. Events that are written and done in between never reach the tree.

mod base;
mod frame;
mod log;
mod memtable;
mod merger;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::base::BaseSnapshot;
use self::log::Log;
use self::memtable::Memtable;
use self::merger::{Full, Merger};
use super::merge::{Merge, Source};
use super::store::{Direction, Entries, Snapshot, Store, StoreResult, StoreSizes, Write};
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

pub(super) use self::base::{Base, OpenError};

/// Name of the database file.
pub(super) const DATABASE_FILE: &str = "tito.redb";

/// How many full memtables may wait for their merge before commits wait with them.
const MOST_FULL: usize = 2;

/// One database: the file, what is not merged into it yet, and the log of that.
pub(super) struct Storage {
    directory: Option<PathBuf>,
    base: Base,
    base_snapshot: Arc<BaseSnapshot>,
    /// Full memtables that are being merged, oldest first.
    full: VecDeque<Arc<Memtable>>,
    active: Arc<Memtable>,
    memtable_bytes: usize,
    /// `None` in memory.
    log: Option<Log>,
    merger: Merger,
    version: u64,
    reserved: Timestamp,
}

impl Storage {
    pub(super) fn in_memory(cache_bytes: usize, memtable_bytes: usize) -> StoreResult<Self> {
        let base = Base::in_memory(cache_bytes)?;
        Ok(Self {
            base_snapshot: Arc::new(base.snapshot()?),
            merger: Merger::start(base.clone(), None)?,
            base,
            directory: None,
            full: VecDeque::new(),
            active: Arc::default(),
            memtable_bytes,
            log: None,
            version: 0,
            reserved: Timestamp::ZERO,
        })
    }

    /// Reads the log and changes nothing.
    ///
    /// # Errors
    /// Something was damaged.
    pub(super) fn check_log(directory: &Path) -> StoreResult<()> {
        let segments = log::segments(directory)?;
        segments
            .iter()
            .try_for_each(|&segment| log::read(directory, segment, Some(&segment) == segments.last()).map(drop))
    }

    /// Takes up the log beside an open database file. Reads all of it before anything is changed.
    pub(super) fn recover(directory: &Path, base: Base, memtable_bytes: usize) -> StoreResult<Self> {
        let merged = base.merged_segment()?;
        let segments: Vec<u64> = log::segments(directory)?;
        let unmerged: Vec<u64> = segments.iter().copied().filter(|&segment| segment > merged).collect();
        let mut reserved = base.reserved()?;
        let mut version = 0;
        let mut tables = Vec::new();
        let mut last_frames = Vec::new();
        for (position, &segment) in unmerged.iter().enumerate() {
            let expected = merged + 1 + position as u64;
            if segment != expected {
                return Err(format!("log segment {expected} is missing, but segment {segment} is there").into());
            }
            let table = Memtable::default();
            last_frames = log::read(directory, segment, position + 1 == unmerged.len())?;
            for frame in &mut last_frames {
                version += 1;
                table.add(std::mem::take(&mut frame.writes), version);
                reserved = frame.reserved;
            }
            tables.push(Full { table: Arc::new(table), segment, reserved });
        }
        if let Some(&last) = unmerged.last() {
            log::seal(directory, last, &last_frames)?;
        }
        for segment in segments.into_iter().filter(|&segment| segment <= merged) {
            log::remove(directory, segment)?;
        }
        let merger = Merger::start(base.clone(), Some(directory.to_path_buf()))?;
        let mut full = VecDeque::new();
        for table in tables {
            full.push_back(table.table.clone());
            merger.merge(table);
        }
        Ok(Self {
            base_snapshot: Arc::new(base.snapshot()?),
            base,
            full,
            active: Arc::default(),
            memtable_bytes,
            log: Some(Log::begin(directory, merged + unmerged.len() as u64 + 1)?),
            merger,
            directory: Some(directory.to_path_buf()),
            version,
            reserved,
        })
    }

    /// Gives the unused space of the database file back to the file system.
    pub(super) fn compact(mut self) -> StoreResult<bool> {
        self.merge_all()?;
        let Self { base, base_snapshot, merger, .. } = self;
        drop((merger, base_snapshot));
        base.compact()
    }

    /// Hands the active memtable over to the merger and begins another.
    fn rotate(&mut self) -> StoreResult<()> {
        let segment = self.log.as_ref().map_or(0, Log::segment);
        if let Some(log) = &mut self.log {
            *log = log.next()?;
        }
        let table = std::mem::take(&mut self.active);
        self.full.push_back(table.clone());
        self.merger.merge(Full { table, segment, reserved: self.reserved });
        Ok(())
    }

    /// Takes over the results of merges, and waits for them while more than `most` memtables are full.
    fn take_merged(&mut self, most: usize) -> StoreResult<()> {
        while !self.full.is_empty() {
            let Some(snapshot) = self.merger.merged(self.full.len() > most)? else { return Ok(()) };
            self.base_snapshot = Arc::new(snapshot);
            self.full.pop_front();
        }
        Ok(())
    }

    fn merge_all(&mut self) -> StoreResult<()> {
        self.rotate()?;
        self.take_merged(0)
    }
}

impl Store for Storage {
    fn snapshot(&self) -> StoreResult<Arc<dyn Snapshot>> {
        let tables = std::iter::once(&self.active).chain(self.full.iter().rev()).cloned().collect();
        Ok(Arc::new(StorageSnapshot { tables, base: self.base_snapshot.clone(), version: self.version }))
    }

    fn apply(&mut self, writes: Vec<Write>, reserved: Timestamp) -> StoreResult<()> {
        if let Some(log) = &mut self.log {
            log.append(&writes, reserved)?;
        }
        self.reserved = reserved;
        self.version += 1;
        self.active.add(writes, self.version);
        if self.active.bytes() >= self.memtable_bytes {
            self.rotate()?;
        }
        self.take_merged(MOST_FULL)
    }

    fn reserved(&self) -> Timestamp {
        self.reserved
    }

    fn is_durable(&self) -> bool {
        self.log.is_some()
    }

    fn sizes(&self) -> StoreResult<StoreSizes> {
        let (database_bytes, log_bytes) = match &self.directory {
            Some(directory) => (fs::metadata(directory.join(DATABASE_FILE))?.len(), log::size(directory)?),
            None => (0, 0),
        };
        let unmerged_bytes = self.full.iter().chain([&self.active]).map(|table| table.bytes() as u64).sum();
        Ok(StoreSizes { database_bytes, log_bytes, unmerged_bytes })
    }

    fn close(mut self: Box<Self>, reserved: Timestamp) -> StoreResult<()> {
        let Some(directory) = self.directory.clone() else { return Ok(()) };
        self.reserved = reserved;
        self.merge_all()?;
        // The segment that `merge_all` began is empty.
        if let Some(log) = self.log.take() {
            log::remove(&directory, log.segment())?;
        }
        Ok(())
    }
}

/// One state: the memtables as of a version, newest first, over one state of the database file.
struct StorageSnapshot {
    tables: Vec<Arc<Memtable>>,
    base: Arc<BaseSnapshot>,
    version: u64,
}

impl Snapshot for StorageSnapshot {
    fn get(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        match self.tables.iter().find_map(|table| table.get(key, self.version)) {
            Some(value) => Ok(value),
            None => self.base.get(key),
        }
    }

    fn range(&self, range: &KeyRange, direction: Direction) -> StoreResult<Entries<'_>> {
        let base = self.base.range(range, direction)?.map(|entry| entry.map(|(key, value)| (key, Some(value))));
        let tables = self
            .tables
            .iter()
            .map(|table| -> Source<'_> { Box::new(table.range(range, direction, self.version).map(Ok)) });
        let sources: Vec<Source<'_>> = tables.chain([Box::new(base) as Source<'_>]).collect();
        Ok(Box::new(Merge::new(sources, direction)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_missing_segment_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(DATABASE_FILE);
        Base::create(&file, 1 << 20).unwrap();
        Log::begin(directory.path(), 2).unwrap();
        let base = Base::open(&file, 1 << 20).ok().unwrap();
        let error = Storage::recover(directory.path(), base, 1 << 20).err().unwrap().to_string();
        assert!(error.contains("segment 1 is missing"), "{error}");
    }
}
