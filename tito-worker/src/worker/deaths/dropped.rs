//! Workers that ended in this process without a word, as their futures were dropped: the process has not died of what they
//! had in hand.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

/// By their ids, which no two workers share, until their marks are gone.
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

/// Its mark is gone.
pub(super) fn forget(id: Uuid) {
    dropped().remove(&id);
}
