//! Commit: the lock becomes a write record.

use crate::proto::kvrpcpb::{CommitRequest, CommitResponse};

use super::changes::Changes;
use super::failure::{Failure, Result};
use super::history::Outcome;
use super::state::State;

/// Commits all keys of the request or none.
pub(super) fn commit(state: &mut State, request: &CommitRequest) -> CommitResponse {
    match commit_keys(state, &request.keys, request.start_version, request.commit_version) {
        Ok(changes) => {
            state.apply(changes);
            CommitResponse { commit_version: request.commit_version, ..CommitResponse::default() }
        }
        Err(failure) => CommitResponse { error: Some(failure.into_key_error()), ..CommitResponse::default() },
    }
}

fn commit_keys(state: &State, keys: &[Vec<u8>], start_ts: u64, commit_ts: u64) -> Result<Changes> {
    let mut changes = Changes::default();
    for key in keys {
        commit_key(state, &mut changes, key, start_ts, commit_ts)?;
    }
    Ok(changes)
}

/// Commits one key; one that is committed already stays as it is.
pub(super) fn commit_key(
    state: &State,
    changes: &mut Changes,
    key: &[u8],
    start_ts: u64,
    commit_ts: u64,
) -> Result<()> {
    if commit_ts <= start_ts {
        return Err(Failure::InvalidTxnTso { start_ts, commit_ts });
    }
    let Some(lock) = state.lock_of(key, start_ts) else {
        return match state.outcome(key, start_ts) {
            Outcome::Committed { .. } => Ok(()),
            // A rollback record may have been dropped, so that nothing is known means the same.
            Outcome::RolledBack | Outcome::Unknown { .. } => {
                Err(Failure::LockNotFound { start_ts, commit_ts, key: key.to_vec() })
            }
        };
    };
    if commit_ts < lock.min_commit_ts {
        let min_commit_ts = lock.min_commit_ts;
        return Err(Failure::CommitTsExpired { start_ts, commit_ts, key: key.to_vec(), min_commit_ts });
    }
    changes.commit_lock(key, lock, commit_ts);
    Ok(())
}
