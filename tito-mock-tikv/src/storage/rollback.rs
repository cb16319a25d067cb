//! Rollback: the lock goes, and a record keeps out a late prewrite or commit of the transaction
//! (`src/storage/txn/actions/cleanup.rs` and `check_txn_status.rs`).

use tito_tikv_proto::kvrpcpb::{
    BatchRollbackRequest, BatchRollbackResponse, CleanupRequest, CleanupResponse, PessimisticRollbackRequest,
    PessimisticRollbackResponse,
};

use crate::version::TikvVersion;

use super::boundary::KeyRange;
use super::changes::Changes;
use super::commit::{changes_over, current_lock};
use super::failure::{Failure, Result, error_of};
use super::history::{Outcome, Overlapped};
use super::records::{Lock, Write, WriteKind};
use super::scope::Scope;
use super::state::State;

/// Whether later rollbacks of other transactions may drop this one's record.
///
/// They may if nobody needs it: a late prewrite then takes a lock, which is cleaned up like that of a crashed client,
/// because the primary's record is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    Protected,
    Collapsible,
}

impl Protection {
    fn is_protected(self) -> bool {
        self == Protection::Protected
    }
}

/// Rolls back all keys of the request, or none if one is committed.
pub(super) fn batch_rollback(
    state: &mut State,
    scope: Scope<'_>,
    request: &BatchRollbackRequest,
) -> BatchRollbackResponse {
    let mut changes = changes_over(scope, &request.keys);
    let result = request.keys.iter().try_for_each(|key| {
        roll_back_key(state, scope, &mut changes, key, request.start_version, 0, Protection::Collapsible)
    });
    if result.is_ok() {
        state.apply(changes);
    }
    BatchRollbackResponse { error: error_of(result), ..BatchRollbackResponse::default() }
}

/// Rolls back one key whose lock has expired; for a committed key, reports the commit timestamp.
pub(super) fn cleanup(state: &mut State, scope: Scope<'_>, request: &CleanupRequest) -> CleanupResponse {
    let start_ts = request.start_version;
    // No calculated commit timestamp may overwrite the record about to be written.
    state.note_read(scope.store, start_ts);
    let mut changes = Changes::default();
    let (key, now) = (&request.key, request.current_ts);
    match roll_back_key(state, scope, &mut changes, key, start_ts, now, Protection::Protected) {
        Ok(()) => {
            state.apply(changes);
            CleanupResponse::default()
        }
        Err(Failure::Committed { commit_ts, .. }) => {
            CleanupResponse { commit_version: commit_ts, ..CleanupResponse::default() }
        }
        Err(failure) => CleanupResponse { error: Some(failure.into_key_error()), ..CleanupResponse::default() },
    }
}

/// Removes pessimistic locks taken at or before `for_update_ts`; leaves no record. Without keys, it removes all the
/// transaction's locks in the region (since 7.5; `src/storage/txn/commands/pessimistic_rollback_read_phase.rs`).
pub(super) fn pessimistic_rollback(
    state: &mut State,
    scope: Scope<'_>,
    request: &PessimisticRollbackRequest,
) -> PessimisticRollbackResponse {
    let taken = |lock: &Lock| {
        lock.is_pessimistic() && lock.start_ts == request.start_version && lock.for_update_ts <= request.for_update_ts
    };
    let mut changes = Changes::default();
    if request.keys.is_empty() {
        for (key, _) in state.locks_in(&KeyRange::of_region(scope.region)).filter(|(_, lock)| taken(lock)) {
            changes.delete_lock(key);
        }
    } else {
        for key in request.keys.iter().filter(|key| state.lock(key).is_some_and(taken)) {
            changes.delete_lock(key);
        }
    }
    state.apply(changes);
    PessimisticRollbackResponse::default()
}

