//! Workers that ended in this process without a word, as their futures were dropped: the process has not died of what they
//! had in hand.

use std::collections::BTreeSet;
use std::sync::Mutex;

use uuid::Uuid;

use super::hands::locked;

/// By their ids, which no two workers share, until their marks are gone.
static DROPPED: Mutex<BTreeSet<Uuid>> = Mutex::new(BTreeSet::new());

pub(super) fn note(id: Uuid) {
    locked(&DROPPED).insert(id);
}

pub(super) fn has(id: Uuid) -> bool {
    locked(&DROPPED).contains(&id)
}

/// Its mark is gone.
pub(super) fn forget(id: Uuid) {
    locked(&DROPPED).remove(&id);
}
