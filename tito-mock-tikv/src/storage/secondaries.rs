//! Whether a transaction with async commit is committed, judging by its secondary keys: it is as soon as all are
//! prewritten (`src/storage/txn/commands/check_secondary_locks.rs`).

use tito_tikv_proto::kvrpcpb::{CheckSecondaryLocksRequest, CheckSecondaryLocksResponse, LockInfo};

use super::changes::Changes;
use super::history::Outcome;
use super::rollback::{collapse_rollback, mark_rollback_in_lock, put_rollback};
use super::scope::Scope;
use super::state::State;

/// Returns the locks if all are there, the commit timestamp if a key is committed, or neither if a key is rolled back.
///
/// A key that is not prewritten is rolled back, so that the answer stays true.
pub(super) fn check_secondary_locks(
    state: &mut State,
    scope: Scope<'_>,
    request: &CheckSecondaryLocksRequest,
) -> CheckSecondaryLocksResponse {
    let start_ts = request.start_version;
    state.note_read(scope.store, start_ts);
    let mut changes = Changes::default();
    let mut locks = Vec::new();
    let mut decided = None;
    for key in &request.keys {
        match status(state, &mut changes, key, start_ts) {
            Secondary::Prewritten(lock) => locks.push(*lock),
            Secondary::Committed(commit_ts) => decided = Some(commit_ts),
            Secondary::RolledBack => decided = Some(0),
        }
        if decided.is_some() {
            locks.clear();
            break;
        }
    }
    state.apply(changes);
    let commit_ts = decided.unwrap_or(0);
    if commit_ts != 0 {
        state.note_commit(scope.store, start_ts, commit_ts);
    }
    CheckSecondaryLocksResponse { locks, commit_ts, ..CheckSecondaryLocksResponse::default() }
}

enum Secondary {
    Prewritten(Box<LockInfo>),
    Committed(u64),
    RolledBack,
}

fn status(state: &State, changes: &mut Changes, key: &[u8], start_ts: u64) -> Secondary {
    let own = state.lock_of(key, start_ts);
    if let Some(lock) = own.filter(|lock| !lock.is_pessimistic()) {
        return Secondary::Prewritten(Box::new(lock.info(key)));
    }
    if own.is_some() {
        changes.delete_lock(key);
    }
    match state.outcome(key, start_ts) {
        Outcome::Committed { commit_ts } => Secondary::Committed(commit_ts),
        Outcome::RolledBack => Secondary::RolledBack,
        Outcome::Unknown { overlapped } => {
            if own.is_none() {
                mark_rollback_in_lock(changes, key, start_ts, state.lock(key));
            }
            // Protected: without the record, a late lock and prewrite could succeed and the transaction count as
            // committed.
            put_rollback(changes, key, start_ts, true, overlapped);
            collapse_rollback(state, changes, key, start_ts);
            Secondary::RolledBack
        }
    }
}
