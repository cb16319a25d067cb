//! The storage: a database file of redb, and before it a log and memtables, as in a log-structured flush tree of two
//! levels.
//!
//! A durable change of redb's tree writes every page on the way to each key: some 20 times the bytes of a group of small
//! transactions with random keys. So a group is appended to the log and kept in a sorted table in memory, both
//! cheap, and tables are flushed into the file when they are full, in one sorted pass that shares those pages among tens
//! of thousands of keys. Events that are written and done in between never reach the tree.

mod backend;
mod base;
mod directory;
mod faults;
mod file;
mod flusher;
mod frame;
mod log;
mod memtable;
mod opening;
mod overlay;
mod row_cache;
mod segment;
mod snapshot;
mod space;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use self::base::BaseSnapshot;
use self::flusher::{Flusher, Full};
use self::log::Log;
use self::memtable::Memtable;
use self::snapshot::StorageSnapshot;
use super::store::{Admission, AppendError, Snapshot, Store, StoreResult, StoreSizes, Write};
use crate::engine::DatabaseIdentity;
use crate::timestamp::Timestamp;

pub(super) use self::base::{Base, OpenError};
pub(super) use self::directory::{Directory, Modes};
pub(super) use self::faults::Faults;
#[cfg(test)]
pub(super) use self::faults::Operation;
pub(super) use self::file::DataFile;
pub(super) use self::flusher::OnFlushed;
pub(super) use self::segment::LogError;
pub(super) use self::space::{Space, is_full};

/// Name of the database file.
pub(super) const DATABASE_FILE: &str = "tito.redb";

/// How many full memtables may wait for their flush before commits wait with them.
const MOST_FULL: usize = 2;

/// One database: the file, what is not flushed into it yet, and the log of that.
pub(super) struct Storage {
    directory: Option<Directory>,
    base: Base,
    base_snapshot: Arc<BaseSnapshot>,
    /// The last version that `base_snapshot` has.
    base_version: u64,
    /// Full memtables that are being flushed, oldest first.
    full: VecDeque<Arc<Memtable>>,
    active: Arc<Memtable>,
    memtable_bytes: usize,
    /// The size in bytes at which the active memtable is flushed: more than `memtable_bytes` if no segment could be
    /// begun.
    rotate_at: usize,
    /// Why the last attempt to begin a segment failed.
    refusal: Option<io::ErrorKind>,
    /// `None` in memory, and where nothing is to be written.
    log: Option<Log>,
    flusher: Flusher,
    space: Arc<Space>,
    version: u64,
    reserved: Timestamp,
}

impl Storage {
    /// What the database says of itself.
    pub(super) fn identity(&self) -> &DatabaseIdentity {
        self.base.identity()
    }

    /// Gives the unused space of the database file back to the file system.
    pub(super) fn compact(mut self) -> StoreResult<bool> {
        self.flush_all()?;
        let Self { base, base_snapshot, flusher, .. } = self;
        drop((flusher, base_snapshot));
        base.compact()
    }

    /// Hands the active memtable over to the flusher and begins another.
    fn rotate(&mut self) -> Result<(), AppendError> {
        let segment = self.log.as_ref().map_or(0, Log::segment);
        if let Some(log) = &mut self.log {
            *log = log.next()?;
        }
        let table = std::mem::take(&mut self.active);
        self.full.push_back(table.clone());
        self.flusher.flush(Full { table, segment, reserved: self.reserved });
        self.rotate_at = self.memtable_bytes;
        Ok(())
    }

    /// Takes the results of flushes, and waits for them while more than `most` memtables are full; but not for a flush
    /// that waits for space itself.
    fn take_flushed(&mut self, most: usize) -> StoreResult<()> {
        while !self.full.is_empty() {
            let waits = self.full.len() > most;
            let Some(snapshot) = (if waits { self.flusher.wait()? } else { self.flusher.flushed()? }) else {
                return Ok(());
            };
            self.base_snapshot = Arc::new(snapshot);
            let flushed = self.full.pop_front();
            // An empty one changes nothing.
            self.base_version = flushed.map_or(0, |table| table.latest_version()).max(self.base_version);
        }
        Ok(())
    }

