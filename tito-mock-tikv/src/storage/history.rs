//! The versions of one key.

use super::records::{Write, WriteKind};

/// The write records of a key by commit timestamp, and its long values by start timestamp.
///
/// These are vectors, oldest first: nearly every record comes after the existing ones.
#[derive(Debug, Default)]
pub(super) struct History {
    writes: Vec<(u64, Write)>,
    values: Vec<(u64, Vec<u8>)>,
    /// The commit timestamps by start timestamp, to find an old transaction among a million versions.
    commits: Vec<(u64, u64)>,
}

/// The history of an unknown key.
pub(super) static NO_HISTORY: History = History { writes: Vec::new(), values: Vec::new(), commits: Vec::new() };

/// What a key's write records say about a transaction (TiKV's `TxnCommitRecord`).
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    Committed {
        commit_ts: u64,
    },
    RolledBack,
    /// Nothing; with the record of another transaction that was committed at this transaction's start timestamp, if
    /// any.
    Unknown {
        overlapped: Option<Overlapped<'a>>,
    },
}

/// A commit record that stands where a rollback record would, and the timestamp of the next version, or zero if there
/// is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlapped<'a> {
    pub(super) write: &'a Write,
    pub(super) next_version: u64,
}

impl<'a> Outcome<'a> {
    /// The record in which to mark a rollback.
    pub(super) fn overlapped(&self) -> Option<Overlapped<'a>> {
        match self {
            Outcome::Unknown { overlapped } => *overlapped,
            Outcome::Committed { .. } | Outcome::RolledBack => None,
        }
    }
}

