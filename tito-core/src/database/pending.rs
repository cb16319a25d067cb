//! How many rows of events that are to be handled a queue has, by the second at which they fall due.

use std::sync::Arc;

use super::handle::Database;
use super::transaction::Transaction;
use crate::engine::{Tally, TallyChange};
use crate::keys;

impl Database {
    /// How many events that are to be handled there are in a queue, by the second at which they fall due: kept by commits
    /// once somebody has counted, where this process [alone](Database::is_only_writer) writes to the database.
    pub fn pending_tally(&self, queue: &str) -> Arc<Tally> {
        let range = keys::events_of_queue(queue);
        self.shared().tally(keys::queue_part(&range.start).unwrap_or_default())
    }
}

/// What a write changes of the tally of a queue, named as keys have it, if the write succeeds.
pub(super) type PendingChange = Option<(Box<[u8]>, [Option<TallyChange>; 2])>;

impl Transaction {
    /// What a write of this key changes, if it is the key of an event that is to be handled.
    pub(super) fn pending_change(&self, key: &[u8], changes: [Option<TallyChange>; 2]) -> PendingChange {
        // Elsewhere nobody could rely on what this process hears.
        let queue = keys::queue_part(key).filter(|_| self.database().is_only_writer())?;
        Some((queue.into(), changes))
    }

    /// The write has succeeded.
    pub(super) fn note_pending(&self, change: PendingChange) {
        if let Some((queue, changes)) = change {
            self.tally(queue, changes);
        }
    }
}