    /// Flushes everything, or fails for want of space.
    fn flush_all(&mut self) -> StoreResult<()> {
        self.space.be_patient(false);
        self.rotate().map_err(io::Error::from)?;
        self.take_flushed(0)
    }

    /// Whether memory holds as much as it may, since flushes wait for space or no segment can be begun.
    fn is_piled_up(&self) -> bool {
        let waits = self.full.len() > MOST_FULL && self.space.is_waited_for();
        waits && self.active.bytes() >= self.memtable_bytes
            || self.refusal.is_some() && self.active.bytes() >= MOST_FULL * self.memtable_bytes
    }

    /// Whether the active memtable is to be flushed: it is full, or the log is long though there is little in it.
    fn is_to_rotate(&self) -> bool {
        let is_long =
            self.log.as_ref().is_some_and(|log| log.length() >= 4 * (self.memtable_bytes as u64).max(1 << 20));
        self.active.bytes() >= self.rotate_at || is_long || self.is_piled_up()
    }
}

impl Store for Storage {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let tables = std::iter::once(&self.active).chain(self.full.iter().rev()).cloned().collect();
        let (base, base_version) = (self.base_snapshot.clone(), self.base_version);
        Arc::new(StorageSnapshot { tables, base, base_version, version: self.version })
    }

    fn make_room(&mut self, writes: usize, bytes: usize, admission: Admission) -> io::Result<()> {
        if admission == Admission::Ordinary && self.is_piled_up() {
            return Err(io::Error::from(self.refusal.unwrap_or(io::ErrorKind::StorageFull)));
        }
        self.log.as_mut().map_or(Ok(()), |log| log.make_room(frame::length_of(writes, bytes), admission))
    }

    fn has_room(&self, writes: usize, bytes: usize, admission: Admission) -> bool {
        self.log.as_ref().is_none_or(|log| log.has_room(frame::length_of(writes, bytes), admission))
    }

    fn append(&mut self, writes: Vec<Write>, reserved: Timestamp, admission: Admission) -> Result<(), AppendError> {
        if let Some(log) = &mut self.log {
            log.append(&writes, reserved, admission)?;
        }
        // Parts of a group reserve one after the other, and the later one may reserve less.
        self.reserved = self.reserved.max(reserved);
        self.version += 1;
        self.active.add(writes, self.version);
        Ok(())
    }

    fn maintain(&mut self) -> StoreResult<()> {
        self.take_flushed(MOST_FULL)?;
        if !self.is_to_rotate() || self.full.len() > MOST_FULL {
            return Ok(());
        }
        match self.rotate() {
            Ok(()) => self.refusal = None,
            // The directory is gone: whatever is committed would go with the process.
            Err(AppendError::Refused(error)) if error.kind() == io::ErrorKind::NotFound => return Err(error.into()),
            Err(AppendError::Refused(error)) => {
                tracing::warn!(%error, "no new log segment can be begun; the one before it goes on");
                self.rotate_at = self.active.bytes() + self.memtable_bytes / 8;
                self.refusal = Some(error.kind());
            }
            Err(AppendError::Lost(error)) => return Err(error.into()),
        }
        self.take_flushed(MOST_FULL)
    }

    fn is_short_of_space(&self) -> bool {
        self.log.as_ref().is_some_and(Log::is_short)
    }

    fn reserved(&self) -> Timestamp {
        self.reserved
    }

    fn is_durable(&self) -> bool {
        self.directory.is_some()
    }

    fn sizes(&self) -> StoreResult<StoreSizes> {
        let (database_bytes, log_bytes) = match &self.directory {
            Some(directory) => (directory.length_of(DATABASE_FILE)?, segment::size(directory)?),
            None => (0, 0),
        };
        let unflushed_bytes = self.full.iter().chain([&self.active]).map(|table| table.bytes() as u64).sum();
        Ok(StoreSizes { database_bytes, log_bytes, unflushed_bytes })
    }

    fn close(mut self: Box<Self>, reserved: Timestamp) -> StoreResult<()> {
        if self.log.is_none() {
            return Ok(());
        }
        self.reserved = reserved;
        // The segment that this begins is empty. It stays, with its reserve, so that the database can be opened while
        // the disk is full.
        self.flush_all()
    }
}
