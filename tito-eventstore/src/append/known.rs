//! The last sequences that a process knows of a store, from one transaction to the next.

use std::collections::{BTreeMap, HashMap};

use crate::log::Last;

/// More entities than this are not remembered.
const MOST_ENTITIES: usize = 4096;

/// Last sequences as of a last sequence of the store. As long as the store has that one they need not be read again,
/// as every append changes it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The store's last sequence.
    pub(super) head: u64,
    /// By `type.id`.
    pub(super) entities: HashMap<String, Entry>,
    /// Of all entities of a type.
    pub(super) types: BTreeMap<String, Entry>,
}

/// Last sequences, none if there is no event.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(super) last: Last,
    /// Whether they have to be written.
    pub(super) is_changed: bool,
}

impl Known {
    /// What is worth remembering once its transaction is committed.
    pub(super) fn committed(mut self) -> Self {
        if self.entities.len() > MOST_ENTITIES {
            self.entities.clear();
        }
        self
    }
}
