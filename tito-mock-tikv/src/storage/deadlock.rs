//! Who waits for whom, to find cycles of waiting transactions (`src/server/lock_manager/deadlock.rs`).

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use tito_tikv_proto::deadlock::WaitForEntry;

/// The transactions that wait for locks, by start timestamp.
#[derive(Debug, Default)]
pub(super) struct WaitForGraph {
    edges: HashMap<u64, Vec<Edge>>,
}

#[derive(Debug)]
struct Edge {
    waiter: u64,
    entry: WaitForEntry,
}

impl WaitForGraph {
    /// Records that a transaction waits for another one's lock on a key.
    ///
    /// If that one waits for the first, directly or through others, nothing is recorded, and the path from the second
    /// to the first is returned. Its last entry names the key that closes the cycle: one that the first transaction
    /// holds.
    pub(super) fn add(&mut self, waiter: u64, entry: WaitForEntry) -> Result<(), Vec<WaitForEntry>> {
        if let Some(path) = self.path(entry.wait_for_txn, entry.txn) {
            return Err(path);
        }
        self.edges.entry(entry.txn).or_default().push(Edge { waiter, entry });
        Ok(())
    }

    /// Forgets that a transaction is waiting.
    pub(super) fn remove(&mut self, waiter: u64, start_ts: u64) {
        if let Some(edges) = self.edges.get_mut(&start_ts) {
            edges.retain(|edge| edge.waiter != waiter);
            if edges.is_empty() {
                self.edges.remove(&start_ts);
            }
        }
    }

    /// The waits by which `from` waits for `to`, directly or through others.
    fn path(&self, from: u64, to: u64) -> Option<Vec<WaitForEntry>> {
        let mut seen = HashSet::from([from]);
        let mut pending = vec![(from, Vec::new())];
        while let Some((transaction, path)) = pending.pop() {
            for Edge { entry, .. } in self.edges.get(&transaction).into_iter().flatten() {
                let mut path: Vec<WaitForEntry> = path.clone();
                path.push(entry.clone());
                if entry.wait_for_txn == to {
                    return Some(path);
                }
                if seen.insert(entry.wait_for_txn) {
                    pending.push((entry.wait_for_txn, path));
                }
            }
        }
        None
    }
}

/// A number for a key, the same in every run. (TiKV's numbers differ; clients can only compare them with each other.)
pub(super) fn key_hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
