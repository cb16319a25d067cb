//! How many rows of events that are to be handled a queue has, by the second at which they fall due.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::handle::Database;
use super::transaction::Transaction;
use crate::engine::{Tally, TallyChange};
use crate::keys;

/// By the queue, as keys have it.
#[derive(Debug, Default)]
struct PendingTallies(RwLock<HashMap<Box<[u8]>, Arc<Tally>>>);

impl PendingTallies {
    fn of(&self, queue: &[u8]) -> Arc<Tally> {
        if let Some(tally) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(queue) {
            return tally.clone();
        }
        let mut tallies = self.0.write().unwrap_or_else(PoisonError::into_inner);
        tallies.entry(queue.into()).or_default().clone()
    }
}

impl Database {
    /// How many events that are to be handled there are in a queue, by the second at which they fall due: kept by commits
    /// once somebody has counted, where this process [alone](Database::is_only_writer) writes to the database.
    pub fn pending_tally(&self, queue: &str) -> Arc<Tally> {
        let range = keys::events_of_queue(queue);
        self.shared().value::<PendingTallies>().of(keys::queue_part(&range.start).unwrap_or_default())
    }
}

/// What a write changes of a tally, if it succeeds.
pub(super) type PendingChange = Option<(Arc<Tally>, [Option<TallyChange>; 2])>;

impl Transaction {
    /// What a write of this key changes, if it is the key of an event that is to be handled.
    pub(super) fn pending_change(&self, key: &[u8], changes: [Option<TallyChange>; 2]) -> PendingChange {
        // Elsewhere nobody could rely on what this process hears.
        let queue = keys::queue_part(key).filter(|_| self.database().is_only_writer())?;
        Some((self.database().shared().value::<PendingTallies>().of(queue), changes))
    }

    /// The write has succeeded.
    pub(super) fn note_pending(&self, change: PendingChange) {
        let Some((tally, changes)) = change else { return };
        changes.into_iter().flatten().for_each(|change| self.tally(tally.clone(), change));
    }
}
