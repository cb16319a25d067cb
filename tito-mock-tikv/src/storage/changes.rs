//! A request's changes, held until it is known to succeed as a whole (TiKV's `MvccTxn`).

use super::records::{Lock, Write};

#[derive(Debug)]
pub(super) enum Change {
    PutLock {
        key: Vec<u8>,
        lock: Lock,
    },
    /// With the timestamp at which the lock is committed, or zero if it is not; transactions that wait for it are told.
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

/// The effect of the changes so far on a key's lock.
#[derive(Debug)]
pub(super) enum Pending<'a> {
    Put(&'a Lock),
    Deleted,
}

/// Changes in the order in which to make them.
///
/// A request reads the state as it was before it and not its own changes, except for locks where a rule says otherwise.
#[derive(Debug, Default)]
pub(super) struct Changes {
    list: Vec<Change>,
    /// Whether the request may change a lock again that it has already changed.
    repeats_keys: bool,
}

impl Changes {
    /// The changes of a request over these keys.
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

    /// Removes a lock without a commit.
    pub(super) fn delete_lock(&mut self, key: &[u8]) {
        self.list.push(Change::DeleteLock { key: key.to_vec(), commit_ts: 0 });
    }

    /// Removes a lock that is committed.
    pub(super) fn release_lock(&mut self, key: &[u8], commit_ts: u64) {
        self.list.push(Change::DeleteLock { key: key.to_vec(), commit_ts });
    }

    /// Turns a lock into the record of its commit.
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

    /// The effect of the changes so far on a key's lock; `None` if they don't touch it.
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