impl History {
    /// All write records and the timestamps where they stand, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (u64, &Write)> {
        self.at_or_before(u64::MAX)
    }

    /// The same, oldest first.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = (u64, &Write)> {
        self.writes.iter().map(|(at, write)| (*at, write))
    }

    /// The write records at or before a timestamp, newest first.
    pub(super) fn at_or_before(&self, timestamp: u64) -> impl Iterator<Item = (u64, &Write)> {
        let end = self.writes.partition_point(|(at, _)| *at <= timestamp);
        self.writes[..end].iter().rev().map(|(at, write)| (*at, write))
    }

    /// The newest write record.
    pub(super) fn newest(&self) -> Option<(u64, &Write)> {
        self.newest_first().next()
    }

    /// The version that decides what the key holds at a timestamp, if that is a value. Records on the way to it count
    /// only if they are valid at `fence_ts` (TiKV's `get_write_with_commit_ts`).
    pub(super) fn version_at(&self, timestamp: u64, fence_ts: u64) -> Option<(u64, &Write)> {
        for (at, write) in self.at_or_before(timestamp) {
            if !write.is_valid_at(fence_ts) {
                return None;
            }
            if write.is_data() {
                return (write.kind == WriteKind::Put).then_some((at, write));
            }
        }
        None
    }

    /// The value of a `Put` write record.
    pub(super) fn value_of<'a>(&'a self, write: &'a Write) -> &'a [u8] {
        match &write.short_value {
            Some(value) => value,
            None => self.long_value(write.start_ts),
        }
    }

    /// The long value that a transaction wrote; empty if it wrote none.
    pub(super) fn long_value(&self, start_ts: u64) -> &[u8] {
        find(&self.values, start_ts).map_or(&[], |index| &self.values[index].1)
    }

    /// The long values by start timestamp, newest first.
    pub(super) fn long_values(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.values.iter().rev().map(|(start_ts, value)| (*start_ts, value.as_slice()))
    }

    /// What became of a transaction (`get_txn_commit_record` in `src/storage/mvcc/reader/reader.rs`).
    pub(super) fn outcome(&self, start_ts: u64) -> Outcome<'_> {
        let end = self.commits.partition_point(|(start, _)| *start <= start_ts);
        if let Some((_, commit_ts)) = self.commits[..end].last().filter(|(start, _)| *start == start_ts) {
            return Outcome::Committed { commit_ts: *commit_ts };
        }
        let Some(index) = find(&self.writes, start_ts) else { return Outcome::Unknown { overlapped: None } };
        let write = &self.writes[index].1;
        if write.rolls_back(start_ts, start_ts) {
            return Outcome::RolledBack;
        }
        let next_version = self.writes[index + 1..].iter().find(|(_, write)| write.is_data()).map_or(0, |(at, _)| *at);
        Outcome::Unknown { overlapped: Some(Overlapped { write, next_version }) }
    }

    /// Whether a transaction has a record here.
    pub(super) fn has_record_of(&self, start_ts: u64) -> bool {
        let rolled_back =
            || find(&self.writes, start_ts).is_some_and(|index| self.writes[index].1.start_ts == start_ts);
        find(&self.commits, start_ts).is_some() || rolled_back()
    }

    pub(super) fn put_write(&mut self, at: u64, write: Write) {
        if write.is_commit() {
            let commit = (write.start_ts, at);
            if let Err(index) = self.commits.binary_search(&commit) {
                self.commits.insert(index, commit);
            }
        }
        match self.writes.binary_search_by_key(&at, |(at, _)| *at) {
            Ok(index) => {
                let old = std::mem::replace(&mut self.writes[index].1, write);
                if old.is_commit() && old.start_ts != self.writes[index].1.start_ts {
                    self.forget_commit(old.start_ts, at);
                }
            }
            Err(index) => self.writes.insert(index, (at, write)),
        }
    }

    pub(super) fn delete_write(&mut self, at: u64) {
        if let Some(index) = find(&self.writes, at) {
            let (_, write) = self.writes.remove(index);
            if write.is_commit() {
                self.forget_commit(write.start_ts, at);
            }
        }
    }

    fn forget_commit(&mut self, start_ts: u64, at: u64) {
        if let Ok(index) = self.commits.binary_search(&(start_ts, at)) {
            self.commits.remove(index);
        }
    }

    pub(super) fn put_value(&mut self, start_ts: u64, value: Vec<u8>) {
        match self.values.binary_search_by_key(&start_ts, |(at, _)| *at) {
            Ok(index) => self.values[index].1 = value,
            Err(index) => self.values.insert(index, (start_ts, value)),
        }
    }

    pub(super) fn delete_value(&mut self, start_ts: u64) {
        if let Some(index) = find(&self.values, start_ts) {
            self.values.remove(index);
        }
    }

    /// Drops what no read at or after `safe_point` needs: every version older than the newest one there, that one too
    /// if it is a deletion, and all records of rollbacks and of commits that changed nothing
    /// (`src/storage/txn/actions/gc.rs`).
    pub(super) fn collect_garbage(&mut self, safe_point: u64) {
        let kept_version =
            self.at_or_before(safe_point).find(|(_, write)| write.is_data()).map(|(at, write)| (at, write.kind));
        let mut dropped_values = Vec::new();
        let before = self.writes.len();
        self.writes.retain(|(at, write)| {
            let kept = *at > safe_point || Some((*at, WriteKind::Put)) == kept_version;
            if !kept && write.has_long_value() {
                dropped_values.push(write.start_ts);
            }
            kept
        });
        if self.writes.len() == before {
            return;
        }
        dropped_values.sort_unstable();
        self.values.retain(|(start_ts, _)| dropped_values.binary_search(start_ts).is_err());
        let kept = self.writes.iter().filter(|(_, write)| write.is_commit()).map(|(at, write)| (write.start_ts, *at));
        self.commits = kept.collect();
        self.commits.sort_unstable();
        self.commits.shrink_to_fit();
        self.writes.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.values.is_empty()
    }

    pub(super) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// How many write records there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.writes.capacity().max(self.commits.capacity())
    }

    /// How many write records and long values there are.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.writes.len(), self.values.len())
    }
}

fn find<T>(records: &[(u64, T)], timestamp: u64) -> Option<usize> {
    records.binary_search_by_key(&timestamp, |(at, _)| *at).ok()
}
