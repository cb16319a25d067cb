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
        let keys = self.writes.len() + self.locks.len();
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
        let bytes = self.bytes;
        let mut replaced = Vec::with_capacity(later.writes.len());
        let merged = (|| {
            for (key, Mutation { value, must_be_new }) in Arc::unwrap_or_clone(later.writes) {
                let before = self.writes.get(&key).cloned();
                match value {
                    Some(value) if must_be_new => self.insert(key.clone(), value, limits)?,
                    // Inserted and deleted again: it must not exist at the commit all the same.
                    None if must_be_new => {
                        self.insert(key.clone(), Vec::new(), limits)?;
                        self.write(key.clone(), None, limits)?;
                    }
                    value => self.write(key.clone(), value, limits)?,
                }
                replaced.push((key, before));
            }
            self.lock(later.locks, limits)
        })();
        if merged.is_err() {
            let writes = Arc::make_mut(&mut self.writes);
            for (key, before) in replaced {
                match before {
                    Some(before) => writes.insert(key, before),
                    None => writes.remove(&key),
                };
            }
            self.bytes = bytes;
        }
        merged
    }

    /// Whether a write would be taken.
    pub(super) fn check_write(&self, key: &[u8], value_bytes: usize, is_insert: bool, limits: &Limits) -> Result<()> {
        let so_far = (self.writes.len() + self.locks.len(), self.bytes);
        check_change(self.writes.get(key), key, value_bytes, is_insert, so_far, limits).map(drop)
    }

    /// Whether locks would be taken.
    pub(super) fn check_locks(&self, keys: &[Vec<u8>], limits: &Limits) -> Result<()> {
        let before = self.writes.len() + self.locks.len();
        for (index, key) in keys.iter().enumerate() {
            limits.check_entry(key, 0)?;
            limits.check_transaction(before + index + 1, self.bytes, key)?;
        }
        Ok(())
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
