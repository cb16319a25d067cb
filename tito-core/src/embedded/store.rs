//! What the transaction layer asks of the storage below it: a sorted map with snapshots, and groups of writes that are
//! durable once applied. Narrow, so that faults can be injected here and another store tried.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::BoxError;
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

pub(super) type StoreResult<T> = std::result::Result<T, BoxError>;

/// Called with each key and value of a scan until it breaks.
pub(super) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

/// One state of the store, which later groups don't change.
pub(super) trait Snapshot: Send + Sync {
    fn get(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>>;
    fn scan(&self, range: &KeyRange, direction: Direction, visit: &mut Visit<'_>) -> StoreResult<()>;
}

/// A write of a group; `None` deletes.
pub(super) type Write = (Vec<u8>, Option<Vec<u8>>);

/// The storage of one database. Owned by the committer.
pub(super) trait Store: Send {
    /// The latest state.
    fn snapshot(&self) -> StoreResult<Arc<dyn Snapshot>>;

    /// Applies all writes, which are sorted by key, and durably so once it returns. `reserved` is kept with them: no
    /// timestamp above it has been handed out.
    fn apply(&mut self, writes: &[Write], reserved: Timestamp) -> StoreResult<()>;

    /// The `reserved` of the last group.
    fn reserved(&self) -> StoreResult<Timestamp>;

    /// Whether anything outlives the process. Timestamps of a store that does not need no reservation, and reads of it
    /// don't block.
    fn is_durable(&self) -> bool;

    /// Gives unused space back to the file system. Returns whether there was any. No snapshot may be alive.
    fn compact(&mut self) -> StoreResult<bool>;

    fn sizes(&self) -> StoreResult<StoreSizes>;
}

/// How much space a database takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreSizes {
    /// Bytes of the database file; of the allocated pages for an engine in memory.
    pub file_bytes: u64,
    /// Bytes of keys and values.
    pub stored_bytes: u64,
    /// How many keys there are.
    pub keys: u64,
}