/// Rolls back one key; with a non-zero `now`, only if the lock has expired by then.
pub(super) fn roll_back_key(
    state: &State,
    scope: Scope<'_>,
    changes: &mut Changes,
    key: &[u8],
    start_ts: u64,
    now: u64,
    protection: Protection,
) -> Result<()> {
    let lock = current_lock(state, changes, key).cloned();
    if let Some(lock) = lock.as_ref().filter(|lock| lock.start_ts == start_ts) {
        if now != 0 && !lock.is_expired(now) {
            return Err(Failure::Locked(Box::new(lock.info(key))));
        }
        return roll_back_lock(state, scope, changes, key, lock, !protection.is_protected());
    }
    match state.outcome(key, start_ts) {
        Outcome::Committed { commit_ts } => Err(Failure::Committed { start_ts, commit_ts, key: key.to_vec() }),
        Outcome::RolledBack => Ok(()),
        Outcome::Unknown { overlapped } => {
            roll_back_missing(state, changes, key, start_ts, lock.as_ref(), overlapped, protection);
            Ok(())
        }
    }
}

/// Removes a transaction's lock and records the rollback; `collapse` drops the record of an earlier one.
pub(super) fn roll_back_lock(
    state: &State,
    scope: Scope<'_>,
    changes: &mut Changes,
    key: &[u8],
    lock: &Lock,
    collapse: bool,
) -> Result<()> {
    let outcome = state.outcome(key, lock.start_ts);
    match outcome {
        Outcome::Committed { commit_ts } => {
            // TiKV aborts here ("txn record found but not expected").
            return Err(Failure::Committed { start_ts: lock.start_ts, commit_ts, key: key.to_vec() });
        }
        Outcome::RolledBack => {}
        Outcome::Unknown { .. } => {
            if lock.has_long_value() {
                changes.delete_value(key, lock.start_ts);
            }
            // Only the primary's record decides. For an optimistic transaction, it is protected since 8.0.
            let decides = lock.primary == key && (lock.for_update_ts != 0 || scope.version >= TikvVersion::V8_5);
            put_rollback(changes, key, lock.start_ts, decides || lock.generation > 0, outcome.overlapped());
            if collapse {
                collapse_rollback(state, changes, key, lock.start_ts);
            }
        }
    }
    changes.delete_lock(key);
    Ok(())
}

/// Records the rollback of a transaction with neither lock nor record on the key, where `other` has a lock.
pub(super) fn roll_back_missing(
    state: &State,
    changes: &mut Changes,
    key: &[u8],
    start_ts: u64,
    other: Option<&Lock>,
    overlapped: Option<Overlapped<'_>>,
    protection: Protection,
) {
    if !protection.is_protected() {
        collapse_rollback(state, changes, key, start_ts);
    }
    if overlapped.is_none() && protection.is_protected() {
        mark_rollback_in_lock(changes, key, start_ts, other);
    }
    put_rollback(changes, key, start_ts, protection.is_protected(), overlapped);
}

/// Writes a rollback record; if a commit record stands in its place, a protected rollback is marked in that.
pub(super) fn put_rollback(
    changes: &mut Changes,
    key: &[u8],
    start_ts: u64,
    protected: bool,
    overlapped: Option<Overlapped<'_>>,
) {
    match overlapped {
        None => changes.put_write(key, start_ts, Write::rollback(start_ts, protected)),
        Some(Overlapped { write, next_version }) if protected => {
            let gc_fence = Some(next_version);
            changes.put_write(key, start_ts, Write { has_overlapped_rollback: true, gc_fence, ..write.clone() });
        }
        Some(_) => {}
    }
}

/// Drops the newest record before `start_ts` if it is a rollback that nobody needs: otherwise, a key on which
/// transactions are rolled back repeatedly would keep growing.
pub(super) fn collapse_rollback(state: &State, changes: &mut Changes, key: &[u8], start_ts: u64) {
    if let Some((at, write)) = state.history(key).at_or_before(start_ts).next()
        && write.kind == WriteKind::Rollback
        && !write.protected
    {
        changes.delete_write(key, at);
    }
}

/// Marks a rollback in another transaction's lock, whose commit record could come to stand in the rollback's place
/// (`mark_rollback_on_mismatching_lock` in `src/storage/mvcc/txn.rs`).
///
/// Only a calculated commit timestamp can equal another transaction's start timestamp.
pub(super) fn mark_rollback_in_lock(changes: &mut Changes, key: &[u8], start_ts: u64, other: Option<&Lock>) {
    if let Some(lock) = other
        && lock.use_async_commit
        && start_ts >= lock.min_commit_ts
    {
        let mut lock = lock.clone();
        lock.rollbacks.push(start_ts);
        changes.put_lock(key, lock);
    }
}
