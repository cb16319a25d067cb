//! The writes of one transaction before its commit.

use std::collections::BTreeMap;
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
        let must_be_new = self.writes.get(&key).is_some_and(|before| before.must_be_new);
        self.replace(key, Mutation { value, must_be_new }, limits)
    }

    /// Whether a write would be taken.
    pub(super) fn check_write(&self, key: &[u8], value_bytes: usize, is_insert: bool, limits: &Limits) -> Result<()> {
        let before = self.writes.get(key);
        if is_insert && before.is_some_and(|before| before.value.is_some()) {
            return Err(TitoError::AlreadyExists { key: key.into() });
        }
        self.check_size(key, value_bytes, limits).map(drop)
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

    /// How many bytes the transaction comes to with a write.
    fn check_size(&self, key: &[u8], value_bytes: usize, limits: &Limits) -> Result<usize> {
        limits.check_entry(key, value_bytes)?;
        let before = self.writes.get(key);
        let replaced = before.map_or(0, |before| key.len() + before.value.as_ref().map_or(0, Vec::len));
        let bytes = self.bytes - replaced + key.len() + value_bytes;
        let keys = self.writes.len() + self.locks.len() + usize::from(before.is_none());
        limits.check_transaction(keys, bytes, key)?;
        Ok(bytes)
    }

    pub(super) fn insert(&mut self, key: Vec<u8>, value: Vec<u8>, limits: &Limits) -> Result<()> {
        let must_be_new = match self.writes.get(&key) {
            Some(Mutation { value: Some(_), .. }) => return Err(TitoError::AlreadyExists { key: key.into() }),
            // Deleted by this transaction: whether the key was there before no longer matters, unless it mattered to
            // an insert before the delete.
            Some(before) => before.must_be_new,
            None => true,
        };
        self.replace(key, Mutation { value: Some(value), must_be_new }, limits)
    }

    fn replace(&mut self, key: Vec<u8>, mutation: Mutation, limits: &Limits) -> Result<()> {
        self.bytes = self.check_size(&key, mutation.value.as_ref().map_or(0, Vec::len), limits)?;
        Arc::make_mut(&mut self.writes).insert(key, mutation);
        Ok(())
    }

    pub(super) fn lock(&mut self, key: Vec<u8>, limits: &Limits) -> Result<()> {
        limits.check_entry(&key, 0)?;
        limits.check_transaction(self.writes.len() + self.locks.len() + 1, self.bytes, &key)?;
        self.locks.push(key);
        Ok(())
    }

    /// What is to be committed.
    pub(super) fn into_mutations(self) -> Mutations {
        Mutations { writes: Arc::unwrap_or_clone(self.writes), locks: self.locks, bytes: self.bytes }
    }
}
