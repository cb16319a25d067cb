//! Everything that the storage holds, and the one place that changes it.

use std::collections::{BTreeMap, HashMap};

use tito_tikv_proto::kvrpcpb::LockInfo;

use super::Sizes;
use super::boundary::KeyRange;
use super::changes::{Change, Changes};
use super::history::{History, NO_HISTORY, Outcome};
use super::raw::RawState;
use super::records::Lock;
use super::waiting::{Released, Waiting};

/// How many committed transactions are remembered to recognise a late prewrite. TiKV keeps them for 30 seconds, but
/// only while its cache has room (`src/storage/txn/txn_status_cache.rs`).
const KNOWN_COMMITS: usize = 1 << 16;

/// The records by key, as the client names the key.
#[derive(Debug, Default)]
pub(super) struct State {
    locks: BTreeMap<Vec<u8>, Lock>,
    histories: BTreeMap<Vec<u8>, History>,
    /// The newest timestamp at which anything was read, by store. A commit timestamp that the store calculates, for
    /// async and one-phase commit, must be above it, or a snapshot would change after it was served.
    max_ts: HashMap<u64, u64>,
    /// The commit timestamps of transactions that a store has recently seen committed, by store and start timestamp.
    known_commits: BTreeMap<(u64, u64), u64>,
    pub(super) waiting: Waiting,
    pub(super) raw: RawState,
}

impl State {
    pub(super) fn lock(&self, key: &[u8]) -> Option<&Lock> {
        self.locks.get(key)
    }

    /// The lock of one transaction.
    pub(super) fn lock_of(&self, key: &[u8], start_ts: u64) -> Option<&Lock> {
        self.lock(key).filter(|lock| lock.start_ts == start_ts)
    }

    pub(super) fn history(&self, key: &[u8]) -> &History {
        self.histories.get(key).unwrap_or(&NO_HISTORY)
    }

    pub(super) fn outcome(&self, key: &[u8], start_ts: u64) -> Outcome<'_> {
        self.history(key).outcome(start_ts)
    }

    pub(super) fn max_ts(&self, store: u64) -> u64 {
        self.max_ts.get(&store).copied().unwrap_or(0)
    }

    /// Records a read. `u64::MAX` reads the latest version, whichever it is, and constrains nobody.
    pub(super) fn note_read(&mut self, store: u64, timestamp: u64) {
        if timestamp != u64::MAX {
            let max_ts = self.max_ts.entry(store).or_default();
            *max_ts = (*max_ts).max(timestamp);
        }
    }

    pub(super) fn forget_reads(&mut self, store: u64) {
        self.max_ts.remove(&store);
        self.known_commits.retain(|(at, _), _| *at != store);
    }

    /// Remembers that a transaction is committed.
    pub(super) fn note_commit(&mut self, store: u64, start_ts: u64, commit_ts: u64) {
        self.known_commits.insert((store, start_ts), commit_ts);
        if self.known_commits.len() > KNOWN_COMMITS {
            self.known_commits.pop_first();
        }
    }

    pub(super) fn is_known_committed(&self, store: u64, start_ts: u64) -> bool {
        self.known_commits.contains_key(&(store, start_ts))
    }

    pub(super) fn locks_in(&self, range: &KeyRange) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Lock)> {
        range.bounds().map(|bounds| self.locks.range::<[u8], _>(bounds)).into_iter().flatten()
    }

    pub(super) fn histories_in(&self, range: &KeyRange) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &History)> {
        range.bounds().map(|bounds| self.histories.range::<[u8], _>(bounds)).into_iter().flatten()
    }

    /// Makes changes and wakes those who wait for a removed lock.
    pub(super) fn apply(&mut self, changes: Changes) {
        for change in changes.into_iter() {
            match change {
                Change::PutLock { key, lock } => {
                    self.locks.insert(key, lock);
                }
                Change::DeleteLock { key, commit_ts } => {
                    if let Some(lock) = self.locks.remove(&key) {
                        self.waiting.wake(&key, Released { start_ts: lock.start_ts, commit_ts });
                    }
                }
                Change::PutWrite { key, at, write } => self.histories.entry(key).or_default().put_write(at, write),
                Change::DeleteWrite { key, at } => self.change_history(&key, |history| history.delete_write(at)),
                Change::PutValue { key, start_ts, value } => {
                    self.histories.entry(key).or_default().put_value(start_ts, value);
                }
                Change::DeleteValue { key, start_ts } => {
                    self.change_history(&key, |history| history.delete_value(start_ts));
                }
            }
        }
    }

    fn change_history(&mut self, key: &[u8], change: impl FnOnce(&mut History)) {
        if let Some(history) = self.histories.get_mut(key) {
            change(history);
            if history.is_empty() {
                self.histories.remove(key);
            }
        }
    }

    /// Drops the versions that no read at or after `safe_point` needs.
    pub(super) fn collect_garbage(&mut self, range: &KeyRange, safe_point: u64) {
        let Some(bounds) = range.bounds() else { return };
        let mut emptied = Vec::new();
        for (key, history) in self.histories.range_mut::<[u8], _>(bounds) {
            history.collect_garbage(safe_point);
            if history.is_empty() {
                emptied.push(key.clone());
            }
        }
        for key in emptied {
            self.histories.remove(&key);
        }
    }

    /// Removes every record of every key in a range.
    pub(super) fn destroy(&mut self, range: &KeyRange) {
        self.drop_locks(range, |_| true);
        let stored: Vec<Vec<u8>> = self.histories_in(range).map(|(key, _)| key.clone()).collect();
        for key in stored {
            self.histories.remove(&key);
        }
    }

    /// Makes the locks in a range known to all replicas.
    pub(super) fn replicate_locks(&mut self, range: &KeyRange) {
        let Some(bounds) = range.bounds() else { return };
        for (_, lock) in self.locks.range_mut::<[u8], _>(bounds) {
            lock.in_memory = false;
        }
    }

    /// Drops the locks in a range that only the leader had, since the leader is gone.
    pub(super) fn lose_locks_in_memory(&mut self, range: &KeyRange) {
        self.drop_locks(range, |lock| lock.in_memory);
    }

    fn drop_locks(&mut self, range: &KeyRange, dropped: impl Fn(&Lock) -> bool) {
        let keys: Vec<Vec<u8>> =
            self.locks_in(range).filter(|(_, lock)| dropped(lock)).map(|(key, _)| key.clone()).collect();
        let mut changes = Changes::default();
        for key in &keys {
            changes.delete_lock(key);
        }
        self.apply(changes);
    }

    pub(super) fn all_locks(&self) -> Vec<LockInfo> {
        self.locks.iter().map(|(key, lock)| lock.info(key)).collect()
    }

    pub(super) fn sizes(&self) -> Sizes {
        let none = Sizes { locks: self.locks.len(), ..Sizes::default() };
        self.histories.values().map(History::sizes).fold(none, |sum, (writes, values)| Sizes {
            writes: sum.writes + writes,
            values: sum.values + values,
            ..sum
        })
    }
}
