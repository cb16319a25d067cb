//! Finds the locks of transactions whose fate is known, and settles them accordingly
//! (`src/storage/txn/commands/resolve_lock*.rs`).

use std::collections::HashMap;

use tito_tikv_proto::kvrpcpb::{ResolveLockRequest, ResolveLockResponse, ScanLockRequest, ScanLockResponse};

use super::boundary::KeyRange;
use super::commit::{changes_over, commit_key};
use super::failure::{Failure, Result, error_of};
use super::records::Lock;
use super::rollback::{Protection, roll_back_key};
use super::scope::Scope;
use super::state::State;

/// This many locks are resolved together, all or none.
const BATCH: usize = 256;

/// Commits or rolls back the named keys, or all locks that one or several transactions have in the region.
pub(super) fn resolve_lock(state: &mut State, scope: Scope<'_>, request: &ResolveLockRequest) -> ResolveLockResponse {
    let result = match (request.keys.is_empty(), request.start_version) {
        (true, 0) => {
            resolve_region(state, scope, &request.txn_infos.iter().map(|info| (info.txn, info.status)).collect())
        }
        (true, start_ts) => resolve_region(state, scope, &HashMap::from([(start_ts, request.commit_version)])),
        // TiKV aborts at such a request.
        (false, 0) => Err(Failure::Invalid("keys to resolve without a start version".to_owned())),
        (false, start_ts) => resolve_keys(state, scope, &request.keys, start_ts, request.commit_version),
    };
    ResolveLockResponse { error: error_of(result), ..ResolveLockResponse::default() }
}

/// A commit timestamp of zero rolls back.
fn resolve_keys(state: &mut State, scope: Scope<'_>, keys: &[Vec<u8>], start_ts: u64, commit_ts: u64) -> Result<()> {
    let mut changes = changes_over(scope, keys);
    for key in keys {
        match commit_ts {
            0 => roll_back_key(state, scope, &mut changes, key, start_ts, 0, Protection::Collapsible)?,
            commit_ts => commit_key(state, &mut changes, key, start_ts, commit_ts)?,
        }
    }
    state.apply(changes);
    if commit_ts != 0 {
        state.note_commit(scope.store, start_ts, commit_ts);
    }
    Ok(())
}

/// Resolves a region's locks by the commit timestamps of their transactions. This doesn't find pessimistic locks that
/// only the leader has.
fn resolve_region(state: &mut State, scope: Scope<'_>, fates: &HashMap<u64, u64>) -> Result<()> {
    let range = KeyRange::of_region(scope.region);
    let locks: Vec<(Vec<u8>, Lock)> = state
        .locks_in(&range)
        .filter(|(_, lock)| !lock.in_memory && fates.contains_key(&lock.start_ts))
        .map(|(key, lock)| (key.clone(), lock.clone()))
        .collect();
    for batch in locks.chunks(BATCH) {
        let mut changes = super::changes::Changes::default();
        let mut committed = Vec::new();
        for (key, lock) in batch {
            let (start_ts, commit_ts) = (lock.start_ts, fates[&lock.start_ts]);
            if commit_ts == 0 {
                roll_back_key(state, scope, &mut changes, key, start_ts, 0, Protection::Collapsible)?;
            } else if commit_ts > start_ts {
                commit_key(state, &mut changes, key, start_ts, commit_ts)?;
                committed.push((start_ts, commit_ts));
            } else {
                return Err(Failure::InvalidTxnTso { start_ts, commit_ts });
            }
        }
        state.apply(changes);
        for (start_ts, commit_ts) in committed {
            state.note_commit(scope.store, start_ts, commit_ts);
        }
    }
    Ok(())
}

/// The locks within the region and the given keys taken at or before `max_version`; a limit of zero means no limit.
pub(super) fn scan_lock(state: &mut State, scope: Scope<'_>, request: &ScanLockRequest) -> ScanLockResponse {
    state.note_read(scope.store, request.max_version);
    let range = KeyRange::new(&request.start_key, &request.end_key).within(&KeyRange::of_region(scope.region));
    let limit = match request.limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let locks = state.locks_in(&range).filter(|(_, lock)| lock.start_ts <= request.max_version);
    let locks = locks.take(limit).map(|(key, lock)| lock.info(key)).collect();
    ScanLockResponse { locks, ..ScanLockResponse::default() }
}
