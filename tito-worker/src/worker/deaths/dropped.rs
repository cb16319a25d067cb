//! Workers in this process that ended without a word, because their futures were dropped: the process did not die of
//! what they had in hand.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// By their ids, which are unique to each worker, until their marks are gone.
static DROPPED: Mutex<BTreeSet<Uuid>> = Mutex::new(BTreeSet::new());

fn dropped() -> MutexGuard<'static, BTreeSet<Uuid>> {
    DROPPED.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn note(id: Uuid) {
    dropped().insert(id);
}

pub(super) fn has(id: Uuid) -> bool {
    dropped().contains(&id)
}

/// The worker's mark is gone.
pub(super) fn forget(id: Uuid) {
    dropped().remove(&id);
}
