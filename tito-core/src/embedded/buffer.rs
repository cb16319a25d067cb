//! The writes of one transaction before its commit, and the merge of them with the snapshot.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::merge::{Merge, Source};
use super::store::{Direction, Snapshot, StoreResult};
use crate::engine::{KeyValue, Limits};
use crate::error::{KeyText, Result, TitoError};
use crate::keys::KeyRange;

/// What a transaction does to one key.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// `None` deletes.
    pub(super) value: Option<Vec<u8>>,
    /// Whether the key must not exist at the commit.
    pub(super) must_be_new: bool,
}

/// Sorted by key, as the store takes it. Shared with running scans, and copied only if written meanwhile.
type Writes = BTreeMap<Vec<u8>, Pending>;

#[derive(Default)]
pub(super) struct WriteBuffer {
    writes: Arc<Writes>,
    locks: Vec<Vec<u8>>,
    bytes: usize,
}

impl WriteBuffer {
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.locks.is_empty()
    }

    /// The pending value of a key: `Some(None)` if it is deleted.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.writes.get(key).map(|pending| pending.value.clone())
    }

    pub(super) fn writes(&self) -> Arc<Writes> {
        self.writes.clone()
    }

    pub(super) fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>, limits: &Limits) -> Result<()> {
        let must_be_new = self.writes.get(&key).is_some_and(|before| before.must_be_new);
        self.replace(key, Pending { value, must_be_new }, limits)
    }

    pub(super) fn insert(&mut self, key: Vec<u8>, value: Vec<u8>, limits: &Limits) -> Result<()> {
        let must_be_new = match self.writes.get(&key) {
            Some(Pending { value: Some(_), .. }) => return Err(TitoError::AlreadyExists { key: key.into() }),
            // Deleted by this transaction: whether the key was there before no longer matters, unless it mattered to
            // an insert before the delete.
            Some(before) => before.must_be_new,
            None => true,
        };
        self.replace(key, Pending { value: Some(value), must_be_new }, limits)
    }

    fn replace(&mut self, key: Vec<u8>, pending: Pending, limits: &Limits) -> Result<()> {
        let size = |pending: &Pending| key.len() + pending.value.as_ref().map_or(0, Vec::len);
        limits.check_entry(&key, pending.value.as_ref().map_or(0, Vec::len))?;
        let before = self.writes.get(&key);
        let bytes = self.bytes - before.map_or(0, size) + size(&pending);
        let keys = self.writes.len() + self.locks.len() + usize::from(before.is_none());
        limits.check_transaction(keys, bytes, &key)?;
        self.bytes = bytes;
        Arc::make_mut(&mut self.writes).insert(key, pending);
        Ok(())
    }

    pub(super) fn lock(&mut self, key: Vec<u8>, limits: &Limits) -> Result<()> {
        limits.check_entry(&key, 0)?;
        limits.check_transaction(self.writes.len() + self.locks.len() + 1, self.bytes, &key)?;
        self.locks.push(key);
        Ok(())
    }

    /// The writes sorted by key, and the locks, for the commit.
    pub(super) fn into_parts(self) -> (Writes, Vec<Vec<u8>>, usize) {
        (Arc::unwrap_or_clone(self.writes), self.locks, self.bytes)
    }
}

/// The first `limit` keys of `range` in the order of `direction`, as the snapshot has them with `writes` on top.
pub(super) fn merged_scan(
    snapshot: &dyn Snapshot,
    writes: &Writes,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> StoreResult<Vec<KeyValue>> {
    if range.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let own = writes
        .range::<[u8], _>((Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice())))
        .map(|(key, pending)| Ok((key.clone(), pending.value.clone())));
    let own: Source<'_> = match direction {
        Direction::Ascending => Box::new(own),
        Direction::Descending => Box::new(own.rev()),
    };
    let stored = snapshot.range(range, direction)?.map(|entry| entry.map(|(key, value)| (key, Some(value))));
    // The limit counts what is found, after own deletes took keys away.
    Merge::new([own, Box::new(stored)], direction).take(limit).collect()
}

/// Why a key that must be new is not.
pub(super) fn already_exists(key: &[u8]) -> TitoError {
    TitoError::AlreadyExists { key: KeyText::from(key) }
}
