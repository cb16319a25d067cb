//! The versions of one key.

use super::records::{Write, WriteKind};

/// The write records of a key by commit timestamp and its long values by start timestamp.
///
/// Both in vectors, oldest first: nearly every record comes after those that are there.
#[derive(Debug, Default)]
pub(super) struct History {
    writes: Vec<(u64, Write)>,
    values: Vec<(u64, Vec<u8>)>,
}

/// The history of a key of which nothing is known.
pub(super) static NO_HISTORY: History = History { writes: Vec::new(), values: Vec::new() };

/// What is known of a transaction from the write records of a key.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    Committed {
        commit_ts: u64,
    },
    RolledBack,
    /// Nothing; with the record of another transaction that was committed at the asked one's start timestamp.
    Unknown {
        overlapped: Option<&'a Write>,
    },
}

impl Outcome<'_> {
    /// The record that a rollback has to be marked in, as it stands where the rollback record would.
    pub(super) fn overlapped(&self) -> Option<&Write> {
        match self {
            Outcome::Unknown { overlapped } => *overlapped,
            Outcome::Committed { .. } | Outcome::RolledBack => None,
        }
    }
}

impl History {
    /// All write records with the timestamps at which they stand, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (u64, &Write)> {
        self.at_or_before(u64::MAX)
    }

    /// The write records at a timestamp and before it, newest first.
    pub(super) fn at_or_before(&self, timestamp: u64) -> impl Iterator<Item = (u64, &Write)> {
        let end = self.writes.partition_point(|(at, _)| *at <= timestamp);
        self.writes[..end].iter().rev().map(|(at, write)| (*at, write))
    }

    /// The newest record at or before a timestamp that decides what the key holds, if that is a value.
    pub(super) fn version_at(&self, timestamp: u64) -> Option<(u64, &Write)> {
        let (at, write) = self.at_or_before(timestamp).find(|(_, write)| write.is_data())?;
        (write.kind == WriteKind::Put).then_some((at, write))
    }

    /// The value of a write record of the kind `Put`.
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

    /// What became of a transaction.
    pub(super) fn outcome(&self, start_ts: u64) -> Outcome<'_> {
        for (at, write) in self.newest_first() {
            if write.start_ts == start_ts {
                return match write.kind {
                    WriteKind::Rollback => Outcome::RolledBack,
                    _ => Outcome::Committed { commit_ts: at },
                };
            }
            if at == start_ts {
                return match write.has_overlapped_rollback {
                    true => Outcome::RolledBack,
                    false => Outcome::Unknown { overlapped: Some(write) },
                };
            }
            if at < start_ts {
                break;
            }
        }
        Outcome::Unknown { overlapped: None }
    }

    pub(super) fn put_write(&mut self, at: u64, mut write: Write) {
        match self.writes.binary_search_by_key(&at, |(at, _)| *at) {
            Ok(index) => {
                let old = &self.writes[index].1;
                // Commit timestamps come from PD, as start timestamps do, so this happens only to a calculated one.
                if old.protected && write.is_commit() && old.start_ts != write.start_ts {
                    write.has_overlapped_rollback = true;
                }
                self.writes[index].1 = write;
            }
            Err(index) => self.writes.insert(index, (at, write)),
        }
    }

    pub(super) fn delete_write(&mut self, at: u64) {
        if let Some(index) = find(&self.writes, at) {
            self.writes.remove(index);
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

    /// Drops what no read at `safe_point` or later needs.
    pub(super) fn collect_garbage(&mut self, safe_point: u64) {
        let kept_version =
            self.at_or_before(safe_point).find(|(_, write)| write.is_data()).map(|(at, write)| (at, write.kind));
        let mut dropped_values = Vec::new();
        self.writes.retain(|(at, write)| {
            let kept = *at > safe_point || Some((*at, WriteKind::Put)) == kept_version;
            if !kept && write.has_long_value() {
                dropped_values.push(write.start_ts);
            }
            kept
        });
        dropped_values.sort_unstable();
        self.values.retain(|(start_ts, _)| dropped_values.binary_search(start_ts).is_err());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.values.is_empty()
    }

    /// How many write records and long values there are.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.writes.len(), self.values.len())
    }
}

fn find<T>(records: &[(u64, T)], timestamp: u64) -> Option<usize> {
    records.binary_search_by_key(&timestamp, |(at, _)| *at).ok()
}
