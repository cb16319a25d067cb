//! Commit: the lock becomes a write record (`src/storage/txn/actions/commit.rs`).

use tito_tikv_proto::kvrpcpb::{CommitRequest, CommitResponse};

use crate::version::TikvVersion;

use super::changes::{Changes, Pending};
use super::failure::{Failure, Result};
use super::history::Outcome;
use super::records::Lock;
use super::scope::Scope;
use super::state::State;

/// Commits all keys of the request or none.
pub(super) fn commit(state: &mut State, scope: Scope<'_>, request: &CommitRequest) -> CommitResponse {
    let (start_ts, commit_ts) = (request.start_version, request.commit_version);
    match commit_keys(state, scope, &request.keys, start_ts, commit_ts) {
        Ok(changes) => {
            state.apply(changes);
            state.note_commit(scope.store, start_ts, commit_ts);
            CommitResponse { commit_version: commit_ts, ..CommitResponse::default() }
        }
        Err(failure) => CommitResponse { error: Some(failure.into_key_error()), ..CommitResponse::default() },
    }
}

fn commit_keys(state: &State, scope: Scope<'_>, keys: &[Vec<u8>], start_ts: u64, commit_ts: u64) -> Result<Changes> {
    if commit_ts <= start_ts {
        return Err(Failure::InvalidTxnTso { start_ts, commit_ts });
    }
    let mut changes = changes_over(scope, keys);
    for key in keys {
        commit_key(state, &mut changes, key, start_ts, commit_ts)?;
    }
    Ok(changes)
}

/// The changes of a request that commits or rolls back these keys. Since 9.0, it sees the locks as it has already
/// changed them, so a key that is named twice is no longer locked the second time.
pub(super) fn changes_over(scope: Scope<'_>, keys: &[Vec<u8>]) -> Changes {
    if scope.version >= TikvVersion::V9_0 { Changes::over(keys) } else { Changes::default() }
}

/// A transaction's lock as it is after the changes so far.
pub(super) fn current_lock<'a>(state: &'a State, changes: &'a Changes, key: &[u8]) -> Option<&'a Lock> {
    match changes.pending_lock(key) {
        Some(Pending::Put(lock)) => Some(lock),
        Some(Pending::Deleted) => None,
        None => state.lock(key),
    }
}

/// Commits one key; a key that is already committed stays as it is.
pub(super) fn commit_key(
    state: &State,
    changes: &mut Changes,
    key: &[u8],
    start_ts: u64,
    commit_ts: u64,
) -> Result<()> {
    let lock = current_lock(state, changes, key).filter(|lock| lock.start_ts == start_ts);
    let Some(lock) = lock.cloned() else {
        return match state.outcome(key, start_ts) {
            Outcome::Committed { .. } => Ok(()),
            // A rollback record may have been dropped, so a missing record means the same.
            Outcome::RolledBack | Outcome::Unknown { .. } => {
                Err(Failure::LockNotFound { start_ts, commit_ts, key: key.to_vec() })
            }
        };
    };
    if commit_ts < lock.min_commit_ts {
        let min_commit_ts = lock.min_commit_ts;
        return Err(Failure::CommitTsExpired { start_ts, commit_ts, key: key.to_vec(), min_commit_ts });
    }
    if lock.is_pessimistic() {
        // A leftover: its rollback got lost, or a late request took it. The transaction doesn't need it.
        changes.delete_lock(key);
    } else {
        changes.commit_lock(key, &lock, commit_ts);
    }
    Ok(())
}
