//! The writes of one transaction before its commit. Every engine of this crate keeps them like this.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::limits::Limits;
use crate::error::{KeyText, Result, TitoError};

/// What a transaction does to one key.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// `None` deletes.
    pub(crate) value: Option<Vec<u8>>,
    /// Whether the key must not exist at the commit.
    pub(crate) must_be_new: bool,
}

/// Sorted by key. Shared with running scans, and copied only if written meanwhile.
pub(crate) type Writes = BTreeMap<Vec<u8>, Pending>;

#[derive(Default)]
pub(crate) struct WriteBuffer {
    writes: Arc<Writes>,
    locks: Vec<Vec<u8>>,
    bytes: usize,
}

impl WriteBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.locks.is_empty()
    }

    /// The pending value of a key: `Some(None)` if it is deleted.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.writes.get(key).map(|pending| pending.value.clone())
    }

    pub(crate) fn writes(&self) -> Arc<Writes> {
        self.writes.clone()
    }

    pub(crate) fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>, limits: &Limits) -> Result<()> {
        let must_be_new = self.writes.get(&key).is_some_and(|before| before.must_be_new);
        self.replace(key, Pending { value, must_be_new }, limits)
    }

    pub(crate) fn insert(&mut self, key: Vec<u8>, value: Vec<u8>, limits: &Limits) -> Result<()> {
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

    pub(crate) fn lock(&mut self, key: Vec<u8>, limits: &Limits) -> Result<()> {
        limits.check_entry(&key, 0)?;
        limits.check_transaction(self.writes.len() + self.locks.len() + 1, self.bytes, &key)?;
        self.locks.push(key);
        Ok(())
    }

    /// The writes sorted by key, and the locks, for the commit.
    pub(crate) fn into_parts(self) -> (Writes, Vec<Vec<u8>>, usize) {
        (Arc::unwrap_or_clone(self.writes), self.locks, self.bytes)
    }
}

/// Why a key that must be new is not.
pub(crate) fn already_exists(key: &[u8]) -> TitoError {
    TitoError::AlreadyExists { key: KeyText::from(key) }
}
