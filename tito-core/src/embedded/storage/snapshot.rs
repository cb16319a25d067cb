//! One state of the storage, to read.

use std::sync::Arc;

use super::base::{BaseSnapshot, Stored};
use super::memtable::Memtable;
use crate::embedded::merge::{Entry, Merge, Source};
use crate::embedded::store::{Snapshot, StoreResult, Visit, Write};
use crate::engine::Direction;
use crate::keys::KeyRange;

/// One state: the memtables as of a version, newest first, over one state of the database file.
pub(super) struct StorageSnapshot {
    pub(super) tables: Vec<Arc<Memtable>>,
    pub(super) base: Arc<BaseSnapshot>,
    /// The last version that is in the database file.
    pub(super) base_version: u64,
    pub(super) version: u64,
}

impl StorageSnapshot {
    fn written_lately(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.tables.iter().find_map(|table| table.get(key, self.version))
    }
}

impl Snapshot for StorageSnapshot {
    fn get_from_memory(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.written_lately(key).or_else(|| self.base.get_cached(key))
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn is_unchanged(&self, key: &[u8], since: u64) -> bool {
        // When a key of the file was written is not known any more.
        (self.base_version..=self.version).contains(&since)
            && self
                .tables
                .iter()
                .find_map(|table| table.written_at(key, self.version))
                .is_none_or(|written_at| written_at <= since)
    }

    fn get(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        match self.written_lately(key) {
            Some(value) => Ok(value),
            None => self.base.get(key),
        }
    }

    fn get_and_cache(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>> {
        match self.written_lately(key) {
            Some(value) => Ok(value),
            None => self.base.get_and_cache(key),
        }
    }

    fn visit(&self, range: &KeyRange, direction: Direction, visit: Visit<'_>) -> StoreResult<()> {
        let base: Source<'_, Here<'_>> =
            Box::new(self.base.range(range, direction)?.map(|entry| entry.map(Here::Base)));
        let tables = self.tables.iter().map(|table| -> Source<'_, Here<'_>> {
            Box::new(table.range(range, direction, self.version).map(|write| Ok(Here::Table(write))))
        });
        for entry in Merge::new(tables.chain([base]), direction) {
            let entry = entry?;
            if let Some(value) = entry.value()
                && visit(entry.key(), value).is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

/// An entry, copied only where it would be locked.
enum Here<'a> {
    Table(Write),
    Base(Stored<'a>),
}

impl Entry for Here<'_> {
    fn key(&self) -> &[u8] {
        match self {
            Self::Table(write) => write.key(),
            Self::Base((key, _)) => key.value(),
        }
    }

    fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Table(write) => write.value(),
            Self::Base((_, value)) => Some(value.value()),
        }
    }
}
