//! Who waits for whom, to find circles of waiting transactions.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The transactions that wait for locks, by start timestamp.
#[derive(Debug, Default)]
pub(super) struct WaitForGraph {
    edges: HashMap<u64, Vec<Edge>>,
}

#[derive(Debug)]
struct Edge {
    waiter: u64,
    holder: u64,
    key: Vec<u8>,
}

impl WaitForGraph {
    /// Notes that a transaction waits for another one's lock on a key.
    ///
    /// If that one waits for the first, directly or through others, nothing is noted and the key is returned on which
    /// the circle closes: the one for which somebody waits that the first transaction holds.
    pub(super) fn add(&mut self, waiter: u64, start_ts: u64, holder: u64, key: &[u8]) -> Result<(), Vec<u8>> {
        if let Some(key) = self.path(holder, start_ts) {
            return Err(key.to_vec());
        }
        self.edges.entry(start_ts).or_default().push(Edge { waiter, holder, key: key.to_vec() });
        Ok(())
    }

    /// Forgets that a transaction waits.
    pub(super) fn remove(&mut self, waiter: u64, start_ts: u64) {
        if let Some(edges) = self.edges.get_mut(&start_ts) {
            edges.retain(|edge| edge.waiter != waiter);
            if edges.is_empty() {
                self.edges.remove(&start_ts);
            }
        }
    }

    /// The key on which `from`, directly or through others, waits for `to`.
    fn path(&self, from: u64, to: u64) -> Option<&[u8]> {
        let mut seen = HashSet::from([from]);
        let mut pending = vec![from];
        while let Some(transaction) = pending.pop() {
            for edge in self.edges.get(&transaction).into_iter().flatten() {
                if edge.holder == to {
                    return Some(&edge.key);
                }
                if seen.insert(edge.holder) {
                    pending.push(edge.holder);
                }
            }
        }
        None
    }
}

/// A number for a key, the same in every run. (TiKV's are others; clients can only compare them with each other.)
pub(super) fn key_hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
