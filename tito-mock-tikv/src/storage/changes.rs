//! What a request is going to change, kept aside until it is known to succeed as a whole (TiKV's `MvccTxn`).

use super::records::{Lock, Write};

#[derive(Debug)]
pub(super) enum Change {
    PutLock {
        key: Vec<u8>,
        lock: Lock,
    },
    /// With the timestamp at which the lock is committed, zero if it is not; those who wait for it are told.
    DeleteLock {
        key: Vec<u8>,
        commit_ts: u64,
    },
    PutWrite {
        key: Vec<u8>,
        at: u64,
        write: Write,
    },
    DeleteWrite {
        key: Vec<u8>,
        at: u64,
    },
    PutValue {
        key: Vec<u8>,
        start_ts: u64,
        value: Vec<u8>,
    },
    DeleteValue {
        key: Vec<u8>,
        start_ts: u64,
    },
}

/// What the changes so far make of a key's lock.
#[derive(Debug)]
pub(super) enum Pending<'a> {
    Put(&'a Lock),
    Deleted,
}

/// Changes in the order in which they have to be made.
///
/// A request reads the state as it was before and not its own changes, but for locks where a rule says otherwise.
#[derive(Debug, Default)]
pub(super) struct Changes {
    list: Vec<Change>,
    /// Whether the request can change a lock that it has changed already.
    repeats_keys: bool,
}

impl Changes {
    /// The changes of a request that goes over these keys.
    pub(super) fn over(keys: &[Vec<u8>]) -> Self {
        let mut sorted: Vec<&Vec<u8>> = keys.iter().collect();
        sorted.sort_unstable();
        Self {
            list: Vec::with_capacity(keys.len() * 2),
            repeats_keys: sorted.windows(2).any(|pair| pair[0] == pair[1]),
        }
    }

    pub(super) fn put_lock(&mut self, key: &[u8], lock: Lock) {
        self.list.push(Change::PutLock { key: key.to_vec(), lock });
    }

    /// Takes a lock away without a commit.
    pub(super) fn delete_lock(&mut self, key: &[u8]) {
        self.list.push(Change::DeleteLock { key: key.to_vec(), commit_ts: 0 });
    }

    /// Takes a lock away that is committed.
    pub(super) fn release_lock(&mut self, key: &[u8], commit_ts: u64) {
        self.list.push(Change::DeleteLock { key: key.to_vec(), commit_ts });
    }

    /// Makes a lock the record of its commit.
    pub(super) fn commit_lock(&mut self, key: &[u8], lock: &Lock, commit_ts: u64) {
        self.put_write(key, commit_ts, Write::commit(lock, commit_ts));
        self.release_lock(key, commit_ts);
    }

    pub(super) fn put_write(&mut self, key: &[u8], at: u64, write: Write) {
        self.list.push(Change::PutWrite { key: key.to_vec(), at, write });
    }

    pub(super) fn delete_write(&mut self, key: &[u8], at: u64) {
        self.list.push(Change::DeleteWrite { key: key.to_vec(), at });
    }

    pub(super) fn put_value(&mut self, key: &[u8], start_ts: u64, value: Vec<u8>) {
        self.list.push(Change::PutValue { key: key.to_vec(), start_ts, value });
    }

    pub(super) fn delete_value(&mut self, key: &[u8], start_ts: u64) {
        self.list.push(Change::DeleteValue { key: key.to_vec(), start_ts });
    }

    /// What the changes so far make of a key's lock; `None` if they leave it alone.
    pub(super) fn pending_lock(&self, key: &[u8]) -> Option<Pending<'_>> {
        if !self.repeats_keys {
            return None;
        }
        self.list.iter().rev().find_map(|change| match change {
            Change::PutLock { key: changed, lock } if changed == key => Some(Pending::Put(lock)),
            Change::DeleteLock { key: changed, .. } if changed == key => Some(Pending::Deleted),
            _ => None,
        })
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Change> {
        self.list.into_iter()
    }
}
