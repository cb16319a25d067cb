//! What a request is going to change, kept aside until it is known to succeed as a whole.

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

/// Changes in the order in which they have to be made.
///
/// A request reads the state as it was before, never its own changes, as in TiKV.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<Change>);

impl Changes {
    pub(super) fn put_lock(&mut self, key: &[u8], lock: Lock) {
        self.0.push(Change::PutLock { key: key.to_vec(), lock });
    }

    /// Takes a lock away without a commit.
    pub(super) fn delete_lock(&mut self, key: &[u8]) {
        self.0.push(Change::DeleteLock { key: key.to_vec(), commit_ts: 0 });
    }

    /// Makes a lock the record of its commit.
    pub(super) fn commit_lock(&mut self, key: &[u8], lock: &Lock, commit_ts: u64) {
        self.put_write(key, commit_ts, Write::commit(lock, commit_ts));
        self.0.push(Change::DeleteLock { key: key.to_vec(), commit_ts });
    }

    pub(super) fn put_write(&mut self, key: &[u8], at: u64, write: Write) {
        self.0.push(Change::PutWrite { key: key.to_vec(), at, write });
    }

    pub(super) fn delete_write(&mut self, key: &[u8], at: u64) {
        self.0.push(Change::DeleteWrite { key: key.to_vec(), at });
    }

    pub(super) fn put_value(&mut self, key: &[u8], start_ts: u64, value: Vec<u8>) {
        self.0.push(Change::PutValue { key: key.to_vec(), start_ts, value });
    }

    pub(super) fn delete_value(&mut self, key: &[u8], start_ts: u64) {
        self.0.push(Change::DeleteValue { key: key.to_vec(), start_ts });
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Change> {
        self.0.into_iter()
    }
}
