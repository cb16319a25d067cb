//! Finding the locks of transactions whose fate is known, and carrying it out.

use std::collections::HashMap;

use crate::proto::kvrpcpb::{ResolveLockRequest, ResolveLockResponse, ScanLockRequest, ScanLockResponse};
use crate::range::RegionRange;

use super::boundary::KeyRange;
use super::changes::Changes;
use super::commit::commit_key;
use super::failure::{Result, error_of};
use super::rollback::{Protection, roll_back_key};
use super::state::State;

/// Commits or rolls back the named keys, or all locks that one or several transactions have in the region.
pub(super) fn resolve_lock(
    state: &mut State,
    request: &ResolveLockRequest,
    region: &RegionRange,
) -> ResolveLockResponse {
    let (start_ts, commit_ts) = (request.start_version, request.commit_version);
    // Each with its transaction and the timestamp to commit it at.
    let keys: Vec<(Vec<u8>, u64, u64)> = if request.keys.is_empty() {
        let mut fates: HashMap<u64, u64> = request.txn_infos.iter().map(|info| (info.txn, info.status)).collect();
        if fates.is_empty() {
            fates.insert(start_ts, commit_ts);
        }
        let range = KeyRange::of_region(region);
        let locks = state.locks_in(&range);
        locks
            .filter_map(|(key, lock)| fates.get(&lock.start_ts).map(|fate| (key.clone(), lock.start_ts, *fate)))
            .collect()
    } else {
        request.keys.iter().map(|key| (key.clone(), start_ts, commit_ts)).collect()
    };
    let mut changes = Changes::default();
    let result = keys
        .iter()
        .try_for_each(|(key, start_ts, commit_ts)| resolve_key(state, &mut changes, key, *start_ts, *commit_ts));
    if result.is_ok() {
        state.apply(changes);
    }
    ResolveLockResponse { error: error_of(result), ..ResolveLockResponse::default() }
}

/// A commit timestamp of zero rolls back.
fn resolve_key(state: &State, changes: &mut Changes, key: &[u8], start_ts: u64, commit_ts: u64) -> Result<()> {
    if commit_ts == 0 {
        roll_back_key(state, changes, key, start_ts, None, Protection::Collapsible)
    } else {
        commit_key(state, changes, key, start_ts, commit_ts)
    }
}

/// The locks within the region and the given keys that were taken no later than `max_version`; a limit of zero is none.
pub(super) fn scan_lock(state: &mut State, request: &ScanLockRequest, region: &RegionRange) -> ScanLockResponse {
    state.note_read(request.max_version);
    let range = KeyRange::new(&request.start_key, &request.end_key).within(&KeyRange::of_region(region));
    let limit = match request.limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let locks = state.locks_in(&range).filter(|(_, lock)| lock.start_ts <= request.max_version);
    let locks = locks.take(limit).map(|(key, lock)| lock.info(key)).collect();
    ScanLockResponse { locks, ..ScanLockResponse::default() }
}
