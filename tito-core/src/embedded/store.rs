//! What the transaction layer asks of the storage below it: a sorted map with snapshots, and groups of writes that are
//! durable once appended. Narrow, so that another store can be tried.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::engine::Direction;
use crate::error::BoxError;
use crate::keys::KeyRange;
use crate::timestamp::Timestamp;

pub(super) type StoreResult<T> = std::result::Result<T, BoxError>;

/// A key with its new value; `None` deletes it.
pub(super) type Write = (Vec<u8>, Option<Vec<u8>>);

/// Called with keys and values, which it copies if it keeps them. Says whether it wants more.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// One state of the store, which later groups don't change.
pub(super) trait Snapshot: Send + Sync {
    /// The value of a key, if it is in memory, so that nothing has to be read for it: `Some(None)` if it is known that
    /// there is none.
    fn get_from_memory(&self, key: &[u8]) -> Option<Option<Vec<u8>>>;
    /// How many groups it has, of those that were in the log at the opening and those since.
    fn version(&self) -> u64;
    /// Whether it is known from memory that no group after this version has written a key.
    fn is_unchanged(&self, key: &[u8], since: u64) -> bool;
    fn get(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>>;
    /// Like [`get`](Snapshot::get), of a key that is likely to be asked for again: what has to be read stays in memory
    /// until the database file changes, or too much is there.
    fn get_and_cache(&self, key: &[u8]) -> StoreResult<Option<Vec<u8>>>;
    /// Calls `visit` with the entries of a range, in the order of the direction.
    fn visit(&self, range: &KeyRange, direction: Direction, visit: Visit<'_>) -> StoreResult<()>;
}

/// How far a group may use the reserve that is kept for a full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Not at all.
    Ordinary,
    /// It deletes at least as much as it writes.
    Freeing,
    /// It only reserves timestamps.
    Timestamps,
}

/// Why a group was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing of it is stored, and the store goes on.
    Refused(io::Error),
    /// It may or may not be stored. Nothing can be appended any more.
    Lost(io::Error),
}

impl From<AppendError> for io::Error {
    /// For callers to whom it makes no difference which of the two it was.
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Refused(error) | AppendError::Lost(error) => error,
        }
    }
}

/// The storage of one database. Owned by the committer.
pub(super) trait Store: Send {
    /// The latest state.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// Makes room for a group of this many writes, with this many bytes of keys and values.
    fn make_room(&mut self, writes: usize, bytes: usize, admission: Admission) -> io::Result<()>;

    /// Whether there is that room already.
    fn has_room(&self, writes: usize, bytes: usize, admission: Admission) -> bool;

    /// Appends all writes, which are sorted by key, durably so once it returns. `reserved` is kept with them: no
    /// timestamp above it has been handed out.
    fn append(&mut self, writes: Vec<Write>, reserved: Timestamp, admission: Admission) -> Result<(), AppendError>;

    /// Tidies up after appends, which can take time. A failure here does not affect what was appended, but the store
    /// can't go on.
    fn maintain(&mut self) -> StoreResult<()>;

    /// Whether there is no more space than what is kept for [`Admission::Freeing`] and [`Admission::Timestamps`].
    fn is_short_of_space(&self) -> bool;

    /// The `reserved` of the last group.
    fn reserved(&self) -> Timestamp;

    /// Whether the data outlives the process. If not, timestamps need no reservation, and reads don't block.
    fn is_durable(&self) -> bool;

    /// How much space the store takes.
    fn sizes(&self) -> StoreResult<StoreSizes>;

    /// Leaves the store tidy for the next opening, with `reserved` in place of the last group's.
    fn close(self: Box<Self>, reserved: Timestamp) -> StoreResult<()>;
}

/// How much space a database takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreSizes {
    /// Bytes of the database file; 0 in memory.
    pub database_bytes: u64,
    /// Bytes of the log files beside it; 0 in memory. Some of it is kept for when the disk is full.
    pub log_bytes: u64,
    /// Bytes of the keys and values in memory that are not in the database file yet.
    pub unflushed_bytes: u64,
}
