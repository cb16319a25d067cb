//! One state of the storage, to read.

use std::sync::Arc;

use super::base::BaseSnapshot;
use super::memtable::Memtable;
use crate::embedded::merge::{Merge, Source};
use crate::embedded::store::{Entries, Snapshot, StoreResult};
use crate::engine::Direction;
use crate::keys::KeyRange;

/// One state: the memtables as of a version, newest first, over one state of the database file.
pub(super) struct StorageSnapshot {
    pub(super) tables: Vec<Arc<Memtable>>,
    pub(super) base: Arc<BaseSnapshot>,
    pub(super) version: u64,
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
