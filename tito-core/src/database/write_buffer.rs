//! The writes of one transaction before its commit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::engine::{Limits, Mutation, Mutations};
use crate::error::{Result, TitoError};

/// Sorted by key. Shared with running scans, and copied only if written meanwhile.
pub(super) type Writes = BTreeMap<Vec<u8>, Mutation>;

#[derive(Default)]
pub(super) struct WriteBuffer {
    writes: Arc<Writes>,
    locks: Vec<Vec<u8>>,
    bytes: usize,
}

impl WriteBuffer {
    /// The own value of a key: `Some(None)` if it is deleted.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.writes.get(key).map(|mutation| mutation.value.clone())
    }

    pub(super) fn writes(&self) -> Arc<Writes> {
        self.writes.clone()
    }

    pub(super) fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>, limits: &Limits) -> Result<()> {
        self.change(key, value, false, limits)
    }

    pub(super) fn insert(&mut self, key: Vec<u8>, value: Vec<u8>, limits: &Limits) -> Result<()> {
        self.change(key, Some(value), true, limits)
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>, is_insert: bool, limits: &Limits) -> Result<()> {
        let (keys, _) = self.so_far();
        let entry = Arc::make_mut(&mut self.writes).entry(key);
        let before = match &entry {
            Entry::Occupied(entry) => Some(entry.get()),
            Entry::Vacant(_) => None,
        };
        let size = value.as_ref().map_or(0, Vec::len);
        self.bytes = check_change(before, entry.key(), size, is_insert, (keys, self.bytes), limits)?;
        // Of what was deleted by this transaction: whether the key was there before no longer matters to an insert, unless
        // it mattered to one before the delete.
        let must_be_new = before.map_or(is_insert, |before| before.must_be_new);
        let change = Mutation { value, must_be_new };
        match entry {
            Entry::Occupied(mut entry) => *entry.get_mut() = change,
            Entry::Vacant(entry) => {
                entry.insert(change);
            }
        }
        Ok(())
    }

    /// Adds the changes of another buffer on top of these: all or none.
    pub(super) fn merge(&mut self, later: Self, limits: &Limits) -> Result<()> {
        // Mostly the first change of a transaction, checked against the same limits when it was made.
        if self.writes.is_empty() && self.locks.is_empty() {
            *self = later;
            return Ok(());
        }
        // All of it is checked before anything is changed.
        let (mut keys, mut bytes) = self.so_far();
        for (key, change) in later.writes.iter() {
            let (before, size) = (self.writes.get(key), change.value.as_ref().map_or(0, Vec::len));
            // What was inserted and deleted again must not exist at the commit all the same.
            bytes = check_change(before, key, size, change.must_be_new, (keys, bytes), limits)?;
            keys += usize::from(before.is_none());
        }
        check_locks(&later.locks, (keys, bytes), limits)?;
        let writes = Arc::make_mut(&mut self.writes);
        for (key, change) in Arc::unwrap_or_clone(later.writes) {
            match writes.entry(key) {
                Entry::Occupied(mut entry) => entry.get_mut().value = change.value,
                Entry::Vacant(entry) => {
                    entry.insert(change);
                }
            }
        }
        self.bytes = bytes;
        self.locks.extend(later.locks);
        Ok(())
    }

    /// How many keys there are, and the bytes of what is written.
    fn so_far(&self) -> (usize, usize) {
        (self.writes.len() + self.locks.len(), self.bytes)
    }

    /// Whether a write would be taken.
    pub(super) fn check_write(&self, key: &[u8], value_bytes: usize, is_insert: bool, limits: &Limits) -> Result<()> {
        check_change(self.writes.get(key), key, value_bytes, is_insert, self.so_far(), limits).map(drop)
    }

    /// Whether locks would be taken.
    pub(super) fn check_locks(&self, keys: &[Vec<u8>], limits: &Limits) -> Result<()> {
        check_locks(keys, self.so_far(), limits)
    }

    /// Takes all locks or none.
    pub(super) fn lock(&mut self, keys: Vec<Vec<u8>>, limits: &Limits) -> Result<()> {
        self.check_locks(&keys, limits)?;
        self.locks.extend(keys);
        Ok(())
    }

    /// All keys that are written or locked.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.writes.keys().chain(&self.locks).map(Vec::as_slice)
    }

    /// What is to be committed.
    pub(super) fn into_mutations(self) -> Mutations {
        Mutations { writes: Arc::unwrap_or_clone(self.writes), locks: self.locks, bytes: self.bytes }
    }
}

/// The size of the transaction in bytes with a change of a key to which it has already written `before`, if the change
/// may be made.
fn check_change(
    before: Option<&Mutation>,
    key: &[u8],
    value_bytes: usize,
    is_insert: bool,
    (keys, bytes): (usize, usize),
    limits: &Limits,
) -> Result<usize> {
    if is_insert && before.is_some_and(|before| before.value.is_some()) {
        return Err(TitoError::AlreadyExists { key: key.into() });
    }
    limits.check_entry(key, value_bytes)?;
    let replaced = before.map_or(0, |before| key.len() + before.value.as_ref().map_or(0, Vec::len));
    let bytes = bytes - replaced + key.len() + value_bytes;
    limits.check_transaction(keys + usize::from(before.is_none()), bytes, key)?;
    Ok(bytes)
}

fn check_locks(locked: &[Vec<u8>], (keys, bytes): (usize, usize), limits: &Limits) -> Result<()> {
    for (index, key) in locked.iter().enumerate() {
        limits.check_entry(key, 0)?;
        limits.check_transaction(keys + index + 1, bytes, key)?;
    }
    Ok(())
}
